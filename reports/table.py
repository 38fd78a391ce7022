"""pytest-html's own table below our page: our words in its rows, in the order of the state.

pytest-html counts and filters by pytest's outcomes, which know no "blocked". Each of our verdicts
takes the place of one of them, under our name, so that both count the same. The table is drawn by
a script: everything in it stands in the static page, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from fixtures.run.state import Result
from reports.html import STYLE, article, title_of, word_of
from reports.model import Run
from reports.terminal import answer_of

# By which of pytest-html's outcomes a verdict is filtered; its script knows no others.
OUTCOMES = {
    "passed": "passed",
    "failed": "failed",
    "blocked": "xfailed",
    "error": "error",
    "not claimed": "skipped",
    "not asked": "rerun",
}
LABELS = {outcome: word for word, outcome in OUTCOMES.items()}
NOTE = "The same claims once more as pytest-html's table, to filter and to sort (needs scripts)."
# What of pytest-html's frame gives way to our page, without a style being needed for it.
_FRAME = (
    (re.compile(r"<html>"), '<html lang="en">'),
    (
        re.compile(r'(<meta charset="utf-8"/>)'),
        r'\1<meta name="viewport" content="width=device-width, initial-scale=1"/>',
    ),
    (re.compile(r'<h1 id="title">.*?</h1>\s*<p>.*?</p>', re.DOTALL), ""),
    (re.compile(r'<div id="environment-header">'), '<div id="environment-header" hidden>'),
    (re.compile(r'<table id="environment">'), '<table id="environment" hidden>'),
    (re.compile(r"<h2>Summary</h2>"), ""),
    (re.compile(r'<p class="run-count">.*?</p>', re.DOTALL), f'<p class="run-count">{NOTE}</p>'),
    (re.compile(r'<p class="filter">.*?</p>', re.DOTALL), ""),
)


class Page:
    """What pytest-html asks about the page that it draws its table into."""

    def __init__(self, folder: Path) -> None:
        self.drawn = folder / ".pytest-html.part"
        self._report: Any = None  # pytest-html has no types

    def ask_for(self, config: pytest.Config) -> None:
        """Have pytest-html draw, into a file that is not yet the report."""
        if hasattr(config.option, "htmlpath"):
            config.option.htmlpath = str(self.drawn)
            config.option.self_contained_html = True
            config.option.css = [*config.option.css, str(STYLE)]

    def take(self, config: pytest.Config) -> str:
        """What pytest-html drew, empty if it did not; its own closing line is left out."""
        for plugin in config.pluginmanager.get_plugins():
            if type(plugin).__module__.startswith("pytest_html.") and plugin is not self:
                config.pluginmanager.unregister(plugin)
        if not self.drawn.exists():
            return ""
        text = self.drawn.read_text(encoding="utf-8")
        self.drawn.unlink()
        for part, ours in _FRAME:
            text = part.sub(ours, text, count=1)
        return text

    def fill(self, prefix: list[str], run: Run) -> None:
        """Put our page above pytest-html's table, and our verdicts into it."""
        prefix.append(article(run))
        if self._report is not None:
            self._report.title = title_of(run)
            self._report.set_data("initialSort", "original")  # as they were asked
            self._report.set_data("renderCollapsed", ["all"])  # it is said above already
            tests = self._report.data["tests"]
            rows = {result.claim.nodeid: row_of(result, tests) for result in run.results}
            tests.clear()
            tests.update({node: [row] for node, row in rows.items()})
            for outcome, shown in self._report.outcomes.items():
                word = LABELS.get(outcome, shown["label"])
                shown["value"] = sum(word_of(result) == word for result in run.results)
                shown["label"] = word

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: object) -> None:
        """Keep hold of what has the title and the rows: the verdict is not known yet."""
        self._report = report

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_metadata(self, metadata: dict[str, object]) -> None:
        """Show none of the machine's environment."""
        metadata.clear()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Call the columns as we do; leave out that of links, of which there are none."""
        cells[0] = cells[0].replace(">Result<", ">Verdict<")
        cells[1] = cells[1].replace(">Test<", ">Claim<")
        cells.pop()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(
        self, report: pytest.TestReport | pytest.CollectReport, cells: list[str]
    ) -> None:
        """Our id and verdict in pytest's row."""
        cells.pop()
        result = answer_of(report)
        if result:
            cells[:2] = cells_of(result)


def cells_of(result: Result) -> list[str]:
    """The first cells of a claim's row."""
    return [
        f'<td class="col-result">{word_of(result)}</td>',
        f'<td class="col-testId">{escape(result.claim.id)}</td>',
    ]


def row_of(result: Result, tests: dict[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """The one row of a claim: what pytest-html gathered on it, by our last word.

    pytest-html has one for each phase that went wrong, and none for what was never asked.
    """
    gathered = tests.get(result.claim.nodeid) or ()
    last = gathered[-1] if gathered else {"extras": [], "duration": "0 ms", "tableHtml": []}
    logs = [row["log"] for row in gathered] or [str(escape(result.message))]
    duration = last.get("duration", "0 ms")
    return {
        **last,
        "testId": result.claim.id,
        "result": OUTCOMES[word_of(result)],
        "log": "\n".join(logs),
        "resultsTableRow": [*cells_of(result), f'<td class="col-duration">{duration}</td>'],
    }
