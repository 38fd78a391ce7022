"""The sentences that tests compare whole, in one file: `sentences.yaml`, each under its test.

`pytest tests/unit --write-golden` writes those of the tests that ran anew and prints what changes.
What is compared by its fields, or by a few words of it, stays in its test.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("sentences.yaml")
HEAD = "# The sentences that tests compare whole. Written by: pytest tests/... --write-golden\n"
Golden = Callable[[str], None]
Sentences = dict[str, list[str]]


def read() -> Sentences:
    """The sentences of each test, in the order in which it compares them."""
    found = yaml.safe_load(FILE.read_text("utf-8")) if FILE.exists() else {}
    return {test: [text] if isinstance(text, str) else text for test, text in found.items()}


def written(changes: Sentences) -> str:
    """Put these in the place of what was there; the difference, for whoever looks over it."""
    before = FILE.read_text("utf-8") if FILE.exists() else ""
    sentences = sorted({**read(), **changes}.items())
    short = {test: texts[0] if len(texts) == 1 else texts for test, texts in sentences if texts}
    body = yaml.safe_dump(short, width=120, allow_unicode=True, sort_keys=False)
    FILE.write_text(HEAD + body, "utf-8")
    lines = difflib.unified_diff(before.splitlines(), (HEAD + body).splitlines(), lineterm="", n=1)
    return "\n".join(lines) or "no sentence has changed"
