"""The exit codes of the contract, and which one is said where several hold."""

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.run.settings import Settings
from fixtures.run.stages import BY_NAME
from fixtures.run.state import Claim, Result, RunState, Verdict
from reports.model import run_of
from reports.summary import as_markdown
from reports.terminal import closing
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]


def ended(*verdicts: Verdict, require_all: bool = False, partial: bool = False) -> RunState:
    made = RunState(
        Settings("embedded", "1.31.0", "1.35", "smoke", Path(), require_all=require_all)
    )
    made.partial = partial
    for number, verdict in enumerate(verdicts):
        claim = Claim(
            f"cluster/{number}", "So.", "", "", "core", "", False, BY_NAME["cluster"], str(number)
        )
        made.claims.append(claim)
        made.results[claim.id] = Result(claim, verdict)
    return made


@pytest.mark.parametrize(
    ("verdicts", "pytests", "code"),
    [
        pytest.param(["passed"], 0, 0, id="all passed"),
        pytest.param(["passed", "failed"], 1, 1, id="one failed"),
        pytest.param(["passed", "error"], 1, 1, id="one error"),
        pytest.param(["passed", "blocked"], 1, 12, id="one blocked"),
        pytest.param(["failed", "blocked"], 1, 1, id="failed comes before blocked"),
        pytest.param(["passed", "not-claimed"], 0, 0, id="not claimed is no failure"),
        pytest.param(["not-claimed", "not-claimed"], 0, 12, id="nothing at all was asked"),
        pytest.param([], 5, 5, id="nothing was selected"),
        pytest.param(["failed"], 2, 2, id="interrupted comes before failed"),
        pytest.param([], 4, 4, id="bad path"),
        pytest.param(["passed"], 3, 3, id="internal error"),
        pytest.param(["passed"], 1, 1, id="pytest saw a failure that we did not"),
    ],
)
def test_the_exit_code_of_an_ended_run(verdicts: list[Verdict], pytests: int, code: int) -> None:
    assert ended(*verdicts).exit_code(pytests) == code


def test_a_proof_that_failed_is_told_as_that() -> None:
    made = ended("passed", "blocked")
    made.unproven = "the proof failed: not noticed as expected: dns-down; see out/prove.md"
    code = made.exit_code(1)
    assert code == 1
    run = run_of(made, exit_code=code)
    assert closing(run)[-1] == f"exit code 1: {made.unproven}"
    assert f"exit code 1 ({made.unproven})" in as_markdown(run)


@pytest.mark.parametrize("stopped", [13, 11, 10, 2])
def test_why_a_run_was_stopped_comes_before_what_failed(stopped: int) -> None:
    made = ended("failed", "blocked")
    made.stop("because", stopped)
    assert made.exit_code(2) == stopped


def test_the_first_reason_to_stop_counts() -> None:
    made = ended()
    made.stop("the cluster died", 10)
    made.stop("stopped by SIGTERM", 2)
    assert made.stopped is not None
    assert made.stopped.reason == "the cluster died"


def test_require_all_makes_not_claimed_a_failure() -> None:
    assert ended("passed", "not-claimed", require_all=True).exit_code(0) == 12


def test_require_all_lists_on_the_terminal_what_was_not_tested(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster",
        "from fixtures.claims import NotTested\n"
        "@so()\ndef test_a(cluster): inspected_one(1)\n"
        "@so()\ndef test_b(cluster): raise NotTested('nothing may be written')\n",
    )
    ended = runs.run("--require-all")
    assert ended.code == 12
    assert "Required and not tested (1):" in ended.output
    assert "   cluster/b: nothing may be written" in ended.output


def test_require_all_lets_be_what_is_no_part_of_the_mesh() -> None:
    made = ended("passed", "not-claimed", require_all=True)
    made.results = {k: replace(a, required=False) for k, a in made.results.items()}
    assert made.exit_code(0) == 0


def test_a_claim_says_by_its_exception_whether_its_subject_is_there(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster",
        "from fixtures.claims import NotApplicable\n"
        "@so()\ndef test_a(cluster): inspected_one(1)\n"
        "@so()\ndef test_b(cluster): raise NotApplicable('no such part')\n"
        "@so(feature='gateway-api')\ndef test_c(cluster): inspected_one(1)\n",
    )
    ended = runs.run("--require-all")
    assert ended.verdicts == {
        "cluster/a": "passed",
        "cluster/b": "not-claimed",
        "cluster/c": "not-claimed",
    }
    assert ended.code == 0


def test_a_passed_claim_that_examined_nothing_fails_the_run(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): ...\n")
    ended = runs.run()
    assert ended.code == ended.report["exit_code"] == 12
    assert ended.verdicts == {"cluster/a": "error"}


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        pytest.param(("-k", "test_a"), ("suites",), id="-k"),
        pytest.param(("-m", "claim"), ("suites",), id="-m"),
        pytest.param(("--lf",), ("suites",), id="--lf"),
        pytest.param(
            ("--deselect", "suites/test_01_cluster.py::test_b"), ("suites",), id="--deselect"
        ),
        pytest.param((), ("suites/test_01_cluster.py",), id="a path"),
        pytest.param(("suites/test_01_cluster.py",), ("suites",), id="a path through tox"),
    ],
)
def test_a_narrowed_run_is_marked_partial(
    runs: SmallRuns, options: tuple[str, ...], paths: tuple[str, ...]
) -> None:
    so = "@so()\ndef test_{}(cluster): inspected_one(1)\n"
    runs.claims("01_cluster", so.format("a") + so.format("b"))
    ended = runs.run(*options, paths=paths)
    assert ended.report["partial"]
    assert "PARTIAL" in ended.output
    assert ended.code == 0


def test_a_path_behind_the_whole_suites_narrows_them(runs: SmallRuns) -> None:
    for module in ("01_cluster", "02_installation"):
        runs.claims(module, "@so()\ndef test_a(access): inspected_one(1)\n")
    assert list(runs.run("suites/test_02_installation.py").verdicts) == ["installation/a"]


def test_the_whole_run_is_not_partial(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    assert not runs.run().report["partial"]


def test_claims_that_cannot_be_read_end_the_run(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "def test_(: \n")
    ended = runs.run()
    assert ended.code == 2
    assert not ended.report["complete"]


def test_stopping_at_the_first_failure_leaves_an_incomplete_report(runs: SmallRuns) -> None:
    so = "@so()\ndef test_{}(cluster): {}\n"
    runs.claims("01_cluster", so.format("a", "assert False") + so.format("b", "inspected_one(1)"))
    ended = runs.run("-x")
    assert ended.code == 1
    assert not ended.report["complete"]
    assert ended.message("cluster/b").startswith("not tested: ")


def test_an_internal_error_leaves_an_incomplete_report(pytester: pytest.Pytester) -> None:
    world = "def pytest_runtest_logstart(): raise ValueError('ours')\n"
    runs = SmallRuns(pytester).begin(world=world)
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    ended = runs.run()
    assert ended.code == ended.report["exit_code"] == 3
    assert "ValueError: ours" in ended.report["reason"]
