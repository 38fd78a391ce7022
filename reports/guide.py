"""Where a report's links to docs/claims.md lead: what each claim is, and what to do when it fails.

A link is made only to where the page is; a report that lies elsewhere names the place as text.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).parents[1]
PAGE = "docs/claims.md"


def anchor(claim: str) -> str:
    """Where docs/claims.md is about the claim of this id; its parameter is no part of that."""
    return claim.partition("[")[0].replace("/", "-")


def guide(folder: Path, root: Path = ROOT) -> str:
    """The address of docs/claims.md for a page in this folder; empty where none leads there.

    A repository that pyproject.toml names has it, whoever opens the report. Without one it is in
    the checkout, for a report that lies in the checkout, too.
    """
    if repository := _repository(root):
        # Ids of claims never change: what stands at an anchor of the newest page is about them.
        return f"{repository.rstrip('/')}/blob/HEAD/{PAGE}"
    here = folder.resolve()
    if here.is_relative_to(root) and (root / PAGE).is_file():
        return quote(os.path.relpath(root / PAGE, here))
    return ""


def _repository(root: Path) -> str:
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return ""
    urls = {name.lower(): str(url) for name, url in project.get("urls", {}).items()}
    return urls.get("repository", "")
