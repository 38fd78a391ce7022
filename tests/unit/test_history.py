"""`python -m reports history`: what became of each claim over many runs, on one page."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures.claims import Observation
from fixtures.run.state import Verdict
from reports.__main__ import main
from reports.data import as_json
from reports.history import ABSENT, History, Line, Row, histories, page, tone
from reports.model import Run
from reports.stored import Stored, StoredClaim
from tests.unit.runs import good, run, stopped

CLAIM = "sample/six-pods-run"
LETTERS: dict[str, Any] = {
    "g": "passed",
    "r": "failed",
    "e": "error",
    "b": "blocked",
    "n": "not-claimed",
    ".": ABSENT,
}


def row(letters: str, red_runs: int = 0) -> Row:
    """A claim with these marks, run by run."""
    marks = tuple(LETTERS[letter] for letter in letters)
    latest = StoredClaim(
        CLAIM,
        "Six pods run.",
        marks[-1],
        1,
        "",
        "sample",
        tested=True,
        seconds=1,
        red_runs=red_runs,
    )
    return Row(latest, marks)


@pytest.mark.parametrize(
    ("letters", "first_red", "last_green", "red_runs"),
    [
        ("gggg", None, 3, 0),
        ("grrr", 1, 0, 3),
        ("rrrr", 0, None, 4),
        ("rggr", 3, 2, 1),
        ("rgge", 3, 2, 1),
        ("grrg", 1, 3, 0),
        ("grbr", 1, 0, 2),
        ("gr.n", 1, 0, 1),
        ("bnbn", None, None, 0),
    ],
)
def test_first_red_and_last_green(
    letters: str, first_red: int | None, last_green: int | None, red_runs: int
) -> None:
    made = row(letters)
    assert (made.first_red, made.last_green, made.red_runs) == (first_red, last_green, red_runs)


def test_a_report_may_know_of_more_red_runs_than_are_there() -> None:
    assert row("rr", red_runs=7).red_runs == 7
    assert row("rg", red_runs=7).red_runs == 0


@pytest.mark.parametrize(
    ("letters", "turns", "flaps"),
    [
        ("gggggggg", 0, 0),
        ("ggggrrrr", 1, 0),
        ("gbrbgnrg", 4, 1),
        ("grgr", 3, 1),
        ("grg", 2, 0),
        ("grgr" + "g" * 20, 4, 0),
        ("bbbb", 0, 0),
    ],
)
def test_what_turns_often_of_late_flaps(letters: str, turns: int, flaps: int) -> None:
    assert len(row(letters).turns) == turns
    assert row(letters).flaps == bool(flaps)


def test_runs_with_the_same_mark_are_one_stretch() -> None:
    found = [(s.begins, s.runs, s.mark) for s in row("ggrr.g").strip]
    assert found == [(0, 2, "passed"), (2, 2, "failed"), (4, 1, ABSENT), (5, 1, "passed")]


@pytest.mark.parametrize(
    ("seconds", "paths"),
    [
        ((1.0, 2.0), ("0.5,5.0 1.5,0.0",)),
        ((None, 2.0, None, 1.0), ("1.5,0.0", "3.5,5.0")),
        ((0.0, 0.0), ("0.5,10.0 1.5,10.0",)),
        ((None,), ()),
    ],
)
def test_a_line_breaks_where_a_run_has_no_seconds(
    seconds: tuple[float | None, ...], paths: tuple[str, ...]
) -> None:
    assert Line("a", seconds).paths(10) == paths


# Of whole runs


def of(
    letter: str, day: int, *, image: str = "a", istio: str = "1.30.3", cluster: str = "x"
) -> Run:
    """A run on that day in which the claim had this verdict."""
    whole = good("conformance")
    verdict: Verdict = "passed" if letter == "g" else "failed"
    message = "" if letter == "g" else "pod <b>: expected so, got not"
    template = run().stages[1].results[0]
    seen = (Observation("image", "proxy", f"proxyv2@sha256:{image}"),)
    result = replace(template, verdict=verdict, message=message, observations=seen)
    subject = replace(whole.subject, provider="existing", cluster=cluster, istio=istio)
    return replace(
        whole,
        subject=subject,
        stages=(*whole.stages, replace(run().stages[1], results=(result,))),
        started=whole.started + timedelta(days=day),
        exit_code=0 if letter == "g" else 1,
    )


def stored(*made: Run) -> list[Stored]:
    return [Stored.parse(json.dumps(as_json(one)).encode(), "a report") for one in made]


def history(*made: Run) -> History:
    [found] = histories(stored(*made))
    return found


def test_where_it_turned_stands_what_else_differed() -> None:
    made = history(of("g", 0), of("g", 1), of("r", 2, image="b", istio="1.31.0"), of("g", 3))
    back, turned = made.turns
    assert (turned.number, turned.newly_red, turned.green_again) == (2, (CLAIM,), ())
    found = {s.title: [(c.name, c.before, c.after) for c in s.changes] for s in turned.changed}
    assert found["Subject"] == [("Istio", "1.30.3", "1.31.0")]
    assert ("proxy", "proxyv2@sha256:a", "proxyv2@sha256:b") in found["Images"]
    assert (back.number, back.green_again) == (3, (CLAIM,))


def test_subjects_are_told_apart_and_what_fails_comes_first() -> None:
    found = histories(
        stored(of("r", 0, cluster="a"), of("g", 1, cluster="b"), of("r", 2, cluster="a"))
    )
    assert [(one.title, len(one.runs)) for one in found] == [
        ("a, profile smoke", 2),
        ("b, profile smoke", 1),
    ]


def test_how_long_a_stage_took_is_a_line() -> None:
    made = history(of("g", 0), of("r", 1))
    lines = {line.name: line.seconds for line in (*made.lines, made.whole)}
    assert lines["sample"] == (1.5, 1.5)
    assert lines["The whole run"] == (12.25, 12.25)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([of("g", 0)], "good"),
        ([of("r", 0)], "bad"),
        ([good("rehearsal")], "rehearsed"),
        ([replace(stopped(), stages=())], "incomplete"),
    ],
)
def test_only_real_clusters_are_green(made: Sequence[Run], expected: str) -> None:
    assert tone(histories(stored(*made))) == expected


def test_a_rehearsal_is_never_called_conformance() -> None:
    html = page(histories(stored(run(), good("rehearsal"))))
    assert "conforman" not in html.lower()
    assert "a rehearsal: it proves nothing of a real cluster" in html


def test_what_reports_hold_cannot_break_the_page() -> None:
    html = page(histories(stored(of("r", 0, cluster="<script>"))), wrong=["<b>: no"])
    assert "<script>" not in html
    assert "pod &lt;b&gt;" in html
    assert "&lt;b&gt;: no" in html


def test_the_page_refers_to_nothing_elsewhere() -> None:
    html = page(histories(stored(of("g", 0), of("r", 1))))
    assert "http://" not in html
    assert "https://" not in html
    assert "<script" not in html


# The command


def lay(folder: Path, *made: Run) -> None:
    for number, one in enumerate(made):
        below = folder / f"night {number}" / "out"
        below.mkdir(parents=True)
        (below / "report.json").write_text(json.dumps(as_json(one)))


def test_the_command_draws_what_is_below_a_folder_and_names_what_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay(tmp_path, of("g", 0), of("r", 1))
    broken = tmp_path / "broken" / "report.json"
    broken.parent.mkdir()
    broken.write_text(json.dumps(as_json(run()) | {"started": "yesterday"}))
    assert main(["history", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}/history.html: 2 runs of 1 subject, 1 claims red now\n"
    assert err.startswith(f"not read: {broken}: is no whole report of Seatrial")
    assert err.count("\n") == 1
    html = (tmp_path / "history.html").read_text()
    assert "red since 1 run<" in html
    assert str(broken) in html


def test_the_page_goes_where_it_is_wanted(tmp_path: Path) -> None:
    lay(tmp_path / "runs", of("g", 0))
    assert main(["history", str(tmp_path / "runs"), "-o", str(tmp_path / "page.html")]) == 0
    assert "1 run of 1 subject" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("there", ["none", "empty"])
def test_no_report_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["history", str(tmp_path / there)]) == 4
    [line] = capsys.readouterr().err.splitlines()
    assert "there is no report below it" in line


def test_a_run_that_is_there_twice_counts_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay(tmp_path, of("g", 0), of("g", 0))
    assert main(["history", str(tmp_path)]) == 0
    assert "1 run of 1 subject" in capsys.readouterr().out
