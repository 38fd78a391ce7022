"""A report links a failing claim to docs/claims.md where that is, and to nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from reports.claims_page import PAGE
from reports.guide import ROOT, anchor, guide
from reports.html import page
from reports.model import Run
from tests.unit.runs import good, of_one_cause, run

LINK = re.compile(r'href="([^"]*claims\.md)#([^"]+)"')


def checkout(root: Path, *, urls: str = "", docs: bool = True) -> Path:
    (root / "pyproject.toml").write_text(f'[project]\nname = "seatrial"\n{urls}')
    if docs:
        (root / "docs").mkdir()
        (root / "docs" / "claims.md").write_text("# Claims")
    return root


def test_a_report_in_the_checkout_leads_to_its_page(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    folder = root / "reports" / "of today"
    folder.mkdir(parents=True)
    assert (folder / unquote(guide(folder, root))).resolve() == root / "docs" / "claims.md"


@pytest.mark.parametrize("docs", [True, False])
def test_a_report_elsewhere_has_no_link(tmp_path: Path, *, docs: bool) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    checkout(root, docs=docs)
    assert guide(tmp_path / "elsewhere" if docs else root / "out", root) == ""


def test_a_repository_that_is_named_has_it_wherever_the_report_lies(tmp_path: Path) -> None:
    urls = "[project.urls]\nRepository = 'https://code.example/mesh/seatrial/'\n"
    address = guide(tmp_path / "elsewhere", checkout(tmp_path, urls=urls, docs=False))
    assert address == "https://code.example/mesh/seatrial/blob/HEAD/docs/claims.md"


@pytest.mark.parametrize("made", [run(), of_one_cause()], ids=["run", "of one cause"])
def test_each_failing_claim_leads_to_its_anchor(made: Run) -> None:
    wanted = [anchor(failure.id) for failure in made.failures if failure.claims]
    linked = LINK.findall(page(made, claims="../../docs/claims.md"))
    assert linked == [("../../docs/claims.md", name) for name in wanted]


def test_where_no_link_would_lead_there_the_place_is_text() -> None:
    text = page(run())
    assert not LINK.search(text)
    assert "<code>docs/claims.md#sample-six-pods-run</code>" in text


def test_a_good_run_needs_no_link() -> None:
    assert "claims.md" not in page(good("conformance"))


def test_the_page_is_where_links_lead() -> None:
    assert PAGE == ROOT / "docs" / "claims.md"
