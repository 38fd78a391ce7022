"""Walks over a cluster that is only said to be there."""

import pytest

from tests.walks import Walks


@pytest.fixture
def walks(pytester: pytest.Pytester) -> Walks:
    """A folder to walk in, rehearsed, with one claim that holds."""
    walks = Walks(pytester).begin()
    walks.claims("01_cluster", "@so()\ndef test_a(cluster): examined_one(1)\n")
    return walks
