"""Many clusters' reports side by side, the worst first: what is known of a whole fleet.

Made of the folders that the audits left, wherever they ran. How it looks is the business of
`reports.fleet_page`; how audits are started, of `fixtures.fleet`.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

from fixtures.claims.waiting import pause
from fixtures.run.state import WORST_FIRST, worst
from reports.model import ENDED, EXIT_WORDS
from reports.recorder import BEGUN
from reports.stored import FILE, Stored, StoredClaim, Unreadable

INTERRUPTED, INTERNAL_ERROR = 2, 3
LOOK_SECONDS = 2.0
# How a run says that a signal ended it; who sent that, the sender knows.
STOPPED = "stopped by "
NO_REPORT = "it left no report"
_UNTIL = re.compile(r"until (\d{4}-\d{2}-\d{2})")
_MINOR = re.compile(r"\d+\.(\d+)")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def folder_of(name: str) -> str:
    """The folder of a cluster's report: its name, without what a file system would not take."""
    return _UNSAFE.sub("-", name).strip(".-") or "cluster"


@dataclass(frozen=True)
class Ending:
    """The certificate of a cluster that ends first, and on which day."""

    day: date
    name: str
    cluster: str


@dataclass(frozen=True)
class Cluster:
    """One cluster of the fleet, and what became of its audit.

    Attributes:
        name: as the user calls it.
        exit_code: of its audit.
        why: one line on why it has no verdict; empty where it has one.
        stored: its report; None where there is none.
    """

    name: str
    exit_code: int
    why: str = ""
    stored: Stored | None = None

    @classmethod
    def read(cls, folder: Path, name: str, exit_code: int | None = None, why: str = "") -> Cluster:
        """Take the report of a folder.

        Args:
            folder: where the audit wrote.
            name: of the cluster.
            exit_code: of the audit's process; None takes the report's word.
            why: what is known of its end already.
        """
        try:
            stored = Stored.read(folder)
        except Unreadable as e:
            code = INTERRUPTED if exit_code is None else exit_code
            # A process that said nothing did not pass, whatever it ended with.
            silent = INTERNAL_ERROR if code in ENDED else code
            return cls(name, silent, why or (str(e) if (folder / FILE).exists() else NO_REPORT))
        if stored.complete or exit_code is None:  # what came after its end changes no verdict
            return cls(name, stored.exit_code, "" if stored.complete else stored.reason, stored)
        untold = stored.reason == BEGUN or stored.reason.startswith(STOPPED)
        return cls(name, exit_code, (untold and why) or stored.reason, stored)

    @property
    def folder(self) -> str:
        """Where its own report is, below the fleet's."""
        return folder_of(self.name)

    @property
    def runs(self) -> bool:
        """Whether its audit has begun and not ended yet."""
        return self.stored is not None and self.stored.reason == BEGUN

    @property
    def audited(self) -> bool:
        """Whether its audit came to its end."""
        return self.stored is not None and self.stored.complete and not self.why

    @property
    def good(self) -> bool:
        """Whether every required claim was tested and passed."""
        return self.audited and self.exit_code == 0

    @property
    def rehearsal(self) -> bool:
        """Whether it was a simulated one."""
        return self.stored is not None and self.stored.subject["evidence"] == "rehearsal"

    @property
    def headline(self) -> str:
        """Its verdict in a few words."""
        if self.audited and self.stored:
            return self.stored.headline
        return "INCOMPLETE" if self.stored else "No report"

    @property
    def reason(self) -> str:
        """What stands beside the verdict: why there is none, what failed first, or the code's."""
        if self.why or not self.wrong:
            return self.why or EXIT_WORDS.get(self.exit_code, "")
        return f"{self.wrong[0].verdict}: {self.wrong[0].text}"

    @property
    def claims(self) -> Mapping[str, StoredClaim]:
        """What was claimed of it, by id."""
        return self.stored.claims if self.stored else {}

    @cached_property
    def wrong(self) -> tuple[StoredClaim, ...]:
        """The claims that failed or could not be tested."""
        return tuple(c for c in self.claims.values() if c.wrong) if self.audited else ()

    @property
    def passed(self) -> int:
        """How many claims passed."""
        return sum(claim.passed for claim in self.claims.values())

    @property
    def istio(self) -> str:
        """Its version of Istio; empty where it is not known."""
        return str(self.stored.subject["istio"]) if self.stored else ""

    @property
    def kubernetes(self) -> str:
        """Its version of Kubernetes; empty where it is not known."""
        return str(self.stored.subject["kubernetes"]) if self.stored else ""

    @property
    def sidecars(self) -> str:
        """The versions of its sidecars, as far as they were seen."""
        return self.stored.seen.get("version", {}).get("sidecars", "") if self.stored else ""

    @cached_property
    def ending(self) -> Ending | None:
        """The certificate that ends first, of those that audits record (no workload's)."""
        held = self.stored.seen.get("certificate", {}) if self.stored else {}
        days = [
            Ending(date.fromisoformat(day), name, self.name)
            for name, value in held.items()
            for day in _UNTIL.findall(value)
        ]
        return min(days, key=lambda one: (one.day, one.name), default=None)


