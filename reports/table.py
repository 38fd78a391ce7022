"""table.html: pytest-html's own table, a page of its own with our ids and verdicts in its rows.

To filter and to sort, with scripts. It counts and filters by pytest's outcomes, which know no
"blocked", so our verdict is a column of its own, and the page leads to report.html. Only
pytest-html's documented hooks are used.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from markupsafe import escape

from reports.html import word_of
from reports.terminal import result_of

NAME = "table.html"
DRAWN = ".table.html.part"
NOTE = (
    "<p>The tests of a Seatrial run as pytest-html lists them, to filter and to sort. The column "
    "Result, its counts and its filters are pytest's, which know no blocked claim; the column "
    "Verdict is Seatrial's. A claim that was never reached is missing here: what counts is "
    '<a href="report.html">report.html</a>.</p>'
)


class Table:
    """What pytest-html asks its plugins."""

    def __init__(self, folder: Path) -> None:
        self.drawn = folder / DRAWN

    def ask_for(self, config: pytest.Config) -> None:
        """Have pytest-html write, if it is there, into a file that the recorder puts in place."""
        if hasattr(config.option, "htmlpath"):
            config.option.htmlpath = str(self.drawn)
            config.option.self_contained_html = True

    def take(self, config: pytest.Config) -> str:
        """What pytest-html wrote, empty if it did not; its line about that file is left out."""
        for plugin in config.pluginmanager.get_plugins():
            if type(plugin).__module__.startswith("pytest_html."):
                config.pluginmanager.unregister(plugin)
        if not self.drawn.exists():
            return ""
        text = self.drawn.read_text(encoding="utf-8")
        self.drawn.unlink()
        return text

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: object) -> None:
        """Name the page after what it shows."""
        report.title = "Seatrial: the tests of a run"  # type: ignore[attr-defined]  # untyped

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """Say what this page is, and where the verdict is."""
        prefix.append(NOTE)

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_metadata(self, metadata: dict[str, object]) -> None:
        """Show none of the machine's environment."""
        metadata.clear()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Have a column for our verdict beside pytest's result, and none for links."""
        cells.insert(1, '<th class="sortable" data-column-type="verdict">Verdict</th>')
        cells.pop()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(
        self, report: pytest.TestReport | pytest.CollectReport, cells: list[str]
    ) -> None:
        """Our verdict and id in pytest's row."""
        result = result_of(report)
        if result:
            cells[1] = f'<td class="col-testId">{escape(result.claim.id)}</td>'
        verdict = word_of(result) if result else ""
        cells.insert(1, f'<td class="col-verdict">{verdict}</td>')
        cells.pop()
