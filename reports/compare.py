"""Two runs side by side, as text, Markdown or HTML; `reports.differences` decides what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import jinja2

from reports.differences import Change, Comparison
from reports.stored import printable
from reports.summary import code, escape, short, within

TEMPLATE = "compare.html.jinja2"
_JINJA = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def as_text(found: Comparison) -> str:
    """For a terminal; what a file holds cannot steer it."""
    return "".join(f"{printable(line)}\n" for line in _text(found))


def _text(found: Comparison) -> Iterator[str]:
    yield found.sentence
    yield f"old: {found.old} ({found.old.name})"
    yield f"new: {found.new} ({found.new.name})"
    yield from (f"note: {caveat}" for caveat in found.caveats)
    for section in found.changed:
        yield ""
        yield f"{section.title} ({len(section.changes)})"
        for change in section.changes:
            yield f"  {change.name}: {change.before} -> {change.after}"
            yield from (f"      {short(change.more)}",) if change.more else ()


def as_markdown(found: Comparison) -> str:
    """For a job's summary, or a comment on a pull request."""
    return within("\n".join(_markdown(found)) + "\n")


def _markdown(found: Comparison) -> Iterator[str]:
    yield from (f"# Seatrial: {found.sentence}", "")
    yield f"- old: {escape(str(found.old))} ({code(found.old.name)})"
    yield f"- new: {escape(str(found.new))} ({code(found.new.name)})"
    yield from (f"- {caveat}" for caveat in found.caveats)
    for section in found.changed:
        yield from ("", f"## {section.title}", "", "| what | old | new | |", "|---|---|---|---|")
        yield from map(_row, section.changes)


def _row(change: Change) -> str:
    cells = (
        f"**{escape(change.name)}**",
        *map(escape, (change.before, change.after, change.more)),
    )
    return f"| {' | '.join(cells)} |"


def as_html(found: Comparison) -> str:
    """One page without scripts, and nothing from elsewhere."""
    return _JINJA.get_template(TEMPLATE).render(found=found)


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "html": as_html,
}