@dataclass(frozen=True)
class Row:
    """One claim over the whole fleet.

    Attributes:
        verdicts: on it, by the name of the cluster.
    """

    id: str
    text: str
    verdicts: Mapping[str, str]

    @cached_property
    def counts(self) -> Counter[str]:
        """How many clusters have which verdict."""
        return Counter(self.verdicts.values())

    @cached_property
    def wrong(self) -> tuple[str, ...]:
        """The clusters of which it does not hold, or could not be tested."""
        return tuple(n for n, v in self.verdicts.items() if v not in {"passed", "not-claimed"})


@dataclass(frozen=True)
class Fleet:
    """All clusters of one fleet.

    Attributes:
        clusters: the worst first.
        started: when the first audit began.
        seconds: from then to the last one's end; 0 where it is not known.
        reason: why this is not all there is; empty where it is.
    """

    clusters: tuple[Cluster, ...]
    started: datetime
    seconds: float = 0.0
    reason: str = ""

    @classmethod
    def of(
        cls, clusters: Iterable[Cluster], started: datetime, seconds: float = 0.0, reason: str = ""
    ) -> Fleet:
        """Put the worst first."""
        return cls(tuple(sorted(clusters, key=_how_bad)), started, seconds, reason)

    @property
    def complete(self) -> bool:
        """Whether this is all there is to know; a cluster without a verdict is known, too."""
        return not self.reason

    @property
    def exit_code(self) -> int:
        """The worst of all."""
        return worst([one.exit_code for one in self.clusters] + [2] * bool(self.reason))

    @property
    def rehearsals(self) -> int:
        """How many of them are simulated."""
        return sum(one.rehearsal for one in self.clusters)

    @property
    def good(self) -> int:
        """How many are as they should be."""
        return sum(one.good for one in self.clusters)

    @property
    def not_audited(self) -> int:
        """How many have no verdict."""
        return sum(not one.audited for one in self.clusters)

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        if self.reason:
            return "INCOMPLETE"
        bad, of = len(self.clusters) - self.good, len(self.clusters)
        word = "Rehearsals" if self.rehearsals == of else "Clusters"
        return f"{bad} of {of} {word.lower()} did not pass" if bad else f"{word}: all {of} passed"

    @property
    def sentence(self) -> str:
        """The verdict as a whole sentence."""
        failed = len(self.clusters) - self.good - self.not_audited
        words = (
            ("passed", self.good),
            ("failed", failed),
            ("without a verdict", self.not_audited),
        )
        counted = ", ".join(f"{n} {word}" for word, n in words if n)
        stop = f"INCOMPLETE: {self.reason.rstrip('.')}. " if self.reason else ""
        return f"{stop}{len(self.clusters)} cluster{'s'[: len(self.clusters) != 1]}: {counted}."

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every claim: first what is wrong in most clusters, then in the order of a run."""
        texts: dict[str, str] = {}
        verdicts: dict[str, dict[str, str]] = {}
        for cluster in (one for one in self.clusters if one.audited):
            for claim in cluster.claims.values():
                texts.setdefault(claim.id, claim.text)
                verdicts.setdefault(claim.id, {})[cluster.name] = claim.verdict
        rows = (Row(name, text, verdicts[name]) for name, text in texts.items())
        return tuple(sorted(rows, key=lambda row: -len(row.wrong)))

    @property
    def versions(self) -> Iterator[tuple[str, Counter[str]]]:
        """How many clusters run which version, the oldest first, by what it is of."""
        for what, of in (
            ("Istio", [one.istio for one in self.clusters]),
            ("Kubernetes", [one.kubernetes for one in self.clusters]),
            ("Sidecars", [v for one in self.clusters for v in one.sidecars.split(", ")]),
        ):
            yield what, Counter(sorted(filter(None, of), key=_by_number))

    @property
    def skew(self) -> Iterator[tuple[str, int]]:
        """By how many minor versions the fleet's oldest is behind its newest."""
        for what, counted in self.versions:
            minors = {int(found[1]) for version in counted if (found := _MINOR.match(version))}
            yield what, max(minors) - min(minors) if minors else 0

    @property
    def endings(self) -> tuple[Ending, ...]:
        """The certificate of each cluster that ends first, the earliest first."""
        found = (one.ending for one in self.clusters if one.ending)
        return tuple(sorted(found, key=lambda one: (one.day, one.cluster)))


