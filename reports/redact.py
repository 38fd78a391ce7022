"""Keeps secrets out of whatever is written: known ones by value, others by their shape.

A belt: nothing should bring one here in the first place.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

import yaml

T = TypeVar("T")

HIDDEN = "[redacted]"
SHORTEST = 8
SECRET_KEYS = {"token", "password", "client-key-data", "client-certificate-data", "id-token"}
# Names of variables, annotations and settings whose values nobody needs to read.
SECRET_NAME = re.compile(
    r"(?i)(?:pass(?:word|wd|phrase)?|secret|token|credential|api[-_]?key|private[-_]?key"
    r"|access[-_]?key|auth)s?(?![a-z])"
)
SHAPES = (
    re.compile(r"(?i)(?<=bearer )[\w.~+/=-]{8,}"),
    re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    re.compile(
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    ),
    re.compile(r"(?<=client-key-data: )\S+|(?<=(?<!\w)token: )[\w.~+/=-]{16,}"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)


def is_secret(name: str) -> bool:
    """Whether what stands under such a name is hidden, whatever it is."""
    return SECRET_NAME.search(name) is not None


class Redactor:
    """Takes secrets out of text."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def learn(self, kubeconfig: Path) -> None:
        """Know the credentials of a kubeconfig, as they stand there and decoded."""
        try:
            held = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            return
        for secret in _secrets(held):
            self.known.add(secret)

    def text(self, text: str) -> str:
        """The same text without secrets."""
        for secret in sorted(self.known, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        for shape in SHAPES:
            text = shape.sub(HIDDEN, text)
        return text

    def of(self, value: T) -> T:
        """The same value with every text in it redacted: JSON, or one of our dataclasses."""
        return cast("T", self._of(value))

    def _of(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._of(held) for key, held in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._of(held) for held in value)
        if is_dataclass(value) and not isinstance(value, type):
            held = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
            return replace(value, **{name: self._of(part) for name, part in held.items()})
        return value


def _secrets(held: object, key: str = "") -> Iterator[str]:
    if isinstance(held, dict):
        for name, value in held.items():
            yield from _secrets(value, str(name))
    elif isinstance(held, list):
        for value in held:
            yield from _secrets(value, key)
    elif key in SECRET_KEYS and isinstance(held, str) and len(held) >= SHORTEST:
        yield held
        if key.endswith("-data"):
            yield base64.b64decode(held).decode("utf-8", "replace").strip()
