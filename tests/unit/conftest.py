"""Walks over a cluster that is only said to be there."""

import sys

import pytest

from tests.walks import Walks


@pytest.fixture
def walks(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Walks:
    """A folder to walk in, rehearsed."""
    # Other tests import the real suites; a walk in this process would take them for its own.
    for name in [name for name in sys.modules if name.partition(".")[0] == "suites"]:
        monkeypatch.delitem(sys.modules, name)
    return Walks(pytester).begin()
