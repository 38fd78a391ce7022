"""The time line of a run: its steps with their critical path, claims by stage, longest waits.

Where bars begin and end is decided here, their look in `timeline.svg.jinja2`. Lengths are seconds
since the run began; the template scales them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fixtures.run.state import Result
from fixtures.run.timeline import critical_path
from reports.model import Run, StageRun

MOST_WAITS = 12
# Steps of the critical path that the sentence names.
NAMED = 4
LEFT, CHART, RIGHT, ROW, TITLE = 324, 532, 160, 22, 34
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600)
MOST_TICKS = 8


@dataclass(frozen=True)
class Bar:
    """A stretch of time; `mark` is the verdict, or how it is drawn."""

    began: float
    seconds: float
    mark: str


@dataclass(frozen=True)
class Row:
    """One line of the picture.

    Attributes:
        label: what it is about.
        note: how long it took, in words.
        share: how much of its budget a wait used; None for what has none.
        critical: the run would have been shorter without it.
    """

    label: str
    note: str
    bars: tuple[Bar, ...]
    share: float | None = None
    critical: bool = False


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class TimeLine:
    """The picture: groups of rows over one axis."""

    groups: tuple[Group, ...]
    seconds: float
    ticks: tuple[float, ...]
    words: str

    @property
    def width(self) -> float:
        """The width of the whole picture."""
        return LEFT + CHART + RIGHT

    @property
    def height(self) -> float:
        """The height of the whole picture."""
        return sum(TITLE + ROW * len(group.rows) for group in self.groups) + 26

    def x(self, seconds: float) -> float:
        """Where a moment stands."""
        return round(LEFT + CHART * min(max(seconds / self.seconds, 0), 1), 2)

    def length(self, bar: Bar) -> float:
        """How wide a bar is; nothing that was done is invisible."""
        return round(max(self.x(bar.began + bar.seconds) - self.x(bar.began), 1.5), 2)


def timeline_of(run: Run) -> TimeLine | None:
    """The time line of a run; None if it did nothing."""
    groups = [
        Group("Steps of the run, the critical path in bold", tuple(_steps(run))),
        Group("Claims, by stage", tuple(_claims(run))),
        Group("Longest waits, and how much of the time allowed they used", tuple(_waits(run))),
    ]
    groups = [group for group in groups if group.rows]
    if not groups or run.seconds <= 0:
        return None
    every = next((t for t in TICKS if run.seconds / t <= MOST_TICKS), TICKS[-1])
    ticks = tuple(every * n for n in range(int(run.seconds / every) + 1))
    return TimeLine(tuple(groups), run.seconds, ticks, words(run))


def words(run: Run) -> str:
    """The same in a sentence: how long, and which steps made it so."""
    path = critical_path(run.steps)
    if not path:
        return f"The run took {in_words(run.seconds)}."
    longest = sorted(path, key=lambda step: step.seconds, reverse=True)[:NAMED]
    names = ", ".join(f"{step.name} ({in_words(step.seconds)})" for step in longest)
    length = in_words(sum(step.seconds for step in path))
    took = f"The run took {in_words(run.seconds)}, {length} of it on its critical path"
    return f"{took}; the longest there: {names}."


def in_words(seconds: float) -> str:
    """A length of time in words."""
    if seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _steps(run: Run) -> Iterator[Row]:
    critical = critical_path(run.steps)
    for step in run.steps:
        mark = "failed" if not step.well else "critical" if step in critical else "step"
        bar = Bar(step.began - run.began, step.seconds, mark)
        note = in_words(step.seconds) + ("" if step.well else ", failed")
        yield Row(step.name, note, (bar,), critical=step in critical)


def _claims(run: Run) -> Iterator[Row]:
    for stage in run.stages:
        tested = [result for result in stage.results if result.began]
        if tested:
            bars = tuple(Bar(a.began - run.began, a.seconds, a.verdict) for a in tested)
            yield Row(_title(stage), _length(tested), bars)


def _title(stage: StageRun) -> str:
    return f"{stage.stage.number} {stage.stage.title}"


def _length(tested: Sequence[Result]) -> str:
    seconds = sum(result.seconds for result in tested)
    return f"{len(tested)} claims, {in_words(seconds)}"


def _waits(run: Run) -> Iterator[Row]:
    longest = sorted(run.waits, key=lambda wait: wait.used, reverse=True)[:MOST_WAITS]
    for wait in sorted(longest, key=lambda wait: wait.began):
        bar = Bar(wait.began - run.began, wait.used, "wait" if wait.met else "failed")
        note = f"{in_words(wait.used)} of {wait.budget:g} s" + ("" if wait.met else ", not met")
        share = min(wait.used / wait.budget, 1) if wait.budget else 1
        yield Row(wait.what, note, (bar,), share=share)
