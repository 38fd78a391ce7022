"""A report.json that was written earlier, read back: of this form or an older one.

What is wrong with a file is one line. Only what comparing needs is read; a field that a
form did not have yet is empty here, and `lacks` says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fixtures.run.state import VERDICTS
from reports.data import SCHEMA_VERSION

FILE = "report.json"
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
    """One claim, as a report holds it."""

    id: str
    text: str
    verdict: str
    examined: int
    message: str

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.verdict == "passed"

    @property
    def wrong(self) -> bool:
        """Whether it failed, or could not be tested."""
        return self.verdict in {"failed", "blocked", "error"}


@dataclass(frozen=True)
class Stored:
    """One report.

    Attributes:
        name: how the reader called its file.
        form: the version of report.json.
        subject: what was tested, by the names of report.json.
        waits: seconds waited, by what was waited for.
        seen: what the claims recorded, by kind and name.
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
            started=_is(data["started"], str),
            complete=_is(data["complete"], bool),
            partial=_is(data["partial"], bool),
            reason=_is(data["reason"], str),
            exit_code=_is(data["exit_code"], int),
            seconds=float(data["seconds"]),
            claims={claim.id: claim for claim in claims},
            waits=_waits(_is(data["waits"], list)),
            seen={k: _texts(v) for k, v in _is(data["seen"], dict).items()} if form > 1 else {},
        )

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
    )


def _subject(data: dict[str, Any]) -> dict[str, Any]:
    names = ("istio", "kubernetes", "provider", "evidence", "profile", "fault")
    texts = {name: _is(data[name], str) for name in names}
    return {**texts, "features": [_is(one, str) for one in _is(data["features"], list)]}


def _waits(data: list[Any]) -> dict[str, float]:
    waits: dict[str, float] = {}
    for wait in data:
        what, used = _is(wait["what"], str), float(wait["used"])
        if not math.isfinite(used):
            raise ValueError(f"a wait of {used} s")
        waits[what] = waits.get(what, 0.0) + used
    return waits


def _texts(data: Any) -> dict[str, str]:
    return {name: _is(value, str) for name, value in _is(data, dict).items()}


def _is(value: Any, kind: type[Any]) -> Any:
    """The value, which must be of this kind; True is no number."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{str(value)[:60]!r} is no {kind.__name__}")
    return value
