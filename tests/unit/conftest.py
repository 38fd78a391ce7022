"""SmallRuns over a cluster that is only said to be there."""

import pytest

from tests.small_runs import SmallRuns


@pytest.fixture
def runs(pytester: pytest.Pytester) -> SmallRuns:
    """A folder to walk in, rehearsed."""
    return SmallRuns(pytester).begin()
