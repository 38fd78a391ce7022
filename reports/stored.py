"""A report.json that was written earlier, read back: of this form or an older one.

What is wrong with a file is one line. Only what comparing runs needs is read; a field that a
form did not have yet is empty here, and `lacks` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, Struct

from fixtures.run.cluster import origin
from fixtures.run.state import Verdict

Moment = Annotated[datetime, Meta(tz=True)]

FILE = "report.json"
# The form that is written now; docs/reports.md says what changed with each.
SCHEMA_VERSION = 2
MOST_BYTES = 64 * 1024 * 1024
# What came with which form, as a reader calls it.
SINCE = {"what was recorded of images, arguments and webhooks": 2}


def printable(line: str) -> str:
    """What was read, as it may be shown on a terminal: it cannot steer it."""
    return "".join(char if char.isprintable() else "�" for char in line)


def in_utc(moment: datetime) -> str:
    """A point in time as reports write it, so that two of them compare as texts."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


class Unreadable(Exception):
    """A file is no report that can be read; one line with what to do."""


class StoredClaim(Struct, frozen=True, rename={"said": "message", "tested": "asked"}):
    """One claim, as a report holds it.

    Attributes:
        said: its message, whole.
        tested: false where the run ended before it.
        red_since: when the first of the runs began in each of which it failed, `red_runs` in all.
    """

    id: str
    text: str
    verdict: Verdict
    examined: int
    said: str
    stage: str
    tested: bool
    seconds: float
    red_since: Moment | None = None
    red_runs: int = 0

    @property
    def message(self) -> str:
        """What it says in one line; of what is blocked, the claim that failed names the cause."""
        line = self.said.partition("\n")[0]
        return line.partition(": ")[0] if self.verdict == "blocked" else line

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.verdict == "passed"

    @property
    def wrong(self) -> bool:
        """Whether it failed, or could not be tested."""
        return self.verdict in {"failed", "blocked", "error"}

    @property
    def red(self) -> bool:
        """Whether it was tested, and did not pass."""
        return self.tested and self.verdict in {"failed", "error"}


class _Subject(Struct):
    """What was tested, by the names of report.json."""

    istio: str
    kubernetes: str
    provider: str
    evidence: str
    profile: str
    fault: str
    features: list[str]
    cluster: str = ""
    data_plane: str = ""


class _Wait(Struct):
    """What was waited for, and how long."""

    what: str
    used: float


class _Form(Struct):
    """The form of a report, whatever else it has."""

    schema: int


class _Report(_Form):
    """What is read of a report, by the names of report.json."""

    subject: _Subject
    headline: str
    started: Moment
    complete: bool
    partial: bool
    reason: str
    exit_code: int
    seconds: float
    claims: list[StoredClaim]
    waits: list[_Wait]
    seen: dict[str, dict[str, str]] = {}
    last_good: Moment | None = None


