"""`python -m reports.claims_page` writes docs/claims.md: what is claimed and why, from the suites.

With `--check` it writes nothing and ends with 1 if the page is not what the suites say.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import pytest

from fixtures.faults import CATALOGUE
from fixtures.plugins.claims import claim_of
from fixtures.stages import STAGES
from fixtures.walk import Claim

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "claims.md"
TOP = """# Claims

Made of the suites by `tox -e docs`; do not edit. One sentence a claim, in the order of the walk,
with where it is written that it must be so, what to look at when it is not, and the faults that
must turn it red.
"""


class Listener:
    """Keeps what pytest collects."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the claims off the tests."""
        self.claims = [claim_of(item) for item in session.items]


def claims() -> list[Claim]:
    """Every claim of the suites, in the order of the walk."""
    listener = Listener()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main([str(ROOT / "suites"), "--collect-only", "-q"], plugins=[listener])
    if code:
        raise SystemExit(f"the suites cannot be read:\n{said.getvalue()}")
    return sorted(listener.claims, key=lambda claim: claim.stage.number)


def page(found: list[Claim]) -> str:
    """The page's text."""
    lines = [TOP, f"{len(found)} claims."]
    for stage in STAGES:
        mine = [claim for claim in found if claim.stage == stage]
        needs = f" Needs: {', '.join(stage.needs)}." if stage.needs else ""
        lines += ["", f"## {stage.number} {stage.title}", "", f"`{stage.name}`.{needs}"]
        for claim in mine:
            lines += _about(claim)
    return "\n".join(lines) + "\n"


def _about(claim: Claim) -> list[str]:
    marks = [claim.level]
    marks += [f"needs {claim.feature}"] if claim.feature else []
    marks += ["gate: what needs this stage is blocked if it fails"] if claim.gate else []
    faults = [f"`{fault.name}`" for fault in CATALOGUE.values() if fault.turns_red(claim.id)]
    return [
        "",
        f"### `{claim.id}`",
        "",
        f"{claim.text} ({'; '.join(marks)})",
        "",
        f"- source: {claim.source}",
        f"- hint: {claim.hint}",
        f"- faults: {', '.join(faults) or 'none'}",
    ]


def main(arguments: list[str]) -> int:
    """Write the page, or hold it against the suites."""
    text = page(claims())
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
    if not same:
        sys.stderr.write("docs/claims.md is not what the suites say: run tox -e docs\n")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
