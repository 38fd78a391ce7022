"""table.html: pytest-html's own table, a page of its own with our ids and verdicts in its rows.

To filter and to sort, with scripts. It counts by pytest's outcomes, which know no "blocked": what
is true is report.html, which this page says and links to. Only pytest-html's documented hooks are
used.
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
    "<p>The tests of a Seatrial run as pytest-html lists them, to filter and to sort. Its counts "
    "are pytest's: a blocked claim counts as an error, one that is not claimed as skipped, and one "
    "that was never reached is missing. The verdict is in "
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
    def pytest_html_results_table_row(
        self, report: pytest.TestReport | pytest.CollectReport, cells: list[str]
    ) -> None:
        """Our verdict and id in pytest's row."""
        if result := result_of(report):
            cells[0] = f'<td class="col-result">{word_of(result)}</td>'
            cells[1] = f'<td class="col-testId">{escape(result.claim.id)}</td>'
