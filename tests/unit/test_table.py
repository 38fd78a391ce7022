"""table.html: pytest-html's own page, beside ours, with our ids and verdicts in its rows."""

import html
import json
import re
from typing import Any

import pytest

from tests.small_runs import Ended, SmallRuns

pytest_plugins = ["pytester"]

FIVE = """
@so()
def test_a(cluster):
    inspected_one(1)
    print("while it runs")

@so()
def test_b(cluster): raise ClaimFailed("a <b>", expected="b", got="c")

@so(feature="addons")
def test_c(cluster): inspected_one(1)

@so()
def test_d(cluster): {}["a"]
"""
BLOCKED = "@so()\ndef test_e(control_plane): inspected_one(1)\n"
BROKEN = """
@pytest.fixture(scope="session")
def control_plane(cluster):
    raise ClaimFailed("istiod", expected="it exists", got="no such Deployment")
"""


def rows_of(ended: Ended) -> list[list[str]]:
    """Result, verdict and id of each row, as pytest-html's script gets them."""
    page = (ended.folder / "table.html").read_text()
    found = re.search(r'data-jsonblob="(.*?)"', page)
    assert found
    data: dict[str, list[dict[str, Any]]] = json.loads(html.unescape(found[1]))["tests"]
    rows = [row["resultsTableRow"][:3] for rows in data.values() for row in rows]
    return [[re.sub("<.*?>", "", cell) for cell in row] for row in rows]


@pytest.fixture
def ended(runs: SmallRuns) -> Ended:
    """A run with every verdict."""
    begun = runs.begin(world=BROKEN)
    begun.claims("01_cluster", FIVE)
    begun.claims("02_installation", BLOCKED)
    return begun.run("--profile", "conformance")


def test_its_rows_have_our_ids_and_verdicts(ended: Ended) -> None:
    assert rows_of(ended) == [
        ["Passed", "passed", "cluster/a"],
        ["Failed", "failed", "cluster/b"],
        ["Skipped", "not claimed", "cluster/c"],
        ["Failed", "error", "cluster/d"],
        ["Error", "blocked", "installation/e"],
    ]


def test_it_says_whose_counts_these_are_and_leads_to_the_report(ended: Ended) -> None:
    page = (ended.folder / "table.html").read_text()
    assert "which know no blocked claim" in page
    assert '<a href="report.html">' in page
    assert "while it runs" in page


def test_the_report_stands_alone_and_leads_to_it(ended: Ended) -> None:
    page = (ended.folder / "report.html").read_text()
    assert '<a href="table.html">' in page
    assert "<script" not in page
    assert not list(ended.folder.glob(".*.part"))
    assert "Generated html report" not in ended.output


def test_it_shows_nothing_of_the_machine(ended: Ended) -> None:
    page = (ended.folder / "table.html").read_text()
    found = re.search(r'data-jsonblob="(.*?)"', page)
    assert found
    assert json.loads(html.unescape(found[1]))["environment"] == {}


def test_without_pytest_html_there_is_no_table_and_no_link(ended: Ended, runs: SmallRuns) -> None:
    assert (ended.folder / "table.html").exists()
    again = runs.run("-p", "no:html", "--profile", "conformance")
    assert not (again.folder / "table.html").exists()
    assert "table.html" not in (again.folder / "report.html").read_text()
