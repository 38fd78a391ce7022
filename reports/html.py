"""report.html: one self-contained page that a person decides by; verdicts need no script.

The page is ours, static and made of a template; pytest-html draws its own table below it. Where
pytest-html does not get to write (an aborted run), the same page stands alone.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import jinja2
import pytest
from markupsafe import escape

from fixtures.walk import Answer
from reports.model import EXIT_WORDS, Run, StageRun
from reports.terminal import WORDS, answer_of

HERE = Path(__file__).parent
STYLE = HERE / "report.css"
LONGEST_WAITS = 12
_JINJA = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def article(run: Run) -> str:
    """The page's content, without its frame."""
    waits = sorted(run.waits, key=lambda wait: wait.used, reverse=True)
    return _JINJA.get_template("report.html.jinja2").render(
        run=run,
        tone=tone(run),
        exit_words=EXIT_WORDS.get(run.exit_code, ""),
        duration=_duration(run.seconds),
        waits=waits[:LONGEST_WAITS],
        causes=causes(run),
        word=lambda answer: WORDS[answer.verdict][0].lower() if answer.asked else "not asked",
    )


def page(run: Run) -> str:
    """The whole page, without pytest-html's table."""
    style = STYLE.read_text(encoding="utf-8")
    title = escape(title_of(run))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{title}</title><style>{style}</style></head><body>{article(run)}</body></html>\n"
    )


def title_of(run: Run) -> str:
    """What a browser's tab shows."""
    return f"{run.headline}: Istio {run.subject.istio} · Seatrial"


def tone(run: Run) -> str:
    """The colour that the verdict has; a rehearsal is never as green as the real thing."""
    if not run.complete:
        return "incomplete"
    if not run.good:
        return "bad"
    return "rehearsed" if run.subject.rehearsal else "good"


def causes(run: Run) -> list[tuple[StageRun, Answer]]:
    """What failed, each cause once: claims that fail with their stage's one cause are one."""
    found: list[tuple[StageRun, Answer]] = []
    for stage in run.stages:
        seen = set()
        for answer in stage.answers:
            if answer.verdict in {"failed", "error"} and answer.asked:
                if answer.message not in seen:
                    found.append((stage, answer))
                seen.add(answer.message)
    return found


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))


class Page:
    """What pytest-html asks about the page that it draws its table into."""

    def __init__(self, folder: Path) -> None:
        self.drawn = folder / ".pytest-html.part"
        self._data: object = None

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
        return text.replace("<html>", '<html lang="en">', 1)

    def fill(self, prefix: list[str], run: Run) -> None:
        """Put our page above pytest-html's table."""
        prefix.append(article(run))
        if self._data is not None:
            self._data.title = title_of(run)  # type: ignore[attr-defined]  # pytest-html has no types

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: object) -> None:
        """Keep hold of what has the title: the verdict is not known yet."""
        self._data = report

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_metadata(self, metadata: dict[str, object]) -> None:
        """Show none of the machine's environment."""
        metadata.clear()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Leave out the column of links, of which there are none."""
        cells.pop()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(
        self, report: pytest.TestReport | pytest.CollectReport, cells: list[str]
    ) -> None:
        """Our verdict and our id in pytest's row."""
        cells.pop()
        answer = answer_of(report)
        if answer:
            word = WORDS[answer.verdict][0].lower()
            cells[0] = f'<td class="col-result">{word}</td>'
            cells[1] = f'<td class="col-testId">{escape(answer.claim.id)}</td>'
