"""`python -m reports.nouns_page`: writes docs/nouns.md, the words that a claim may use.

Made of the code: the fixtures that a claim takes as arguments, and what their types can expect.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fixtures.setup

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "nouns.md"
TOP = """# The nouns of claims

Made of the code by `tox -e docs`; do not edit. A claim takes one of these fixtures as its
argument and calls what its type can expect. [writing-a-claim.md](writing-a-claim.md) shows how.
"""


def page() -> str:
    """The page in Markdown: a section a fixture, a row an expectation."""
    parts = [TOP]
    found = sorted(_fixtures(), key=lambda one: one[0])
    for made in dict.fromkeys(made for _, made, _ in found):
        if rows := [f"| `{call}` | {summary} |" for call, summary in _expectations(made)]:
            where = f"{made.__module__}.{made.__name__}"
            parts += ["", f"## {made.__name__}", ""]
            parts += [f"- `{name}`: {text}" for name, its, text in found if its is made]
            parts += ["", f"`{where}`:", "", "| method | |", "|---|---|", *rows]
    return "\n".join(parts) + "\n"


def _fixtures() -> Iterator[tuple[str, type, str]]:
    """Every session fixture of `fixtures.setup`: its name, its type and its sentence."""
    folder = Path(fixtures.setup.__file__).parent
    for path in sorted(folder.glob("*.py")):
        module = importlib.import_module(f"fixtures.setup.{path.stem}")
        for name, value in vars(module).items():
            function = _function_of(value)
            if function and function.__module__ == module.__name__:
                made = typing.get_type_hints(function).get("return")
                made = typing.get_args(made)[0] if typing.get_args(made) else made
                if isinstance(made, type):
                    yield name, made, (inspect.getdoc(function) or "").partition("\n")[0]


def _function_of(value: Any) -> Callable[..., Any] | None:
    """The function below pytest's decorator, if this is a fixture."""
    unwrap = getattr(value, "_get_wrapped_function", None)
    return unwrap() if unwrap and hasattr(value, "name") else None


def _expectations(made: type) -> Iterator[tuple[str, str]]:
    """The calls that a claim may make of a type, each with its sentence."""
    for name, method in inspect.getmembers(made, inspect.isfunction):
        if name.startswith("expect_"):
            parameters = list(inspect.signature(method).parameters.values())[1:]
            plain = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
            call = f"{name}({', '.join(map(str, plain))})"
            yield call, (inspect.getdoc(method) or "").partition("\n")[0]


def main(arguments: list[str]) -> int:
    """Write the page, or say with `--check` whether it is what it would be written as."""
    parser = argparse.ArgumentParser(prog="python -m reports.nouns_page")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it differs")
    text = page()
    if not parser.parse_args(arguments).check:
        PAGE.write_text(text)
        return 0
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    sys.stderr.write(f"{PAGE.relative_to(ROOT)} is not what the code says: run tox -e docs\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
