"""`python -m reports.claims_page` writes docs/claims.md and suites/ledger.txt, from the suites.

The page is for readers, each run is held against the ledger. With `--check` nothing is
written, and it ends with 1 if one of them is not what the suites hold.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import pytest

from fixtures.faults.catalog import CATALOGUE
from fixtures.run.collecting import claim_of, in_profile
from fixtures.run.ledger import NAME, Ledger
from fixtures.run.options import PROFILES
from fixtures.run.stages import STAGES
from fixtures.run.state import Claim

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "claims.md"
LEDGER = ROOT / "suites" / NAME
TOP = """# Claims

Made of the suites by `tox -e docs`; do not edit. One sentence a claim, in the order of a run,
with where it is written that it must be so, what to look at when it is not, and the faults that
must make it fail.
"""


class Listener:
    """Keeps what pytest collects."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the claims off the tests."""
        self.claims = [claim_of(item) for item in session.items]


def claims() -> list[Claim]:
    """Every claim of the suites, in the order of a run."""
    listener = Listener()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = pytest.main([str(ROOT / "suites"), "--collect-only", "-q"], plugins=[listener])
    if code:
        raise SystemExit(f"the suites cannot be read:\n{output.getvalue()}")
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
    marks += (
        ["blocking: if it fails, the stages that need this one are blocked"]
        if claim.blocking
        else []
    )
    faults = [f"`{fault.name}`" for fault in CATALOGUE.values() if fault.must_fail(claim.id)]
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


def ledger(found: list[Claim]) -> Ledger:
    """What each profile requires."""
    return Ledger({c.id: tuple(p for p in PROFILES if in_profile(p, c)) for c in found})


def main(arguments: list[str]) -> int:
    """Write both files, or hold them against the suites."""
    found = claims()
    texts = {PAGE: page(found), LEDGER: ledger(found).text}
    if "--check" not in arguments:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [p for p, text in texts.items() if not p.exists() or p.read_text("utf-8") != text]
    for path in stale:
        name = path.relative_to(ROOT)
        sys.stderr.write(f"{name} is not what the suites hold: run tox -e docs\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
