"""A mesh whose release is no longer mended, or soon not, is warned of; the day is the run's."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from fixtures.istio.releases.end_of_support import ENDS, HOLES, remarks
from fixtures.istio.releases.rows import Row, all_for
from fixtures.istio.releases.versions import OLDEST, RANGES
from fixtures.providers.base import Access
from fixtures.run.cluster import doubts
from reports.html import page
from reports.summary import as_markdown
from reports.terminal import closing
from tests.unit.runs import run

TODAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("istio", "day", "words"),
    [
        ("1.29.7", date(2026, 7, 1), []),
        ("1.29.7", date(2026, 8, 1), ["1.29 ends on 2026-10-12: plan"]),
        ("1.29.7", date(2026, 10, 12), ["1.29 ended on 2026-10-12: no hole"]),
        ("1.28.10", TODAY, ["1.28 ended by 2026-10-12"]),
        ("1.22.8", TODAY, ["1.22 ended by 2025-09-22"]),
        ("1.30.8", TODAY, ["1.30 ends about January 2027 (an estimate): plan"]),
        ("1.30.8", date(2027, 2, 1), ["1.30 ended about January 2027 (an estimate)"]),
        ("1.31.4", TODAY, []),
        ("1.90.0", TODAY, []),
    ],
)
def test_what_is_reported_of_a_release_depends_on_the_day(
    istio: str, day: date, words: list[str]
) -> None:
    message = remarks(istio, day)
    assert len(message) == len(words)
    assert all(word in line for word, line in zip(words, message, strict=True))


@pytest.mark.parametrize(
    ("istio", "fixed"),
    [("1.30.3", "1.30.4"), ("1.30.4", ""), ("1.29.6", "1.29.7"), ("1.31.0", "1.31.1")],
)
def test_a_patch_with_known_holes_names_the_one_that_closes_them(istio: str, fixed: str) -> None:
    lines = [line for line in remarks(istio, date(2026, 1, 1)) if "known holes" in line]
    assert [f"take {fixed} or newer" in line for line in lines] == [True] * bool(fixed)


def test_every_release_before_the_last_known_end_has_one_and_they_end_in_order() -> None:
    assert ENDS[0].since == OLDEST
    assert all(before.until == after.since for before, after in pairwise(ENDS))
    assert all(before.value.day <= after.value.day for before, after in pairwise(ENDS))
    last = [row.id for row in RANGES].index(ENDS[-1].id)
    assert all(len(all_for(ENDS, row.id)) == 1 for row in RANGES[: last + 1])


def test_a_hole_is_closed_by_the_patch_at_which_its_row_ends() -> None:
    rows: tuple[Row[tuple[str, str]], ...] = HOLES
    assert [row.until for row in rows] == [row.value[1] for row in rows]


def _access(evidence: str) -> Access:
    return Access(Path(), "here", None, evidence, "test", "1.29.6", "1.34.4")  # type: ignore[arg-type]  # a row's word


def test_only_of_a_real_mesh_is_it_reported() -> None:
    assert [line.partition(":")[0] for line in doubts(_access("conformance"), TODAY)] == [
        "WARNING",
        "WARNING",
    ]
    assert doubts(_access("rehearsal"), TODAY) == []


def test_a_warning_stands_before_the_results_wherever_they_are_read() -> None:
    line = "WARNING: support of Istio 1.29 ended on 2026-10-12."
    made = replace(run(), notes=("Chosen by auto.", line))
    html, summary = page(made), as_markdown(made)
    assert html.index(line) < html.index("<h2>")
    assert summary.index(line) < summary.index("## ")
    assert line in closing(made)
    assert "Chosen by auto." not in closing(made)
