"""What became of each claim over many stored runs, as data; `history.html.jinja2` shows it.

Runs of different subjects are told apart and never mixed. A claim turned where it passed and
failed in two runs that tested it, one after the other; what else differed between these two is
said beside it, and that one is the cause of the other is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path

from reports.differences import Section, surroundings
from reports.html import document, render
from reports.pictures.timeline import in_words
from reports.stored import Stored, StoredClaim, mode_of

STYLE = Path(__file__).with_name("history.css")
# A claim flaps that turned so often within so many of the last runs that tested it.
TURNS, WINDOW = 3, 20
# What is listed of runs in which claims turned, and of what differed in one respect.
MOST_TURNS, OPEN_CHANGES = 30, 4
# Marks of a strip, beside verdicts: the run ended before the claim; it was not among the claims.
UNTESTED, ABSENT = "untested", "absent"
RED = {"failed", "error"}


@dataclass(frozen=True)
class Stretch:
    """Runs in a row with the same mark."""

    begins: int
    runs: int
    mark: str


def stretches(marks: Iterable[str]) -> tuple[Stretch, ...]:
    """Marks, run by run, put together."""
    found, begins = [], 0
    for mark, group in groupby(marks):
        runs = len(list(group))
        found.append(Stretch(begins, runs, mark))
        begins += runs
    return tuple(found)


@dataclass(frozen=True)
class Row:
    """One claim over all runs of a subject.

    Attributes:
        latest: the claim in the last run that had it.
        marks: what became of it in each run.
    """

    latest: StoredClaim
    marks: tuple[str, ...]

    @cached_property
    def strip(self) -> tuple[Stretch, ...]:
        """The marks put together."""
        return stretches(self.marks)

    @cached_property
    def tested(self) -> tuple[int, ...]:
        """The runs that tested it, by number."""
        return tuple(n for n, mark in enumerate(self.marks) if mark in RED or mark == "passed")

    @cached_property
    def turns(self) -> tuple[int, ...]:
        """The runs in which it passed or failed otherwise than when it was tested before."""
        return tuple(
            after for before, after in pairwise(self.tested) if self._turned(before, after)
        )

    def _turned(self, before: int, after: int) -> bool:
        return (self.marks[before] in RED) != (self.marks[after] in RED)

    @property
    def ever_red(self) -> bool:
        """Whether it failed in any run."""
        return any(mark in RED for mark in self.marks)

    @property
    def red(self) -> bool:
        """Whether it failed when it was tested last."""
        return bool(self.tested) and self.marks[self.tested[-1]] in RED

    @property
    def first_red(self) -> int | None:
        """The first run of its last stretch of failures; None where it never failed."""
        found = None
        for before, after in pairwise((None, *self.tested)):
            assert after is not None
            if self.marks[after] in RED and (before is None or self.marks[before] not in RED):
                found = after
        return found

    @property
    def last_green(self) -> int | None:
        """The last run in which it passed."""
        return next((n for n in reversed(self.tested) if self.marks[n] == "passed"), None)

    @property
    def red_runs(self) -> int:
        """How many runs in a row it has failed until now, as far as the last of them knew."""
        since = self.first_red if self.red else None
        counted = 0 if since is None else sum(n >= since for n in self.tested)
        return max(counted, self.latest.red_runs if self.red else 0)

    @property
    def flaps(self) -> bool:
        """Whether it turned often of late."""
        begins = self.tested[-WINDOW:][:1]
        return len([n for n in self.turns if n > begins[0]]) >= TURNS if begins else False


@dataclass(frozen=True)
class Turn:
    """A run in which claims turned, and what differed from the run before it."""

    number: int
    newly_red: tuple[str, ...]
    green_again: tuple[str, ...]
    changed: tuple[Section, ...]


@dataclass(frozen=True)
class Line:
    """Seconds, run by run; None where there are none."""

    name: str
    seconds: tuple[float | None, ...]

    @property
    def known(self) -> tuple[float, ...]:
        """Those that are known."""
        return tuple(second for second in self.seconds if second is not None)

    @property
    def last(self) -> str:
        """The last that is known, in words."""
        return in_words(self.known[-1]) if self.known else ""

    @property
    def most(self) -> float:
        """The longest."""
        return max(self.known, default=0.0)

    def paths(self, height: float) -> tuple[str, ...]:
        """The line as points of a picture, a unit wide a run; broken where a run has none."""
        scale = height / (self.most or 1)
        points = (
            "" if second is None else f"{n + 0.5:g},{height - second * scale:.1f}"
            for n, second in enumerate(self.seconds)
        )
        return tuple(" ".join(group) for known, group in groupby(points, key=bool) if known)


@dataclass(frozen=True)
class History:
    """The runs of one subject, the earliest first."""

    runs: tuple[Stored, ...]

    @property
    def last(self) -> Stored:
        """The last run."""
        return self.runs[-1]

    @property
    def title(self) -> str:
        """Which subject it is, in words."""
        subject = self.last.subject
        where = subject["cluster"] or subject["provider"] or "no cluster"
        where += mode_of(subject["data_plane"])
        fault = f", with the fault {subject['fault']}" if subject["fault"] else ""
        return f"{where}, profile {subject['profile'] or 'unknown'}{fault}"

    @property
    def last_good(self) -> str:
        """When the last good run began, as far as it is known."""
        return max(run.last_good for run in self.runs)

    @property
    def strip(self) -> tuple[Stretch, ...]:
        """What became of the runs."""
        return stretches(_of_run(run) for run in self.runs)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Each claim, in the order in which the runs had them."""
        latest: dict[str, StoredClaim] = {}
        for run in self.runs:
            latest |= run.claims
        return tuple(
            Row(claim, tuple(_mark(run.claims.get(name)) for run in self.runs))
            for name, claim in latest.items()
        )

    @property
    def red(self) -> tuple[Row, ...]:
        """What fails now, the longest first."""
        return tuple(sorted((r for r in self.rows if r.red), key=lambda row: -row.red_runs))

    @property
    def recovered(self) -> tuple[Row, ...]:
        """What failed and passes now, the last to turn first."""
        found = (row for row in self.rows if row.ever_red and not row.red)
        return tuple(sorted(found, key=lambda row: -(row.turns or (0,))[-1]))

    @property
    def flapping(self) -> tuple[Row, ...]:
        """What turned often of late."""
        return tuple(row for row in self.rows if row.flaps)

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """The runs in which claims turned, the last one first."""
        turned: dict[int, list[Row]] = {}
        for row in self.rows:
            for number in row.turns:
                turned.setdefault(number, []).append(row)
        return tuple(self._turn(n, turned[n]) for n in sorted(turned, reverse=True))

    def _turn(self, number: int, rows: Sequence[Row]) -> Turn:
        red = tuple(row.latest.id for row in rows if row.marks[number] in RED)
        green = tuple(row.latest.id for row in rows if row.marks[number] not in RED)
        before, after = self.runs[number - 1], self.runs[number]
        found = tuple(section for section in surroundings(before, after) if section.changes)
        return Turn(number, red, green, found)

    @property
    def whole(self) -> Line:
        """How long the runs took."""
        return Line("The whole run", tuple(run.seconds for run in self.runs))

    @property
    def lines(self) -> tuple[Line, ...]:
        """How long the claims of each stage took, the slowest stage first."""
        taken: dict[str, list[float | None]] = {}
        for number, run in enumerate(self.runs):
            for claim in run.claims.values():
                if claim.tested and claim.verdict not in {"blocked", "not-claimed"}:
                    line = taken.setdefault(claim.stage, [None] * len(self.runs))
                    line[number] = (line[number] or 0.0) + claim.seconds
        lines = (Line(stage, tuple(seconds)) for stage, seconds in taken.items())
        return tuple(sorted(lines, key=lambda line: -line.most))


