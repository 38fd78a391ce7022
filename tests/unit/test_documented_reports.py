"""What docs/ shows of reports is what the code prints, and each command there exists."""

import re
import shlex
from pathlib import Path

import pytest

from fixtures.run import kind_options, nightly_options, options
from reports import __main__ as reports_command
from reports.__main__ import parser
from reports.metrics import PREFIX, TEXTS
from reports.model import EXIT_WORDS
from reports.terminal import failures
from tests.small_runs import ROOT
from tests.unit.runs import documented

DOCS = ROOT / "docs"
PAGES = ("reports.md", "reading-a-failure.md", "release-check.md")


def blocks(page: str) -> list[str]:
    """The fenced blocks of a page, without their indent."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^ *```(?:sh|text)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return ["\n".join(line.strip() for line in block.splitlines()) for block in found]


def commands(page: str) -> list[list[str]]:
    return [shlex.split(line) for block in blocks(page) for line in block.splitlines() if line]


def test_the_sample_of_a_failure_is_what_a_run_prints() -> None:
    [sample] = blocks("reading-a-failure.md")
    printed = "\n".join(failures(documented())).strip("\n")
    assert sample == "\n".join(line.strip() for line in printed.splitlines())


def test_the_commands_of_the_release_check_exist() -> None:
    reports = [c for c in commands("release-check.md") if "reports" in c]
    runs = [c for c in commands("release-check.md") if c[0] == "tox"]
    assert len(reports) == 3
    for command in reports:
        parser().parse_args(command[command.index("reports") + 1 :])
    for command in runs:
        assert f"[testenv:{command[2]}]" in (ROOT / "tox.ini").read_text()


def test_each_option_that_the_pages_name_exists() -> None:
    declaring = (options, kind_options, nightly_options, reports_command)
    known = "".join(Path(str(module.__file__)).read_text() for module in declaring)
    known += '"--context"'  # kubectl's
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", (DOCS / page).read_text()))
        assert {name for name in named if f'"{name}"' not in known} == set()


@pytest.mark.parametrize("code", EXIT_WORDS)
def test_each_exit_code_is_documented(code: int) -> None:
    text = (DOCS / "reading-a-failure.md").read_text(encoding="utf-8")
    assert re.search(rf"(^|· |·\n){code} ", text, re.MULTILINE)


def test_each_gauge_is_documented() -> None:
    text = (DOCS / "reports.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| `{PREFIX}(\w+)` \| (.*) \|$", text, re.MULTILINE)
    assert dict(rows) == TEXTS
