"""`python -m reports.own_ledger DIR ...` writes the ledger of each folder of a user's own claims.

From then on a run with `--claims DIR` fails where a claim in it is not tested (exit 12).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from fixtures.run.ledger import NAME
from fixtures.run.own_claims import BadClaims, own_claims
from reports.claims_page import claims, ledger


def main(arguments: list[str]) -> int:
    """Write them; 4 where a folder cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m reports.own_ledger", description=__doc__)
    parser.add_argument("folders", nargs="+", metavar="DIR", help="as `--claims` has it")
    try:
        folders = own_claims(parser.parse_args(arguments).folders, Path.cwd())
        found = claims(*folders)
    except (BadClaims, pytest.UsageError) as e:
        sys.stderr.write(f"{e}\n")
        return 4
    for folder in folders:
        own = [claim for claim in found if claim.stage.module and folder.holds(claim.stage.module)]
        (folder.path / NAME).write_text(ledger(own).text, encoding="utf-8")
        sys.stdout.write(f"{folder.path / NAME}: {len(own)} claims\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
