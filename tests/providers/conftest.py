"""Runs over a cluster that does not really exist."""

import pytest

from tests.small_runs import SmallRuns


@pytest.fixture
def runs(pytester: pytest.Pytester) -> SmallRuns:
    """A folder to run in, rehearsed, with one claim that holds."""
    runs = SmallRuns(pytester).begin()
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    return runs
