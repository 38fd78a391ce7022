"""A test may be skipped for a listed reason only."""

from pathlib import Path

import pytest

from tests import conftest

pytest_plugins = ["pytester"]

SKIPPED = """
import pytest

def test_in_the_test():
    pytest.skip({reason!r})

@pytest.mark.skip(reason={reason!r})
def test_by_mark(): ...

@pytest.mark.parametrize("one", [])
def test_of_nothing(one): ...
"""


@pytest.fixture
def ended(
    pytester: pytest.Pytester, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> pytest.RunResult:
    """A run of tests that are skipped for this reason, under our own conftest."""
    monkeypatch.setenv("PYTHONPATH", str(Path(conftest.__file__).parents[1]))
    pytester.makeconftest(Path(conftest.__file__).read_text())
    pytester.makepyfile(
        test_some=SKIPPED.format(reason=request.param),
        test_whole=f"import pytest\npytest.skip({request.param!r}, allow_module_level=True)\n",
    )
    return pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "--continue-on-collection-errors"
    )


@pytest.mark.parametrize("ended", ["I had no time"], indirect=True)
def test_a_skip_for_another_reason_fails(ended: pytest.RunResult) -> None:
    ended.assert_outcomes(failed=1, errors=3)  # before its call a test ends in an error
    ended.stdout.fnmatch_lines(["*does not list why: I had no time"])


@pytest.mark.parametrize("ended", sorted(conftest.SKIPS), indirect=True)
def test_a_listed_skip_is_one(ended: pytest.RunResult) -> None:
    ended.stdout.fnmatch_lines(["skipped 3: * (*)"])
    ended.assert_outcomes(errors=1, skipped=3)  # an empty table of cases is on no list
