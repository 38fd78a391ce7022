"""The exit codes of the contract, and which one is said where several hold."""

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.run.run import Answer, Claim, Settings, Verdict, Walk
from fixtures.run.stages import BY_NAME
from tests.walks import Walks

pytest_plugins = ["pytester"]


def walk(*verdicts: Verdict, require_all: bool = False, partial: bool = False) -> Walk:
    made = Walk(Settings("embedded", "1.31.0", "1.35", "smoke", Path(), require_all=require_all))
    made.partial = partial
    for number, verdict in enumerate(verdicts):
        claim = Claim(
            f"cluster/{number}", "So.", "", "", "core", "", False, BY_NAME["cluster"], str(number)
        )
        made.claims.append(claim)
        made.answers[claim.id] = Answer(claim, verdict)
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
def test_the_exit_code_of_an_ended_walk(verdicts: list[Verdict], pytests: int, code: int) -> None:
    assert walk(*verdicts).exit_code(pytests) == code


@pytest.mark.parametrize("stopped", [13, 11, 10, 2])
def test_why_a_walk_was_stopped_comes_before_what_failed(stopped: int) -> None:
    made = walk("failed", "blocked")
    made.stop("because", stopped)
    assert made.exit_code(2) == stopped


def test_the_first_reason_to_stop_counts() -> None:
    made = walk()
    made.stop("the cluster died", 10)
    made.stop("stopped by SIGTERM", 2)
    assert made.stopped is not None
    assert made.stopped.reason == "the cluster died"


def test_require_all_makes_not_claimed_a_failure() -> None:
    assert walk("passed", "not-claimed", require_all=True).exit_code(0) == 12


def test_require_all_lets_be_what_is_no_part_of_the_mesh() -> None:
    made = walk("passed", "not-claimed", require_all=True)
    made.answers = {k: replace(a, required=False) for k, a in made.answers.items()}
    assert made.exit_code(0) == 0


def test_a_claim_says_by_its_exception_whether_its_subject_is_there(walks: Walks) -> None:
    walks.claims(
        "01_cluster",
        "from fixtures.claims import NotThere\n"
        "@so()\ndef test_a(cluster): examined_one(1)\n"
        "@so()\ndef test_b(cluster): raise NotThere('no such part')\n"
        "@so(feature='gateway-api')\ndef test_c(cluster): examined_one(1)\n",
    )
    ended = walks.walk("--require-all")
    assert ended.verdicts == {
        "cluster/a": "passed",
        "cluster/b": "not-claimed",
        "cluster/c": "not-claimed",
    }
    assert ended.code == 0


def test_a_passed_claim_that_examined_nothing_fails_the_walk(walks: Walks) -> None:
    walks.claims("01_cluster", "@so()\ndef test_a(cluster): ...\n")
    ended = walks.walk()
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
def test_a_narrowed_walk_is_marked_partial(
    walks: Walks, options: tuple[str, ...], paths: tuple[str, ...]
) -> None:
    so = "@so()\ndef test_{}(cluster): examined_one(1)\n"
    walks.claims("01_cluster", so.format("a") + so.format("b"))
    ended = walks.walk(*options, paths=paths)
    assert ended.report["partial"]
    assert "PARTIAL" in ended.output
    assert ended.code == 0


def test_a_path_behind_the_whole_suites_narrows_them(walks: Walks) -> None:
    for module in ("01_cluster", "02_installation"):
        walks.claims(module, "@so()\ndef test_a(access): examined_one(1)\n")
    assert list(walks.walk("suites/test_02_installation.py").verdicts) == ["installation/a"]


def test_the_whole_walk_is_not_partial(walks: Walks) -> None:
    walks.claims("01_cluster", "@so()\ndef test_a(cluster): examined_one(1)\n")
    assert not walks.walk().report["partial"]


def test_claims_that_cannot_be_read_end_the_walk(walks: Walks) -> None:
    walks.claims("01_cluster", "def test_(: \n")
    ended = walks.walk()
    assert ended.code == 2
    assert not ended.report["complete"]


def test_stopping_at_the_first_failure_leaves_an_incomplete_report(walks: Walks) -> None:
    so = "@so()\ndef test_{}(cluster): {}\n"
    walks.claims("01_cluster", so.format("a", "assert False") + so.format("b", "examined_one(1)"))
    ended = walks.walk("-x")
    assert ended.code == 1
    assert not ended.report["complete"]
    assert ended.message("cluster/b").startswith("not asked: ")


def test_an_internal_error_leaves_an_incomplete_report(pytester: pytest.Pytester) -> None:
    world = "def pytest_runtest_logstart(): raise ValueError('ours')\n"
    walks = Walks(pytester).begin(world=world)
    walks.claims("01_cluster", "@so()\ndef test_a(cluster): examined_one(1)\n")
    ended = walks.walk()
    assert ended.code == ended.report["exit_code"] == 3
    assert "ValueError: ours" in ended.report["reason"]
