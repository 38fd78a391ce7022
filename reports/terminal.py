"""The run on the terminal: a line a claim under its stage's heading, the verdict at the end.

Only lines that stay belong here; the one that says what is waited for is `reports.live`, files are
written by `reports.recorder`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

import pytest

from fixtures.claims.waiting import change_wait_policy
from fixtures.run.stages import Stage
from fixtures.run.state import Claim, Result, RunState, Verdict, is_suite_run, state_of
from reports.failures import Failure, unprepared
from reports.live import Live, takes_lines_in_place, undisturbed
from reports.model import Run, run_of
from reports.summary import short

Markup = dict[str, bool]

WORDS: dict[Verdict, tuple[str, Markup]] = {
    "passed": ("passed", {"green": True}),
    "failed": ("FAILED", {"red": True, "bold": True}),
    "blocked": ("BLOCKED", {"yellow": True}),
    "not-claimed": ("not claimed", {"cyan": True}),
    "error": ("ERROR", {"red": True, "bold": True}),
}
# With any of these the user chooses colours.
COLOURS = ("FORCE_COLOR", "PY_COLORS")
NARROWEST_TEXT = 40
MOST_FAILURES, MOST_LINES, MOST_REASONS = 20, 12, 5
# How pytest sorts them for the list of failures and its closing line.
CATEGORIES: dict[Verdict, str] = {"not-claimed": "not claimed"}


def result_of(report: pytest.TestReport | pytest.CollectReport) -> Result | None:
    """The result that `fixtures.run.gating` gave to this report, if it did."""
    if isinstance(report, pytest.CollectReport):
        return None
    given = dict(report.user_properties).get("result")
    return given if isinstance(given, Result) else None


@pytest.hookimpl(tryfirst=True)  # before the options are checked: what is wrong with them is shown
def pytest_configure(config: pytest.Config) -> None:
    """Take the place of pytest's own lines, in runs of the suite only."""
    if is_suite_run(config):
        if config.option.reportchars == "fE":  # no other summary than ours was requested
            config.option.reportchars = ""
        config.pluginmanager.register(Terminal(state_of(config), config), "seatrial-terminal")


class Terminal:
    """What a run shows."""

    def __init__(self, state: RunState, config: pytest.Config) -> None:
        self.state = state
        self.config = config
        self._heading = ""
        self._headings: set[str] = set()
        self._unprepared: set[str] = set()
        self._live: Live | None = None

    @property
    def _out(self) -> pytest.TerminalReporter:
        found = self.config.pluginmanager.get_plugin("terminalreporter")
        assert isinstance(found, pytest.TerminalReporter)
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Begin to show what goes on; in a CI's log without colours unless requested."""
        if os.environ.get("CI") and not any(name in os.environ for name in COLOURS):
            self.config.get_terminal_writer().hasmarkup = False
            self._out.isatty = type(self._out.isatty)(False)
        out, width = undisturbed(sys.stdout), self.config.get_terminal_writer().fullwidth
        self._live = Live(out, in_place=takes_lines_in_place(out, os.environ), width=width)
        self._live.begin()
        self.state.timeline.listener = self._live.step
        change_wait_policy(on_progress=self._live.waiting)
        self.config.add_cleanup(self._end_live)

    def _end_live(self) -> None:
        change_wait_policy(on_progress=None)
        self.state.timeline.listener = None
        if self._live:
            self._live.end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool | None:
        """List the claims instead of testing them, where only that is wanted."""
        self._out.showfspath = False
        if not self.config.option.list_claims:
            self._flush()
            return None
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in table(self.state.claims, width):
            self._out.write_line(line)
        assert self.state.settings
        self._out.write_line("")
        for line in left_out(self.state.left_out, self.state.settings.profile):
            self._out.write_line(line)
        return True

    def _flush(self) -> None:
        """Have on the screen what was written, before a descriptor beside it is used."""
        with contextlib.suppress(OSError):  # who read it is gone, which is no error of the run
            self.config.get_terminal_writer().flush()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport | pytest.CollectReport
    ) -> tuple[str, str, str | tuple[str, Markup]] | None:
        """Our words for verdicts; the short letters are shown as lines by us."""
        result = result_of(report)
        if result is None:
            return None if report.failed else ("", "", "")
        category = CATEGORIES.get(result.verdict, result.verdict)
        long = self._out.verbosity > 0
        return category, "", WORDS[result.verdict] if long else ""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A heading before the first claim of a stage is tested, and so before its waits."""
        found = (  # modules of one name in two folders of one's own have one name for pytest
            claim.stage
            for claim in self.state.claims
            if claim.nodeid == nodeid and claim.id not in self.state.results
        )
        stage = next(found, None)
        if stage and self._out.verbosity <= 0:
            self._head(stage)

    def _head(self, stage: Stage) -> None:
        if self._heading != stage.name:
            self._heading = stage.name
            self._out.write_line("")
            again = ", its claims that run last" if stage.name in self._headings else ""
            self._headings.add(stage.name)
            self._out.write_line(f"{stage.number:>2} {stage.title}{again}", bold=True)
            self._flush()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One line a claim."""
        result = result_of(report)
        if result is None or self._out.verbosity > 0:
            return
        if self._live:
            self._live.clear()
        self._say_what_blocks(result)
        word, markup = WORDS[result.verdict]
        self._out.write(f"   {word:<11}", **markup)
        seconds = f"  {result.seconds:.1f} s" if result.seconds >= 0.1 else ""
        self._out.write_line(f" {result.claim.text}{seconds}")
        self._flush()

    def _say_what_blocks(self, result: Result) -> None:
        """Say once, before the claims that it blocks, that a stage could not be prepared."""
        stage = result.claim.stage
        if result.blocked_by == stage.name and stage.name not in self._unprepared:
            self._unprepared.add(stage.name)
            word, markup = WORDS["failed"]
            self._out.write(f"   {word:<11}", **markup)
            self._out.write_line(f" {unprepared(stage)}: {self.state.broken[stage.name].cause}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave out pytest's list of failures, a block a claim: ours has a block a cause."""
        errors = self._out.stats.get("error", ())
        collected = not any(isinstance(error, pytest.CollectReport) for error in errors)
        if collected and self._out.verbosity <= 0:
            self.config.option.tbstyle = "no"

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, exitstatus: int) -> None:
        """The verdict, the counts, and where the report is."""
        if self.config.option.list_claims:
            return
        run = run_of(self.state, exit_code=self.state.exit_code(int(exitstatus)))
        good = run.good and not run.subject.rehearsal
        for line in (*not_claimed(run), *failures(run), *lacking(run)):
            self._out.write_line(line)
        self._out.write_sep("=", run.headline, green=run.good, red=not run.good, bold=True)
        for line in closing(run):
            self._out.write_line(line, **({"green": True} if good else {}))
        for line in self.state.report.splitlines():
            self._out.write_line(f"report: {line}")


