"""Runs over a cluster that does not really exist."""

import pytest

from tests.small_runs import SmallRuns


@pytest.fixture
def runs(pytester: pytest.Pytester) -> SmallRuns:
    """A folder to run in, rehearsed."""
    return SmallRuns(pytester).begin()
