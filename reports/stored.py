"""A report.json that was written earlier, read back: of this form or an older one.

What is wrong with a file is one line. Only what comparing runs needs is read; a field that a
form did not have yet is empty here, and `lacks` says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from fixtures.run.cluster import origin
from fixtures.run.state import VERDICTS

FILE = "report.json"
# The form that is written now; docs/reports.md says what changed with each.
SCHEMA_VERSION = 2
MOST_BYTES = 64 * 1024 * 1024
# What came with which form, as a reader calls it.
SINCE = {"what was recorded of images, arguments and webhooks": 2}


def printable(line: str) -> str:
    """What was read, as it may be shown on a terminal: it cannot steer it."""
    return "".join(char if char.isprintable() else "�" for char in line)


class Unreadable(Exception):
    """A file is no report that can be read; one line with what to do."""


@dataclass(frozen=True)
class StoredClaim:
    """One claim, as a report holds it.

    Attributes:
        tested: false where the run ended before it.
        red_since: when the first of the runs began in each of which it failed, `red_runs` in all.
    """

    id: str
    text: str
    verdict: str
    examined: int
    message: str
    stage: str
    tested: bool
    seconds: float
    red_since: str = ""
    red_runs: int = 0

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
            data = json.loads(content)
        except (ValueError, RecursionError):
            raise Unreadable(f"{name}: is no JSON; name a report.json") from None
        try:
            return cls.of(data, name)
        except (KeyError, TypeError, ValueError) as e:
            what = f"it lacks {e}" if isinstance(e, KeyError) else str(e)
            raise Unreadable(f"{name}: is no whole report of Seatrial: {what}") from None

    @classmethod
    def of(cls, data: Any, name: str) -> Self:
        """Take what was read from JSON."""
        form = _is(data, dict)["schema"]
        if _is(form, int) > SCHEMA_VERSION:
            known = f"this suite reads forms 1 to {SCHEMA_VERSION}"
            raise Unreadable(f"{name}: is of form {form}, {known}; take a newer Seatrial")
        if form < 1:
            raise ValueError(f"there is no form {form}")
        claims = [_claim(_is(one, dict)) for one in _is(data["claims"], list)]
        if len({claim.id for claim in claims}) != len(claims):
            raise ValueError("it holds a claim twice")
        return cls(
            name=name,
            form=form,
            subject=_subject(_is(data["subject"], dict)),
            headline=_is(data["headline"], str),
            started=_moment(data["started"]),
            complete=_is(data["complete"], bool),
            partial=_is(data["partial"], bool),
            reason=_is(data["reason"], str),
            exit_code=_is(data["exit_code"], int),
            seconds=_number(data["seconds"]),
            known_good=_moment(data.get("last_good") or ""),
            claims={claim.id: claim for claim in claims},
            waits=_waits(_is(data["waits"], list)),
            seen={k: _texts(v) for k, v in _is(data["seen"], dict).items()} if form > 1 else {},
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
        where = f"Istio {subject['istio'] or '?'} on Kubernetes {subject['kubernetes'] or '?'}"
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


def about(subject: Mapping[str, Any]) -> tuple[str, ...]:
    """Which subject a run has, by the names of report.json.

    A cluster that somebody has is the same after an upgrade. One that a run makes is made of
    versions, and their patch releases follow one another.
    """
    texts = {name: str(subject[name]) for name in ("cluster", "provider", "profile", "fault")}
    if origin(texts["provider"]) != "taken":
        versions = (str(subject[name]).split(".") for name in ("istio", "kubernetes"))
        texts["cluster"] = "-".join(".".join(parts[:2]) for parts in versions)
    return tuple(texts.values())


def _claim(data: dict[str, Any]) -> StoredClaim:
    verdict, message = _is(data["verdict"], str), _is(data["message"], str).partition("\n")[0]
    if verdict not in VERDICTS:
        raise ValueError(f"there is no verdict {verdict!r}")
    if verdict == "blocked":  # the claim that failed of the cause names it
        message = message.partition(": ")[0]
    return StoredClaim(
        _is(data["id"], str),
        _is(data["text"], str),
        verdict,
        _is(data["examined"], int),
        message,
        _is(data["stage"], str),
        _is(data["asked"], bool),
        _number(data["seconds"]),
        _moment(data.get("red_since") or ""),
        _is(data.get("red_runs", 0), int),
    )


def _subject(data: dict[str, Any]) -> dict[str, Any]:
    names = ("istio", "kubernetes", "provider", "evidence", "profile", "fault")
    texts = {name: _is(data[name], str) for name in names}
    texts["cluster"] = _is(data.get("cluster", ""), str)
    return {**texts, "features": [_is(one, str) for one in _is(data["features"], list)]}


def _waits(data: list[Any]) -> dict[str, float]:
    waits: dict[str, float] = {}
    for wait in data:
        what = _is(wait["what"], str)
        waits[what] = waits.get(what, 0.0) + _number(wait["used"])
    return waits


def _moment(value: Any) -> str:
    """A point in time, in UTC, so that two of them compare as texts; empty where there is none."""
    if not _is(value, str):
        return ""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"the time {value} is of no zone")
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _number(value: Any) -> float:
    """Seconds, of which no wait and no run has endlessly many."""
    if not math.isfinite(number := float(value)):
        raise ValueError(f"it holds {number} s")
    return number


def _texts(data: Any) -> dict[str, str]:
    return {name: _is(value, str) for name, value in _is(data, dict).items()}


def _is(value: Any, kind: type[Any]) -> Any:
    """The value, which must be of this kind; True is no number."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{str(value)[:60]!r} is no {kind.__name__}")
    return value
