"""Keeps secrets out of whatever is written: known ones by value, others by their shape.

A belt: nothing should bring one here in the first place.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HIDDEN = "[redacted]"
SHORTEST = 8
SECRET_KEYS = {"token", "password", "client-key-data", "client-certificate-data", "id-token"}
SHAPES = (
    re.compile(r"(?i)(?<=bearer )[\w.~+/=-]{8,}"),
    re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    re.compile(
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    ),
    re.compile(r"(?<=client-key-data: )\S+|(?<=(?<!\w)token: )[\w.~+/=-]{16,}"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)


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

    def of(self, value: Any) -> Any:
        """The same JSON value with every text in it redacted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.of(held) for key, held in value.items()}
        return [self.of(held) for held in value] if isinstance(value, list) else value


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
