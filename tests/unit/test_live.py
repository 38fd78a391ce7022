"""What is shown while a run goes on: in place on a terminal, as plain lines elsewhere."""

import os
import pty
import re
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO

import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import Waiting, change_wait_policy, eventually
from fixtures.run.stages import BY_NAME
from fixtures.run.state import Claim
from fixtures.run.timeline import Step, Timeline
from reports.live import AGAIN_SECONDS, ERASE, FIRST_SECONDS, Live, takes_lines_in_place
from reports.terminal import table
from tests.golden import Golden
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
COLOUR = re.compile(r"\x1b\[\d+(;\d+)*m")
PULLING = Waiting("pods become ready", "istiod 0/1, pulling image", 40, 300)


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def live(*, in_place: bool, width: int = 80) -> tuple[Live, StringIO]:
    out = StringIO()
    return Live(out, in_place=in_place, width=width), out


def test_a_wait_is_shown_in_place_and_taken_away() -> None:
    shown, out = live(in_place=True)
    shown.waiting(PULLING)
    assert out.getvalue() == f"{ERASE}   istiod 0/1, pulling image, 40 s of 300 s"
    shown.waiting(replace(PULLING, over=True))
    assert out.getvalue().endswith(ERASE)


def test_a_long_line_is_cut_and_keeps_its_time() -> None:
    shown, out = live(in_place=True, width=40)
    shown.waiting(Waiting("x", "a very long story about pods and their images", 40, 300))
    line = out.getvalue().removeprefix(ERASE)
    assert len(line) < 40
    assert line.endswith("…, 40 s of 300 s")


def test_what_is_over_at_once_is_not_shown() -> None:
    shown, out = live(in_place=True)
    shown.waiting(Waiting("x", "a moment", 0.1, 300))
    shown.waiting(Waiting("x", "", 0.1, 300, over=True))
    assert out.getvalue() == ""


def test_elsewhere_a_long_wait_is_shown_now_and_then(golden: Golden) -> None:
    shown, out = live(in_place=False)
    for used in (FIRST_SECONDS - 1, FIRST_SECONDS + 1):
        shown.waiting(Waiting("x", "istiod 0/1", used, 300))
        shown.waiting(Waiting("x", "", used, 300, over=True))
    golden(out.getvalue())
    shown.waiting(Waiting("x", "istiod 0/1", 10, 300))
    shown.waiting(Waiting("x", "istiod 0/1", 11, 300))
    assert out.getvalue().count("\n") == 2
    assert AGAIN_SECONDS > 1


def test_a_wait_that_has_others_inside_is_shown_as_often() -> None:
    shown, out = live(in_place=False)
    for used in (6, 7, 8):
        shown.waiting(Waiting("outside", "a fault", used, 60))
        shown.waiting(Waiting("inside", "a pod", 1, 60))
        shown.waiting(Waiting("inside", "", 1, 60, over=True))
    assert out.getvalue().count("a fault, ") == 1


def test_a_step_is_shown_when_it_took_long_or_went_wrong(golden: Golden) -> None:
    shown, out = live(in_place=False)
    for step in (Step("cluster", 0, 74), Step("sample", 0, 0.2), Step("Istio", 0, 1, well=False)):
        shown.step(step.name)
        shown.step(step)
    golden(out.getvalue())


def test_a_step_is_shown_while_it_lasts() -> None:
    shown, out = live(in_place=True)
    timeline = Timeline(listener=shown.step)
    with timeline.step("kind: cluster"):
        time.monotonic()
        shown._activities["step kind: cluster"].began -= 40
        shown.show()
    assert "kind: cluster, 40 s" in out.getvalue()
    assert out.getvalue().endswith(f"{ERASE}")