@dataclass(frozen=True)
class Stored:
    """One report.

    Attributes:
        name: how the reader called its file.
        form: the version of report.json.
        subject: what was tested, by the names of report.json.
        waits: seconds waited, by what was waited for.
        seen: what the claims recorded, by kind and name.
        known_good: when the last good run began, as far as this one knew.
    """

    name: str
    form: int
    subject: Mapping[str, Any]
    headline: str
    started: str
    complete: bool
    partial: bool
    reason: str
    exit_code: int
    seconds: float
    known_good: str
    claims: Mapping[str, StoredClaim]
    waits: Mapping[str, float]
    seen: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file, or the one in a folder.

        Raises:
            Unreadable: it cannot be.
        """
        file = path / FILE if path.is_dir() else path
        try:
            if file.stat().st_size > MOST_BYTES:
                raise Unreadable(f"{file}: larger than any report; name a report.json")
            return cls.parse(file.read_bytes(), str(path))
        except OSError as e:
            line = f"{file}: cannot be read ({e.strerror})"
            raise Unreadable(f"{line}; name a report.json") from None

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """Take a file's content.

        Raises:
            Unreadable: it is no report, or not a whole one.
        """
        try:
            form = msgspec.json.decode(content, type=_Form).schema
            if form > SCHEMA_VERSION:
                known = f"this suite reads forms 1 to {SCHEMA_VERSION}"
                raise Unreadable(f"{name}: is of form {form}, {known}; take a newer Seatrial")
            return cls._of(msgspec.json.decode(content, type=_Report), name)
        except msgspec.ValidationError as e:
            raise Unreadable(f"{name}: is no whole report of Seatrial: {e}") from None
        except (msgspec.DecodeError, RecursionError):
            raise Unreadable(f"{name}: is no JSON; name a report.json") from None

    @classmethod
    def _of(cls, read: _Report, name: str) -> Self:
        """Take what was read, if all of it can be."""
        if read.schema < 1:
            raise msgspec.ValidationError(f"there is no form {read.schema}")
        claims = {claim.id: claim for claim in read.claims}
        if len(claims) != len(read.claims):
            raise msgspec.ValidationError("it holds a claim twice")
        waits: dict[str, float] = {}
        for wait in read.waits:
            waits[wait.what] = waits.get(wait.what, 0.0) + wait.used
        return cls(
            name=name,
            form=read.schema,
            subject=msgspec.structs.asdict(read.subject),
            headline=read.headline,
            started=in_utc(read.started),
            complete=read.complete,
            partial=read.partial,
            reason=read.reason,
            exit_code=read.exit_code,
            seconds=read.seconds,
            known_good=in_utc(read.last_good) if read.last_good else "",
            claims=claims,
            waits=waits,
            seen=read.seen if read.schema > 1 else {},
        )

    @property
    def good(self) -> bool:
        """Whether every claim that is required was tested, and passed."""
        return self.complete and not self.partial and self.exit_code == 0

    @property
    def last_good(self) -> str:
        """When the last good run began, this one included; empty where none is known."""
        return self.started if self.good else self.known_good

    @property
    def about(self) -> tuple[str, ...]:
        """What it is about: the same for two runs of which one can follow the other."""
        return about(self.subject)

    @property
    def key(self) -> tuple[str, float]:
        """What tells runs of one subject apart, in the order in which they ran."""
        return self.started, self.seconds

    @property
    def lacks(self) -> tuple[str, ...]:
        """What its form did not hold yet."""
        return tuple(what for what, since in SINCE.items() if self.form < since)

    def __str__(self) -> str:
        subject = self.subject
        mode = mode_of(subject["data_plane"])
        istio, kubernetes = subject["istio"] or "?", subject["kubernetes"] or "?"
        where = f"Istio {istio}{mode} on Kubernetes {kubernetes}"
        provider, profile = subject["provider"] or "?", subject["profile"] or "?"
        how = f"{provider} ({subject['evidence']}), profile {profile}"
        return f"{where}, {how}, {self.started}: {self.headline}"


def below(folder: Path, *, besides: Path | None = None) -> tuple[list[Stored], list[str]]:
    """The reports in a folder and in all below it, each run once, and what is wrong with others.

    Args:
        folder: where to look.
        besides: a folder whose own report is left out.
    """
    found: dict[tuple[object, ...], Stored] = {}
    wrong = []
    for file in sorted(folder.rglob(FILE)):
        if besides and file.parent.resolve() == besides.resolve():
            continue
        try:
            stored = Stored.read(file)
        except Unreadable as e:
            wrong.append(str(e))
        else:
            found.setdefault((*stored.about, *stored.key), stored)
    return sorted(found.values(), key=lambda one: one.started), wrong


def mode_of(data_plane: str) -> str:
    """What is said of the mode behind the version of Istio: nothing of the one with sidecars."""
    return " in ambient mode" if data_plane == "ambient" else ""


def about(subject: Mapping[str, Any]) -> tuple[str, ...]:
    """Which subject a run has, by the names of report.json.

    A cluster that somebody has is the same after an upgrade. One that a run makes is made of
    versions, whose patch releases follow one another, in one mode.
    """
    texts = {name: str(subject[name]) for name in ("cluster", "provider", "profile", "fault")}
    if origin(texts["provider"]) != "taken":
        versions = (str(subject[name]).split(".") for name in ("istio", "kubernetes"))
        texts["cluster"] = "-".join(".".join(parts[:2]) for parts in versions)
        texts["cluster"] += mode_of(subject["data_plane"])
    return tuple(texts.values())
