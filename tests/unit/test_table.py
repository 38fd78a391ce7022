"""pytest-html's table says of each claim, once, what we say of it, whatever became of the state."""

import html
import json
import re
from typing import Any

import pytest

from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]


def rows_of(runs: SmallRuns) -> list[dict[str, Any]]:
    """The rows as pytest-html's script gets them."""
    page = (runs.folder / "report.html").read_text()
    found = re.search(r'data-jsonblob="(.*?)"', page)
    assert found
    data: dict[str, list[dict[str, Any]]] = json.loads(html.unescape(found[1]))["tests"]
    assert all(len(rows) == 1 for rows in data.values())
    return [rows[0] for rows in data.values()]


def counts_of(runs: SmallRuns) -> dict[str, int]:
    """What the filters above the table count."""
    page = (runs.folder / "report.html").read_text()
    return {
        name: int(number)
        for number, name in re.findall(r'<span class="\w+">(\d+) ([\w ]+),?</span>', page)
    }


def test_what_was_never_asked_has_a_row_that_says_so(runs: SmallRuns) -> None:
    source = "@so()\ndef test_a(cluster):\n    inspected_one(1)\n"
    source += '@so()\ndef test_b(cluster):\n    pytest.exit("enough")\n'
    source += "@so()\ndef test_c(cluster):\n    inspected_one(1)\n"
    runs.claims("01_cluster", source)
    runs.run()
    rows = {row["testId"]: row["result"] for row in rows_of(runs)}
    assert rows == {"cluster/a": "passed", "cluster/b": "rerun", "cluster/c": "rerun"}
    counts = counts_of(runs)
    assert (counts["passed"], counts["not asked"], counts["failed"]) == (1, 2, 0)


def test_a_claim_that_was_not_undone_has_one_row_with_all_that_was_printed(
    runs: SmallRuns,
) -> None:
    source = """
@pytest.fixture
def thing():
    yield 1
    print("while undoing")
    raise ValueError("stuck")

@so()
def test_a(cluster, thing):
    print("while asking")
    inspected_one(1)
"""
    runs.claims("01_cluster", source)
    runs.run()
    (row,) = rows_of(runs)
    assert row["result"] == "error"
    assert "while asking" in row["log"]
    assert "it could not be undone: ValueError: stuck" in row["log"]
    assert counts_of(runs)["error"] == 1
    assert counts_of(runs)["passed"] == 0


@pytest.mark.parametrize("words", ["Environment", "Report generated on", "tests took", "xpass"])
def test_nothing_of_pytest_htmls_own_frame_is_left_to_read(runs: SmallRuns, words: str) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(cluster):\n    inspected_one(1)\n")
    runs.run()
    page = (runs.folder / "report.html").read_text()
    shown = re.sub(r"(?s)<script>.*?</script>|<style.*?</style>|<!--.*?-->", "", page)
    hidden = r'(?s)<div id="environment-header" hidden>.*?</div>'
    assert words not in re.sub(hidden, "", re.sub(r"<[^>]*>", "", re.sub(hidden, "", shown)))