@pytest.mark.parametrize(
    ("out", "environment", "in_place"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, True),
        (Terminal(), {"CI": "true"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (StringIO(), {}, False),
    ],
)
def test_lines_are_written_over_on_terminals_only(
    out: StringIO, environment: dict[str, str], *, in_place: bool
) -> None:
    assert takes_lines_in_place(out, environment) == in_place


def test_a_wait_reports_how_far_it_is() -> None:
    reported: list[Waiting] = []
    results = iter(["istiod 0/1", ""])

    def probe() -> None:
        if brief := next(results):
            raise ClaimFailed("istiod", expected="ready", got="not", brief=brief)

    change_wait_policy(on_progress=reported.append)
    try:
        eventually(probe, within=timeout("pods become ready", 5), every=0.01)
    finally:
        change_wait_policy(on_progress=None)
    assert [(t.brief, t.over) for t in reported] == [("istiod 0/1", False), ("", True)]


# A whole state, on a terminal and not

WAITS = """
from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import eventually

@so("The pod becomes ready.")
def test_the_pod_becomes_ready(cluster):
    tries = iter(range(9))
    def probe():
        if next(tries) < 8:
            pulling = "istiod 0/1, pulling image"
            raise ClaimFailed("pod", expected="ready", got="not", brief=pulling)
    inspected_one(eventually(probe, within=timeout("pods become ready", 20), every=0.05) or 1)
"""


def shown_by(runs: SmallRuns, *, terminal: bool, **environment: str) -> str:
    """What a run shows, on a terminal or in a file."""
    runs.claims("01_cluster", WAITS)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "suites", "--provider", "embedded"]
    given = {k: v for k, v in os.environ.items() if k not in {"CI", "NO_COLOR", "PY_COLORS"}}
    out = theirs if terminal else subprocess.PIPE
    with subprocess.Popen(
        command,
        cwd=runs.pytester.path,
        stdout=out,
        stderr=subprocess.STDOUT,
        env={**given, "TERM": "xterm", **environment},
    ) as process:
        os.close(theirs)
        if not terminal:
            os.close(ours)
            return process.communicate(timeout=60)[0].decode()
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(ours)
        process.wait(timeout=60)
    return shown.decode()


def test_a_terminal_shows_the_wait_in_place(runs: SmallRuns) -> None:
    shown = shown_by(runs, terminal=True)
    assert re.search(r"\x1b\[2K   istiod 0/1, pulling image, \d+ s of 20 s", shown)
    assert COLOUR.search(shown)
    heading, wait, line = (shown.index(w) for w in ("1 The cluster", "pulling", "becomes ready."))
    assert heading < wait < line


def test_no_color_is_respected_and_the_wait_still_shown(runs: SmallRuns) -> None:
    shown = shown_by(runs, terminal=True, NO_COLOR="1")
    assert "pulling image" in shown
    assert not COLOUR.search(shown)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_ci_log_has_plain_lines(runs: SmallRuns, *, terminal: bool) -> None:
    shown = shown_by(runs, terminal=terminal, CI="true").replace("\r\n", "\n")
    assert "1 The cluster\n   passed      The pod becomes ready." in shown
    assert not CONTROL.search(shown)


# --list-claims


def claim(name: str, text: str, feature: str = "") -> Claim:
    return Claim(f"cluster/{name}", text, "", "", "core", feature, False, BY_NAME["cluster"], name)


CLAIMS = (claim("short", "One."), claim("a-long-name", "Two words " * 12, "ingress"))


def test_claims_are_listed_one_a_line_where_there_is_no_screen() -> None:
    lines = list(table(CLAIMS, None))
    assert lines[0].split() == ["CLAIM", "LEVEL", "NEEDS", "TEXT"]
    assert lines[2] == " 1 The cluster"
    assert lines[3] == "cluster/short        core               One."
    assert lines[4].startswith("cluster/a-long-name  core      ingress  Two words")


@pytest.mark.parametrize("width", [60, 100])
def test_claims_are_listed_within_the_screen(width: int) -> None:
    lines = list(table(CLAIMS, width))
    assert max(map(len, lines)) <= width
    assert sum(line.count("words") for line in lines) == 12
