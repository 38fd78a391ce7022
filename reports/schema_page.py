"""`python -m reports.schema_page` writes docs/seatrial.schema.json, by which editors complete.

Made of the declaration that reads the file; with `--check` nothing is written, and it ends with 1
if the schema is not what that says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from fixtures.istio.expected.rows import DECIDING
from fixtures.run.config_options import Options

PAGE = Path(__file__).parents[1] / "docs" / "seatrial.schema.json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema, with the whole file at its top."""
    kinds = tuple(dict.fromkeys(kind for _, kind in DECIDING))
    (_, *tables), definitions = msgspec.json.schema_components(
        (Options, *kinds), ref_template="#/$defs/{name}"
    )
    top = definitions.pop(Options.__name__)
    top["properties"]["expect"] = {
        "description": "what is expected of a mesh of your own",
        "type": "array",
        "items": {"anyOf": tables},
    }
    return {"$schema": DRAFT, **top, "title": "seatrial.toml", "$defs": definitions}


def text() -> str:
    """The same as a file."""
    return json.dumps(schema(), indent=1) + "\n"


def main(arguments: list[str]) -> int:
    """Write it, or say whether it is what it would be written as."""
    if "--check" not in arguments:
        PAGE.write_text(text(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write(f"{PAGE.name} is not what the code says: run tox -e docs\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
