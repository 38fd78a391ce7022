"""Where a checkout lies, and by which path it is reached, changes nothing; its Python does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_runs import ROOT, SmallRuns

pytest_plugins = ["pytester"]

SO = "@so()\ndef test_{}(cluster): inspected_one(1)\n"


def linked(runs: SmallRuns, tmp_path: Path) -> Path:
    """The project of these runs, through a symbolic link."""
    link = tmp_path / "link"
    link.symlink_to(runs.pytester.path, target_is_directory=True)
    return link / "suites"


def test_a_checkout_behind_a_symbolic_link_is_a_whole_run(runs: SmallRuns, tmp_path: Path) -> None:
    runs.claims("01_cluster", SO.format("a"))
    ended = runs.run(paths=(str(linked(runs, tmp_path)),))
    assert (ended.code, ended.report["partial"]) == (0, False)
    assert ended.verdicts == {"cluster/a": "passed"}


def test_a_path_behind_a_symbolic_link_narrows_the_run(runs: SmallRuns, tmp_path: Path) -> None:
    runs.claims("01_cluster", SO.format("a") + SO.format("b"))
    runs.claims("03_sample", SO.format("c"))
    suites = linked(runs, tmp_path)
    ended = runs.run(paths=("suites", f"{suites}/test_01_cluster.py::test_b"))
    assert (ended.code, ended.report["partial"]) == (0, True)
    assert ended.verdicts == {"cluster/b": "passed"}


OTHERS = {
    "Python 3.10": "sys.version_info = (3, 10, 4, 'final', 0)",
    "Windows": "sys.platform = 'win32'",
}
PYTEST = """
import pytest
class Elsewhere:
    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self):
        {0}
sys.exit(pytest.main(["suites", "--provider", "embedded"], plugins=[Elsewhere()]))
"""
STARTS = {
    "pytest": PYTEST,
    "the embedded cluster": "{0}; import fixtures.providers.embedded",
    "reports": "{0}; import reports.compare",
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("start", STARTS)
def test_where_it_cannot_run_it_says_so_in_one_line(other: str, start: str) -> None:
    code = "import sys\n" + STARTS[start].format(OTHERS[other])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    [line] = done.stderr.splitlines()
    assert line.startswith("Seatrial needs ")
    assert "Traceback" not in done.stdout
    assert done.returncode == 11
