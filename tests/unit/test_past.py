"""Since when a claim fails, and which run was the last good one: counted over stored reports."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures.run.state import Verdict
from reports.data import as_json
from reports.model import Run
from reports.past import Past, Streak, followed, past_of
from reports.stored import Stored, below
from reports.summary import as_markdown
from tests.small_runs import SmallRuns
from tests.unit.runs import good, run

pytest_plugins = ["pytester"]

CLAIM = "sample/six-pods-run"
PASSING = "@so()\ndef test_a(cluster): inspected_one(1)\n"
FAILING = "@so()\ndef test_a(cluster):\n    raise ClaimFailed('a', expected='b', got='c')\n"
FIRST = run().started


def of(verdict: Verdict | None, day: int, past: Past | None = None, cluster: str = "") -> Run:
    """A run on that day in which the claim had this verdict, or was not among the claims."""
    whole = run()
    failed = whole.stages[1].results[0]
    message = "" if verdict == "passed" else failed.message
    results = (replace(failed, verdict=verdict, message=message),) if verdict else ()
    return replace(
        whole,
        subject=replace(whole.subject, provider="existing", cluster=cluster),
        stages=(replace(whole.stages[1], results=results),),
        started=FIRST + timedelta(days=day),
        exit_code=0 if verdict == "passed" else 1,
        past=past or Past(),
    )


def stored(made: Run) -> Stored:
    return Stored.parse(json.dumps(as_json(made)).encode(), "a report")


def past(*verdicts: Verdict | None) -> Past:
    return past_of(stored(of(verdict, day)) for day, verdict in enumerate(verdicts))


def on(day: int) -> str:
    return (FIRST + timedelta(days=day)).isoformat()


@pytest.mark.parametrize(
    ("verdicts", "streak"),
    [
        pytest.param(("passed",), None, id="passed"),
        pytest.param(("failed",), Streak(on(0), 1), id="failed"),
        pytest.param(("passed", "failed", "failed"), Streak(on(1), 2), id="failed twice"),
        pytest.param(("failed", "error"), Streak(on(0), 2), id="an error is as red"),
        pytest.param(("failed", "passed"), None, id="passed at last"),
        pytest.param(
            ("failed", "passed", "failed"), Streak(on(2), 1), id="began to fail a second time"
        ),
        pytest.param(
            ("failed", "blocked", None, "not-claimed", "failed"),
            Streak(on(0), 2),
            id="not tested in between",
        ),
    ],
)
def test_a_streak(verdicts: tuple[Verdict | None, ...], streak: Streak | None) -> None:
    assert past(*verdicts).streaks.get(CLAIM) == streak


def test_runs_count_in_the_order_of_their_time() -> None:
    runs = [stored(of("failed", 2)), stored(of("passed", 0)), stored(of("failed", 1))]
    assert past_of(runs).streaks[CLAIM] == Streak(on(1), 2)


def test_a_report_carries_on_what_was_known_before_it() -> None:
    known = past("passed", "failed", "failed")
    carried = past_of([stored(of("failed", 3, known))])
    assert carried.streaks[CLAIM] == Streak(on(1), 3)
    assert carried.last_good == on(0)


def test_a_report_that_is_there_twice_counts_once() -> None:
    twice = [stored(of("failed", 0)), stored(of("failed", 0))]
    assert past_of(twice).streaks[CLAIM].runs == 1


@pytest.mark.parametrize(
    "spoilt",
    [
        {"partial": True},
        {"complete": False, "reason": "stopped by SIGTERM", "exit_code": 2},
        {"exit_code": 12},
    ],
)
def test_only_a_whole_good_run_is_the_last_good_one(spoilt: dict[str, object]) -> None:
    after = replace(of("passed", 1), **spoilt)  # type: ignore[arg-type]  # some of its fields
    assert past_of([stored(of("passed", 0)), stored(after)]).last_good == on(0)


def write(folder: Path, made: Run) -> None:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(as_json(made)))


def test_runs_of_another_cluster_say_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a", of("failed", 0, cluster="a"))
    write(tmp_path / "b", of("failed", 0, cluster="b"))
    subject = vars(of("failed", 1, cluster="a").subject)
    found = followed(subject, (), tmp_path, besides=tmp_path / "c")
    assert found.latest
    assert found.latest.subject["cluster"] == "a"
    assert found.streaks[CLAIM].runs == 1


def test_an_upgrade_of_a_cluster_that_exists_is_the_same_subject() -> None:
    before = of("passed", 0)
    after = replace(before, subject=replace(before.subject, istio="1.32.0", kubernetes="1.36.0"))
    assert stored(before).about == stored(after).about


@pytest.mark.parametrize(
    ("istio", "subjects"), [("1.31.1", 1), ("1.32.0", 2)], ids=["patch", "minor"]
)
def test_a_cluster_that_a_run_makes_is_made_of_versions(istio: str, subjects: int) -> None:
    before = good("rehearsal")
    after = replace(before, subject=replace(before.subject, istio=istio))
    assert len({stored(before).about, stored(after).about}) == subjects


def test_the_report_of_the_run_itself_is_no_earlier_one(tmp_path: Path) -> None:
    write(tmp_path / "now", of("failed", 0))
    subject = vars(of("failed", 0).subject)
    assert followed(subject, (), tmp_path, besides=tmp_path / "now").latest is None


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    write(tmp_path / "good", of("passed", 0))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "report.json").write_text("{")
    found, wrong = below(tmp_path)
    assert len(found) == 1
    [line] = wrong
    assert str(tmp_path / "bad" / "report.json") in line


def test_runs_in_folders_of_their_own_know_of_each_other(runs: SmallRuns) -> None:
    reports = runs.folder.parent
    reports.mkdir()
    for night, source in enumerate((PASSING, FAILING, FAILING)):
        runs.claims("01_cluster", source)
        runs.run("--history", "reports", "--reports-dir", f"reports/night-{night}")
        if night < 2:  # three runs of this second are no three nights
            stored = reports / f"night-{night}" / "report.json"
            earlier = (datetime.now(UTC) - timedelta(days=2 - night)).isoformat(timespec="seconds")
            text = stored.read_text()
            stored.write_text(text.replace(json.loads(text)["started"], earlier))
    [claim] = json.loads((reports / "night-2" / "report.json").read_text())["claims"]
    first, second = (
        json.loads((reports / f"night-{night}" / "report.json").read_text()) for night in (0, 1)
    )
    assert (claim["red_runs"], claim["red_since"]) == (2, second["started"])
    assert second["last_good"] == first["started"]
    assert "Red since" in (reports / "night-2" / "report.html").read_text()
    assert "Red since" not in (reports / "night-1" / "report.html").read_text()


def test_a_cluster_is_called_as_its_user_says(
    runs: SmallRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.claims("01_cluster", PASSING)
    assert runs.run().report["subject"]["cluster"] == "x"  # the context
    monkeypatch.setenv("SEATRIAL_CLUSTER", "north")
    assert runs.run().report["subject"]["cluster"] == "north"
    assert 'cluster="north"' in (runs.folder / "metrics.prom").read_text()
    assert runs.run("--cluster", "south").report["subject"]["cluster"] == "south"


def test_an_earlier_report_that_is_broken_stops_nothing(runs: SmallRuns) -> None:
    runs.claims("01_cluster", PASSING)
    runs.run()
    report = json.loads((runs.folder / "report.json").read_text())
    (runs.folder / "report.json").write_text(json.dumps(report | {"started": "some day"}))
    assert runs.run().report["complete"] is True


def test_the_summary_says_since_when() -> None:
    known = past("passed", "failed", "failed")
    since = f"{datetime.fromisoformat(on(1)):%Y-%m-%d %H:%M} UTC"
    assert f"  - red since 3 runs ({since})\n" in as_markdown(of("failed", 3, known))
    assert "red since" not in as_markdown(of("failed", 3))