def read(folder: Path, names: Iterable[str] | None = None, wait: float = 0.0) -> Fleet:
    """The fleet of a folder that holds a folder with a report for each cluster.

    Args:
        folder: where the reports are.
        names: of the clusters that ought to be there; None takes those that are.
        wait: seconds for audits that have not ended, or not begun.

    Raises:
        Unreadable: there is none.
    """
    names = sorted(p.parent.name for p in folder.glob(f"*/{FILE}")) if names is None else [*names]
    if not names:
        raise Unreadable(f"{folder}: holds no report of a cluster (NAME/{FILE})")
    until = time.monotonic() + wait
    ended: dict[str, Cluster] = {}
    while True:
        found = {n: ended.get(n) or Cluster.read(folder / folder_of(n), n) for n in names}
        ended = {name: one for name, one in found.items() if one.stored and not one.runs}
        if len(ended) == len(found) or time.monotonic() >= until:
            return _of_folder([*found.values()])
        pause(LOOK_SECONDS)


def _of_folder(clusters: Sequence[Cluster]) -> Fleet:
    begun = [
        datetime.fromisoformat(one.stored.started)
        for one in clusters
        if one.stored and one.stored.started
    ]
    running = sum(one.runs for one in clusters)
    missing = sum(one.stored is None for one in clusters)
    counted = ((running, "not ended"), (missing, "left no report"))
    left = ", ".join(f"{n} {what}" for n, what in counted if n)
    started = min(begun, default=datetime.now(UTC))
    return Fleet.of(clusters, started, reason=f"of {len(clusters)} audits {left}" if left else "")


def names_of(file: Path) -> list[str]:
    """The clusters that a file names, a line each; what follows # is a comment.

    Raises:
        Unreadable: it cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is no text"
        raise Unreadable(f"{file}: cannot be read ({why}); name a file of clusters") from None
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def _how_bad(one: Cluster) -> tuple[int, int, str]:
    place = WORST_FIRST.index(one.exit_code) if one.exit_code in WORST_FIRST else len(WORST_FIRST)
    return place, -len(one.wrong), one.name


def _by_number(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
