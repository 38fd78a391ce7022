"""A run that is refused before its first claim leaves an earlier, complete report as it is."""

import shutil

import pytest

from tests.small_runs import Ended, SmallRuns

pytest_plugins = ["pytester"]

REFUSING = """
from fixtures.providers.base import {error}

@contextmanager
def refuse(self):
    raise {error}("it is refused")
    yield

Pretended.provide = refuse
"""
FAILING = """
from fixtures.providers.base import ProvisioningFailed

@contextmanager
def fail(self):
    log = Path("reports/out/diagnostics/kind/create.txt")
    log.parent.mkdir(parents=True)
    log.write_text("no space left on the node")
    raise ProvisioningFailed("the cluster was not created")
    yield

Pretended.provide = fail
"""


def files(ended: Ended) -> dict[str, bytes]:
    folder = ended.folder
    held = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in held}


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param(
            ("suites/test_77_none.py",),
            4,
            "INCOMPLETE: file or directory not found: suites/test_77_none.py",
            id="a mistyped path",
        ),
        pytest.param(
            ("-k", "nothing_matches"),
            5,
            "-k nothing_matches in profile smoke; --list-claims names what there is",
            id="a word that matches nothing",
        ),
        pytest.param(("--kube-version", "1.20"), 11, "not 1.20", id="versions"),
        pytest.param(("--provider", "existing"), 13, "--kube-context NAME", id="no context"),
    ],
)
def test_bad_input_replaces_nothing(
    runs: SmallRuns, options: tuple[str, ...], code: int, words: str
) -> None:
    before = files(runs.run())
    ended = runs.run(*options)
    assert ended.code == code
    assert words in ended.output
    assert files(ended) == before


@pytest.mark.parametrize(
    ("error", "code"), [("ProvisioningFailed", 10), ("HostNotFit", 11), ("UnsafeTarget", 13)]
)
def test_a_provider_that_refuses_replaces_nothing(runs: SmallRuns, error: str, code: int) -> None:
    before = runs.run()
    (before.folder / "diagnostics" / "of-the-first-run.txt").write_text("kept")
    held = files(before)
    runs.begin(world=REFUSING.format(error=error))
    ended = runs.run()
    assert ended.code == code
    assert files(ended) == held
    line = f"{ended.folder}/report.html is the report of the run of {before.report['started']}"
    assert line in ended.output


def test_a_claim_that_cannot_be_collected_replaces_nothing(runs: SmallRuns) -> None:
    before = files(runs.run())
    runs.claims("02_installation", "import none_such\n")
    ended = runs.run()
    assert ended.code == 2
    assert files(ended) == before


def test_without_an_earlier_report_a_refusal_has_one(runs: SmallRuns) -> None:
    runs.begin(world=REFUSING.format(error="UnsafeTarget"))
    ended = runs.run()
    assert (ended.report["complete"], ended.report["exit_code"]) == (False, 13)


def test_what_a_failed_run_leaves_stands_beside_the_earlier_report(runs: SmallRuns) -> None:
    before = files(runs.run())
    runs.begin(world=FAILING)
    for _ in range(2):
        ended = runs.run()
        assert ended.code == 10
        assert ended.report["complete"] is False
        earlier = ended.folder / "earlier"
        held = {name: content for name, content in before.items() if name != "metrics.prom"}
        assert {name: (earlier / name).read_bytes() for name in held} == held
    assert "no space" in (ended.folder / "diagnostics" / "kind" / "create.txt").read_text()
    runs.begin()
    assert runs.run().report["complete"] is True
    assert not earlier.exists()


def test_the_first_failed_run_names_the_earlier_report(runs: SmallRuns) -> None:
    before = runs.run()
    started = before.report["started"]
    runs.begin(world=FAILING)
    ended = runs.run()
    assert f"earlier/report.html is the report of the run of {started}" in ended.output


def test_a_report_that_is_no_report_is_replaced(runs: SmallRuns) -> None:
    folder = runs.run().folder
    (folder / "report.json").write_text("{")
    shutil.rmtree(folder / "diagnostics")
    runs.begin(world=REFUSING.format(error="UnsafeTarget"))
    assert runs.run().report["exit_code"] == 13
