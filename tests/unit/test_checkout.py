"""Where a checkout lies, and by which path it is reached, changes nothing; its Python does."""

from __future__ import annotations

from pathlib import Path

from tests.small_runs import SmallRuns

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