def failures(run: Run) -> Iterator[str]:
    """What failed, a block a cause, the earliest in the chain of causes first."""
    if run.failures:
        yield ""
        yield "Failures, each cause once, the earliest in the chain first:"
    for number, failure in enumerate(run.failures[:MOST_FAILURES], 1):
        yield ""
        yield from _failure(number, failure)
    if (more := len(run.failures) - MOST_FAILURES) > 0:
        yield f"and {more} more: see the report"
    if run.reach and any(failure.next_steps for failure in run.failures):
        yield ""
        yield f"{run.reach}."


def _failure(number: int, failure: Failure) -> Iterator[str]:
    yield f"{number}. {failure.id}: {failure.title}"
    yield from (f"   {line}" for line in failure.message.splitlines()[:MOST_LINES])
    yield f"   hint: {failure.hint}"
    yield from (f"   next: {command}" for command in failure.next_steps)
    if failure.may_follow_from:
        yield f"   may follow from: {failure.may_follow_from}"
    if failure.others:
        yield f"   {len(failure.others)} more of this cause: {short(', '.join(failure.others))}"
    if failure.blocked:
        yield f"   {failure.blocks}"


def lacking(run: Run) -> Iterator[str]:
    """What was required and not tested, which ends a run with exit code 12."""
    if run.lacking:
        yield ""
        yield f"Required and not tested ({len(run.lacking)}):"
        yield from (f"   {name}: {short(why)}" for name, why in run.lacking[:MOST_FAILURES])
    if (more := len(run.lacking) - MOST_FAILURES) > 0:
        yield f"   and {more} more: see the report"


def left_out(ids: Sequence[str], profile: str) -> Iterator[str]:
    """The claims that a profile does not include."""
    if ids:
        yield ""
        yield f"Not in profile {profile} ({len(ids)}; profile conformance tests them):"
        yield from (f"   {name}" for name in ids)


def not_claimed(run: Run) -> Iterator[str]:
    """Why claims were not claimed, the most frequent reason first."""
    if run.reasons:
        yield ""
        yield f"Not claimed ({run.counts['not-claimed']}):"
        yield from (f"   {n:>3}  {short(why)}" for why, n in run.reasons[:MOST_REASONS])
    if (more := len(run.reasons) - MOST_REASONS) > 0:
        yield f"   and {more} more reasons: see the report"


def table(claims: Sequence[Claim], width: int | None) -> Iterator[str]:
    """The claims as a table under their stages' titles; without a width, one line a claim."""
    longest = max((len(claim.id) for claim in claims), default=0)
    needs = max((len(claim.feature) for claim in claims), default=0)
    first = f"{'CLAIM':<{longest}}  {'LEVEL':<8}  {'NEEDS':<{max(needs, 5)}}  "
    # Where a whole sentence does not fit beside its id, it stands below it.
    beside = width is None or width - len(first) >= NARROWEST_TEXT
    yield first + "TEXT" if beside else first.rstrip()
    stage = None
    for claim in claims:
        if claim.stage != stage:
            stage = claim.stage
            yield ""
            yield f"{stage.number:>2} {stage.title}"
        row = f"{claim.id:<{longest}}  {claim.level:<8}  {claim.feature:<{max(needs, 5)}}  "
        if width is None:
            yield row + claim.text
        elif beside:
            lines = textwrap.wrap(claim.text, width - len(first))
            yield row + lines[0]
            yield from (" " * len(first) + line for line in lines[1:])
        else:
            yield row.rstrip()
            yield from textwrap.wrap(
                claim.text, max(width - 4, 20), initial_indent="    ", subsequent_indent="    "
            )


def closing(run: Run) -> list[str]:
    """The last lines of a run."""
    lines = [run.sentence, *run.warnings]
    if run.left_out:
        n = len(run.left_out)
        lines.append(f"{n} claims are not in profile {run.subject.profile}: see --list-claims")
    lines += [f"fault: {run.subject.fault}"] if run.subject.fault else []
    if run.exit_code:
        lines.append(f"exit code {run.exit_code}: {run.why or 'see above'}")
    return lines
