"""The webhook: told of changes only, once each, and again after a run where it was not reached."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.run.state import Result
from reports.data import as_json
from reports.model import Run
from reports.notify import Change, Reported, change, file_of
from reports.past import Past
from reports.stored import Stored
from tests.small_runs import SmallRuns
from tests.unit.receiver import Receiver, receiving
from tests.unit.runs import good, run, stopped

pytest_plugins = ["pytester"]

SECRET = "s3cr3t-of-the-user-0123456789"  # the canary, no password
PASSING = "@so()\ndef test_a(cluster): inspected_one(1)\n"
FAILING = """
@so()
def test_a(cluster):
    raise ClaimFailed("pod a/b", expected="ready", got="<!channel> Pending")
"""
REFUSING = """
from fixtures.providers.base import ProvisioningFailed

@contextmanager
def refuse(self):
    raise ProvisioningFailed("it does not answer")
    yield

Pretended.provide = refuse
"""


def body(receiver: Receiver) -> Any:
    """What was sent last."""
    return json.loads(receiver.received[-1].body)


def test_each_change_is_told_once(runs: SmallRuns) -> None:
    with receiving() as hook:
        told = []
        for source in (PASSING, PASSING, FAILING, FAILING, PASSING, PASSING):
            runs.claims("01_cluster", source)
            runs.run("--notify", f"{hook.url}/{SECRET}")
            told.append(len(hook.received))
    assert told == [0, 0, 1, 1, 2, 2]
    failed, passed = (json.loads(request.body)["text"] for request in hook.received)
    assert "Rehearsal failed (before: Rehearsal passed)" in failed
    assert "newly red: cluster/a: pod a/b: expected ready, got &lt;!channel&gt; Pending" in failed
    assert "Rehearsal passed (before: Rehearsal failed)" in passed
    assert "green again: cluster/a" in passed


def test_what_was_not_told_is_told_after_the_next_run(runs: SmallRuns) -> None:
    runs.claims("01_cluster", FAILING)
    with receiving(status=500) as broken:
        ended = runs.run("--notify", f"{broken.url}/{SECRET}")
    assert ended.code == 1
    assert "WARNING: --notify: not sent to 127.0.0.1: it answered 500" in ended.output
    assert SECRET not in ended.output
    with receiving() as hook:
        runs.run("--notify", f"{hook.url}/{SECRET}")
        runs.run("--notify", f"{hook.url}/{SECRET}")
    assert len(hook.received) == 1


def test_a_cluster_that_cannot_be_reached_is_told_once(runs: SmallRuns) -> None:
    with receiving() as hook:
        options = ("--notify", hook.url, "--kube-version", "1.35")  # the version that is pretended
        runs.claims("01_cluster", PASSING)
        runs.run(*options)
        runs.begin(world=REFUSING)
        codes = [runs.run(*options).code for _ in range(2)]
    assert codes == [10, 10]
    assert len(hook.received) == 1
    assert "INCOMPLETE (before: Rehearsal passed)" in body(hook)["text"]
    assert "it does not answer" in body(hook)["text"]


@pytest.mark.parametrize(
    "options", [("-k", "test_a"), ("suites/test_77_none.py",)], ids=["narrowed", "mistyped"]
)
def test_what_says_nothing_of_the_whole_is_not_told(
    runs: SmallRuns, options: tuple[str, ...]
) -> None:
    runs.claims("01_cluster", FAILING)
    with receiving() as hook:
        runs.run("--notify", hook.url, *options)
    assert hook.received == []


def test_plain_json_has_its_parts(runs: SmallRuns) -> None:
    runs.claims("01_cluster", FAILING)
    with receiving() as hook:
        runs.run("--notify", hook.url, "--notify-as", "json")
    told = body(hook)
    assert told["headline"] == "Rehearsal failed"
    assert told["exit_code"] == 1
    assert told["newly_red"] == {"cluster/a": "pod a/b: expected ready, got <!channel> Pending"}
    assert (told["green_again"], told["still_red"]) == ([], [])
    assert told["before"] == {"headline": "", "started": ""}


def test_a_secret_of_the_cluster_is_not_told(runs: SmallRuns) -> None:
    runs.claims("01_cluster", FAILING.replace("Pending", "Bearer abcdefghijkl"))
    with receiving() as hook:
        runs.run("--notify", hook.url)
    assert b"newly red" in hook.received[0].body
    assert b"abcdefghijkl" not in hook.received[0].body


# What is a change

KNOWN = Reported("Failed", "2026-11-20T21:00:00+00:00", "1.30.3", "1.35.2", {})


def since(known: Reported, made: Run, tmp_path: Path) -> Change:
    known.write(file_of(made, tmp_path))
    return change(made, tmp_path)


def failing(*names: str) -> Run:
    """A run over a real cluster in which these claims fail, and no other."""
    whole = good("conformance")
    template = run().stages[1].results[0]
    results = tuple(replace(template, claim=replace(template.claim, id=name)) for name in names)
    stage = replace(run().stages[1], results=results)
    return replace(whole, stages=(*whole.stages, stage), exit_code=1 if names else 0)


def blocked(made: Run) -> Run:
    """The same run, with nothing tested in that stage."""

    def untested(result: Result) -> Result:
        return replace(result, verdict="blocked")

    last = made.stages[-1]
    stage = replace(last, results=tuple(map(untested, last.results)))
    return replace(made, stages=(*made.stages[:-1], stage))


@pytest.mark.parametrize(
    ("red", "made", "newly", "again"),
    [
        pytest.param(["s/a"], failing("s/a", "s/b"), ["s/b"], [], id="one more"),
        pytest.param(["s/a", "s/b"], failing("s/b"), [], [], id="one is not among the claims"),
        pytest.param(["s/a"], blocked(failing("s/a")), [], [], id="not tested"),
        pytest.param(
            ["s/a", "cluster/every-node-is-ready"],
            failing("s/a"),
            [],
            ["cluster/every-node-is-ready"],
            id="one less",
        ),
    ],
)
def test_what_is_new(
    tmp_path: Path, red: list[str], made: Run, newly: list[str], again: list[str]
) -> None:
    found = since(replace(KNOWN, red=dict.fromkeys(red, "so")), made, tmp_path)
    assert [*found.newly_red] == newly
    assert [*found.green_again] == again
    assert found.worth_telling is bool(newly or again)


def test_other_versions_are_told_with_a_change(tmp_path: Path) -> None:
    found = since(KNOWN, failing("s/a"), tmp_path)
    assert found.versions == {"Istio": ("1.30.3", "1.31.0")}
    assert "Istio: 1.30.3 -&gt; 1.31.0" in found.as_slack()["text"]


@pytest.mark.parametrize(
    ("made", "told"),
    [(good("conformance"), 0), (failing("s/a"), 1), (stopped(), 1)],
    ids=["good", "failed", "stopped"],
)
def test_a_first_run_is_told_unless_it_is_good(tmp_path: Path, made: Run, told: int) -> None:
    assert change(made, tmp_path).worth_telling == bool(told)


def test_a_file_that_cannot_be_read_is_as_none(tmp_path: Path) -> None:
    file_of(run(), tmp_path).write_text('{"headline": 7, "more": 1}')
    assert change(run(), tmp_path).before == Reported()


def test_many_are_counted(tmp_path: Path) -> None:
    found = since(KNOWN, failing(*(f"s/{n}" for n in range(30))), tmp_path)
    text = found.as_slack()["text"]
    assert text.count("newly red") == 20
    assert "\nand 10 more" in text


def test_earlier_reports_are_what_was_told_where_nothing_was(tmp_path: Path) -> None:
    earlier = Stored.parse(json.dumps(as_json(good("conformance"))).encode(), "earlier")
    made = replace(failing("s/a"), past=Past(latest=earlier))
    assert change(made, tmp_path).before.headline == "Passed"


def test_what_was_told_is_kept_where_the_other_reports_are(runs: SmallRuns) -> None:
    reports = runs.folder.parent
    reports.mkdir()
    runs.claims("01_cluster", FAILING)
    with receiving() as hook:
        for night in range(2):
            options = ("--history", "reports", "--reports-dir", f"reports/night-{night}")
            runs.run("--notify", hook.url, *options)
    assert len(hook.received) == 1
    assert [path.parent for path in reports.rglob(".notified-*.json")] == [reports]
