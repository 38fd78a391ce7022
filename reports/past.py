"""What earlier runs of the same subject showed: the last good one, and since when claims fail.

Made of stored reports, each of which carries on what was known before it; so one earlier report
is enough to count by. How it is shown is the business of each report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from reports.stored import Stored, about, below, in_utc


@dataclass(frozen=True)
class Streak:
    """That a claim failed in each of the last runs that tested it.

    Attributes:
        since: when the first of them began.
        runs: how many they are.
    """

    since: str
    runs: int

    def __str__(self) -> str:
        moment = datetime.fromisoformat(self.since)
        return f"{self.runs} runs ({moment:%Y-%m-%d %H:%M} UTC)"


@dataclass(frozen=True)
class Past:
    """What is known of the runs before one.

    Attributes:
        last_good: when the last good run began; empty where none is known.
        streaks: by their ids, the claims that failed when they were tested last.
        latest: the last run; None where none is known.
    """

    last_good: str = ""
    streaks: Mapping[str, Streak] = field(default_factory=dict)
    latest: Stored | None = None

    def streak(self, claim: str, started: str) -> Streak:
        """What it is with a claim that fails in the run that began then."""
        before = self.streaks.get(claim)
        return Streak(before.since, before.runs + 1) if before else Streak(started, 1)


def followed(
    subject: Mapping[str, Any], found: Iterable[Stored], history: Path | None, *, besides: Path
) -> Past:
    """What is known of the runs before one.

    Args:
        subject: what it is about, by the names of report.json.
        found: the reports that stood where its own stands.
        history: a folder with others below it.
        besides: where its own stands, which is no earlier one.
    """
    others = below(history, besides=besides)[0] if history else []
    return past_of(one for one in (*found, *others) if one.about == about(subject))


def past_of(runs: Iterable[Stored]) -> Past:
    """Sum up runs of one subject, in any order; one that is there twice counts once.

    A claim that was blocked, not claimed or not among the claims was not tested: that neither ends
    a streak nor makes it longer.
    """
    streaks: dict[str, Streak] = {}
    last_good, latest = "", None
    for _, run in sorted({run.key: run for run in runs}.items()):
        latest = run
        last_good = max(last_good, run.last_good)
        for claim in run.claims.values():
            if claim.red:
                since = in_utc(claim.red_since) if claim.red_since else run.started
                before = streaks.get(claim.id, Streak(since, 0))
                many = max(before.runs + 1, claim.red_runs)
                streaks[claim.id] = Streak(min(before.since, since), many)
            elif claim.passed:
                streaks.pop(claim.id, None)
    return Past(last_good, streaks, latest)
