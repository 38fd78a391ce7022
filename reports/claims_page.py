"""`python -m reports.claims_page` writes docs/claims.md and suites/ledger.txt, from the suites.

The page is for readers, each run is held against the ledger. With `--check` nothing is
written, and it ends with 1 if one of them is not what the suites hold.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fixtures.faults.catalog import CATALOGUE
from fixtures.run.collecting import claim_of, in_profile
from fixtures.run.ledger import NAME, Ledger
from fixtures.run.options import PROFILES
from fixtures.run.own_claims import OwnClaims
from fixtures.run.own_stages import with_own
from fixtures.run.stages import STAGES
from fixtures.run.state import Claim
from reports.guide import anchor

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "claims.md"
LEDGER = ROOT / "suites" / NAME
TOP = """# Claims

Made of the suites by `tox -e docs`; do not edit. The claims in the order of a run, each with what
to look at when it fails, its source, and the faults that must make it fail.
"""


class Listener:
    """Keeps what pytest collects."""

    def __init__(self, own: Sequence[OwnClaims]) -> None:
        self.own = own
        self.claims: list[Claim] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the claims off the tests."""
        stages = with_own(session.items, self.own)
        self.claims = [claim_of(item, stages) for item in session.items]


def claims(*own: OwnClaims) -> list[Claim]:
    """Every claim of the suites, and of folders of one's own, in the order of a run."""
    listener = Listener(own)
    output = io.StringIO()
    paths = [str(ROOT / "suites"), *(str(folder.path) for folder in own)]
    with contextlib.redirect_stdout(output):
        code = pytest.main([*paths, "--collect-only", "-q", "--no-config"], plugins=[listener])
    if code:
        raise SystemExit(f"the suites cannot be read:\n{output.getvalue()}")
    return sorted(listener.claims, key=lambda claim: claim.stage.place)


def page(found: list[Claim]) -> str:
    """The page's text."""
    lines = [TOP, f"{len(found)} claims."]
    for stage in STAGES:
        mine = [claim for claim in found if claim.stage == stage]
        needs = f" Needs: {', '.join(stage.needs)}." if stage.needs else ""
        needs += f" Reads: {', '.join(stage.reads)}." if stage.reads else ""
        lines += ["", f"## {stage.number} {stage.title}", "", f"`{stage.name}`.{needs}"]
        if not mine:
            lines += ["", "A claim for each table of that file ([how](your-own-claims.md))."]
        for name in dict.fromkeys(name_of(claim.id) for claim in mine):
            lines += _about([claim for claim in mine if name_of(claim.id) == name])
    return "\n".join(lines) + "\n"


def name_of(claim: str) -> str:
    """A claim's id without its parameter."""
    return claim.partition("[")[0]


def _about(same: list[Claim]) -> list[str]:
    """One section about the claims that differ in their parameter alone."""
    claim = same[0]
    values = [one.id.partition("[")[2].rstrip("]") for one in same if "[" in one.id]
    marks = [claim.level]
    marks += [f"needs {claim.feature}"] if claim.feature else []
    marks += (
        ["blocking: if it fails, the stages that need this one are blocked"]
        if claim.blocking
        else []
    )
    marks += ["asks a running istiod"] if claim.asks_istiod else []
    faults = [
        f"`{fault.name}`"
        for fault in CATALOGUE.values()
        if any(fault.must_fail(one.id) for one in same)
    ]
    return [
        "",
        f'<a id="{anchor(claim.id)}"></a>',
        "",
        f"### `{name_of(claim.id)}`",
        "",
        f"{claim.text} ({'; '.join(marks)})",
        "",
        *([f"- tested for each of: {', '.join(values)}"] if values else []),
        f"- when it fails: {claim.hint}",
        f"- source: {claim.source}",
        f"- faults: {', '.join(faults) or 'none'}",
    ]


def ledger(found: list[Claim]) -> Ledger:
    """What each profile requires."""
    return Ledger({c.id: tuple(p for p in PROFILES if in_profile(p, c)) for c in found})


def main(arguments: list[str]) -> int:
    """Write both files, or compare them with the suites."""
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