def _of_run(run: Stored) -> str:
    """The mark of a whole run, in the words of a claim's."""
    if not run.complete:
        return UNTESTED
    return "passed" if run.exit_code == 0 else "failed"


def _mark(claim: StoredClaim | None) -> str:
    if claim is None:
        return ABSENT
    return claim.verdict if claim.tested else UNTESTED


def histories(runs: Iterable[Stored]) -> tuple[History, ...]:
    """Runs by their subjects; what fails now first, then whatever ran last."""
    by_subject: dict[tuple[str, ...], list[Stored]] = {}
    for run in sorted(runs, key=lambda run: run.key):
        by_subject.setdefault(run.about, []).append(run)
    made = [History(tuple(of_one)) for of_one in by_subject.values()]
    made.sort(key=lambda history: history.last.started, reverse=True)
    return tuple(sorted(made, key=lambda history: not history.red))


def tone(found: Iterable[History]) -> str:
    """The colour of the whole; a rehearsal is never as green as the real thing."""
    found = tuple(found)
    if any(history.red for history in found):
        return "bad"
    if not all(history.last.complete for history in found):
        return "incomplete"
    real = all(history.last.subject["evidence"] == "conformance" for history in found)
    return "good" if real else "rehearsed"


def page(found: Sequence[History], wrong: Sequence[str] = ()) -> str:
    """The whole page.

    Args:
        found: what it shows.
        wrong: what could not be read, a line each.
    """
    runs = sum(len(history.runs) for history in found)
    body = render(
        "history.html.jinja2",
        found=found,
        tone=tone(found),
        wrong=wrong,
        runs=runs,
        turns=TURNS,
        window=WINDOW,
        most_turns=MOST_TURNS,
        open_changes=OPEN_CHANGES,
    )
    return document(f"{runs} runs · Seatrial", body, STYLE.read_text(encoding="utf-8"))
