"""The walk on the terminal: a line a claim under its stage's heading, the verdict at the end.

Only what is shown while it goes and at its end; files are written by `reports.recorder`.
"""

from __future__ import annotations

import pytest

from fixtures.walk import Answer, Verdict, Walk, is_walk, walk_of
from reports.model import EXIT_WORDS, Run, run_of

Markup = dict[str, bool]

WORDS: dict[Verdict, tuple[str, Markup]] = {
    "passed": ("passed", {"green": True}),
    "failed": ("FAILED", {"red": True, "bold": True}),
    "blocked": ("BLOCKED", {"yellow": True}),
    "not-claimed": ("not claimed", {"cyan": True}),
    "error": ("ERROR", {"red": True, "bold": True}),
}
# How pytest sorts them for the list of failures and its closing line.
CATEGORIES: dict[Verdict, str] = {"not-claimed": "not claimed"}


def answer_of(report: pytest.TestReport | pytest.CollectReport) -> Answer | None:
    """The answer that `fixtures.plugins.claims` gave to this report, if it did."""
    if isinstance(report, pytest.CollectReport):
        return None
    given = dict(report.user_properties).get("answer")
    return given if isinstance(given, Answer) else None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take the place of pytest's own lines, in walks only."""
    if is_walk(config):
        if config.option.reportchars == "fE":  # nobody asked for another summary than ours
            config.option.reportchars = ""
        config.pluginmanager.register(Terminal(walk_of(config), config), "seatrial-terminal")


class Terminal:
    """What a walk shows."""

    def __init__(self, walk: Walk, config: pytest.Config) -> None:
        self.walk = walk
        self.config = config
        self._heading = ""

    @property
    def _out(self) -> pytest.TerminalReporter:
        found = self.config.pluginmanager.get_plugin("terminalreporter")
        assert isinstance(found, pytest.TerminalReporter)
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool | None:
        """List the claims instead of asking them, where only that is wanted."""
        self._out.showfspath = False
        if not self.config.option.list_claims:
            return None
        for claim in self.walk.claims:
            feature = f", needs {claim.feature}" if claim.feature else ""
            self._out.write_line(f"{claim.id}  ({claim.level}{feature})\n    {claim.text}")
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport | pytest.CollectReport
    ) -> tuple[str, str, str | tuple[str, Markup]] | None:
        """Our words for verdicts; the short letters are shown as lines by us."""
        answer = answer_of(report)
        if answer is None:
            return None if report.failed else ("", "", "")
        category = CATEGORIES.get(answer.verdict, answer.verdict)
        long = self._out.verbosity > 0
        return category, "", WORDS[answer.verdict] if long else ""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One line a claim."""
        answer = answer_of(report)
        if answer is None or self._out.verbosity > 0:
            return
        stage = answer.claim.stage
        if self._heading != stage.name:
            self._heading = stage.name
            self._out.write_line("")
            self._out.write_line(f"{stage.number:>2} {stage.title}", bold=True)
        word, markup = WORDS[answer.verdict]
        self._out.write(f"   {word:<11}", **markup)
        seconds = f"  {answer.seconds:.1f} s" if answer.seconds >= 0.1 else ""
        self._out.write_line(f" {answer.claim.text}{seconds}")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, exitstatus: int) -> None:
        """The verdict, the counts, and where the report is."""
        if self.config.option.list_claims:
            return
        run = run_of(self.walk, exit_code=self.walk.exit_code(int(exitstatus)))
        good = run.good and not run.subject.rehearsal
        self._out.write_sep("=", run.headline, green=run.good, red=not run.good, bold=True)
        for line in closing(run):
            self._out.write_line(line, **({"green": True} if good else {}))
        if self.walk.settings:
            self._out.write_line(f"report: {self.walk.settings.reports_dir / 'report.html'}")


def closing(run: Run) -> list[str]:
    """The last lines of a walk."""
    lines = [run.sentence, run.counted]
    lines += [f"fault: {run.subject.fault}"] if run.subject.fault else []
    causes = [s.broken for s in run.stages if s.broken]
    lines += [f"{broken.stage} broke: {broken.cause}" for broken in causes]
    if run.exit_code:
        lines.append(f"exit code {run.exit_code}: {EXIT_WORDS.get(run.exit_code, 'see above')}")
    return lines
