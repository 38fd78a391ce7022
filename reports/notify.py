"""Tells a webhook what changed: when a run's verdict does, or a claim begins or ceases to fail.

What was told last is kept in a small file beside the reports, so that nothing is told twice, and
what could not be told is told after the next run. How it is sent is the business of
`reports.delivery`; whatever is told here was made of a run without secrets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from reports.model import Run
from reports.stored import Stored, about
from reports.summary import short

FILE = ".notified-{}.json"
MOST = 20
# With these nothing was tested because of what was typed, which who typed it sees.
MISTAKES = {4, 5}


@dataclass(frozen=True)
class Reported:
    """What is known where it was told; without a headline nothing is.

    Attributes:
        red: the claims that failed when they were tested last, each with its message.
    """

    headline: str = ""
    started: str = ""
    istio: str = ""
    kubernetes: str = ""
    red: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_stored(cls, run: Stored | None) -> Self:
        """What whoever read this report knows."""
        if run is None:
            return cls()
        red = {claim.id: claim.message for claim in run.claims.values() if claim.red}
        versions = str(run.subject["istio"]), str(run.subject["kubernetes"])
        return cls(run.headline, run.started, *versions, red)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What was written down; None where nothing was, or it cannot be read."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write it down, whole or not at all."""
        part = path.with_name(f"{path.name}.part")
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(path)

    def after(self, run: Run) -> Reported:
        """What is known after a run; what it did not test is as it was."""
        passed = {result.claim.id for result in run.results if result.verdict == "passed"}
        red = {name: why for name, why in self.red.items() if name not in passed}
        red |= {r.claim.id: short(r.message) for r in run.results if run.streak(r)}
        subject = run.subject
        versions = subject.istio or self.istio, subject.kubernetes or self.kubernetes
        return Reported(run.headline, run.begun, *versions, red)


@dataclass(frozen=True)
class Change:
    """What is new since it was told last."""

    run: Run
    before: Reported
    now: Reported

    @property
    def newly_red(self) -> dict[str, str]:
        """The claims that fail and did not, each with its message."""
        return {name: why for name, why in self.now.red.items() if name not in self.before.red}

    @property
    def green_again(self) -> tuple[str, ...]:
        """The claims that failed and pass."""
        return tuple(name for name in self.before.red if name not in self.now.red)

    @property
    def versions(self) -> dict[str, tuple[str, str]]:
        """The versions that are others than before."""
        pairs = {
            "Istio": (self.before.istio, self.now.istio),
            "Kubernetes": (self.before.kubernetes, self.now.kubernetes),
        }
        return {name: (old, new) for name, (old, new) in pairs.items() if old and old != new}

    @property
    def counts(self) -> bool:
        """Whether the run says something of its subject as a whole."""
        return not self.run.partial and self.run.exit_code not in MISTAKES

    @property
    def worth_telling(self) -> bool:
        """Whether somebody wants to know; that a first run is good, nobody does."""
        if not self.counts:
            return False
        if not self.before.headline:
            return not self.run.good
        turned = self.before.headline != self.now.headline
        return bool(turned or self.newly_red or self.green_again)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        run, subject = self.run, self.run.subject
        return {
            "headline": run.headline,
            "verdict": run.sentence,
            "exit_code": run.exit_code,
            "started": run.begun,
            "cluster": subject.cluster,
            "profile": subject.profile,
            "evidence": subject.evidence,
            "before": {"headline": self.before.headline, "started": self.before.started},
            "newly_red": self.newly_red,
            "green_again": list(self.green_again),
            "still_red": sorted({*self.now.red} - {*self.newly_red}),
            "versions": {name: list(pair) for name, pair in self.versions.items()},
        }

    def as_slack(self) -> dict[str, Any]:
        """One text, as Slack, Mattermost and others that copy it take it."""
        return {"text": "\n".join(map(_escaped, self._lines()))}

    def _lines(self) -> Iterator[str]:
        run, subject = self.run, self.run.subject
        before = f" (before: {self.before.headline})" if self.before.headline else ""
        where = subject.cluster or subject.provider
        yield f"Seatrial, {where}, profile {subject.profile}: {run.headline}{before}"
        yield run.sentence
        for name, (old, new) in self.versions.items():
            yield f"{name}: {old} -> {new}"
        newly = [f"newly red: {name}: {why}" for name, why in self.newly_red.items()]
        again = [f"green again: {name}" for name in self.green_again]
        for lines in (newly, again):
            yield from lines[:MOST]
            yield from [f"and {len(lines) - MOST} more"] if len(lines) > MOST else ()
        if still := len({*self.now.red} - {*self.newly_red}):
            yield f"still red: {still}"


def _escaped(line: str) -> str:
    """Text that stays what it is: in Slack these three call people and make links."""
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def change(run: Run, folder: Path) -> Change:
    """What is new in a run."""
    before = Reported.read(file_of(run, folder)) or Reported.of_stored(run.past.latest)
    return Change(run, before, before.after(run))


def file_of(run: Run, folder: Path) -> Path:
    """Where is written down what was told of the subject of a run."""
    name = hashlib.sha256("\n".join(about(vars(run.subject))).encode()).hexdigest()[:12]
    return folder / FILE.format(name)
