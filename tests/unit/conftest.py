"""Walks over a cluster that is only said to be there."""

import pytest

from tests.walks import Walks


@pytest.fixture
def walks(pytester: pytest.Pytester) -> Walks:
    """A folder to walk in, rehearsed."""
    return Walks(pytester).begin()
