#!/usr/bin/env bash
# pytest-html 4.2.0: a row whose result cell holds a word of one's own is in the file, never shown.
# Seen: a hook names one of two passed tests "Blocked". The summary counts 2 passed, the page shows
# one row: its script shows rows of seven fixed words only, and no checkbox stands for another.
# Why it surprises: the hook is there for changing cells, and nothing warns. No browser is needed:
# the words and the rule are read from the script in the page.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    pytest==9.2.0 pytest-html==4.2.0

mkdir "$work/suite"
cat >"$work/suite/conftest.py" <<'PYTHON'
def pytest_html_results_table_row(report, cells):
    if report.nodeid.endswith("test_two"):
        cells[0] = '<td class="col-result">Blocked</td>'
PYTHON
cat >"$work/suite/test_both.py" <<'PYTHON'
def test_one():
    pass


def test_two():
    pass
PYTHON
touch "$work/suite/pytest.ini"
cd "$work/suite"
"$work/venv/bin/python" -m pytest --quiet --html=page.html --self-contained-html

"$work/venv/bin/python" - <<'PYTHON'
import html
import json
import re
import sys
from pathlib import Path

page = Path("page.html").read_text(encoding="utf-8")
data = json.loads(html.unescape(re.search(r'data-jsonblob="([^"]*)"', page)[1]))
rows = {name: row["result"] for name, (row,) in data["tests"].items()}
words = re.findall(r"'(\w+)'", re.search(r"const possibleFilters = \[([^\]]*)\]", page)[1])
filters = "filter(({ result }) => filter.includes(result.toLowerCase()))" in page
checkboxes = re.findall(r'data-test-result="(\w+)"', page)
passed = re.search(r"(\d+) Passed", page)[1]
shown = [name for name, result in rows.items() if result.lower() in words]

print(f"rows in the file:      {rows}")
print(f"words that are shown:  {words}")
print(f"rows that are shown:   {shown}")
print(f"counted in the page:   {passed} Passed")
as_described = filters and passed == "2" and rows["test_both.py::test_two"] == "Blocked"
sys.exit(
    not (as_described and shown == ["test_both.py::test_one"] and "blocked" not in checkboxes)
)
PYTHON
