"""The page of a fleet: the worst first, versions and skew, the first certificate to end."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fixtures.run.state import Result
from reports.__main__ import main
from reports.data import as_json as run_as_json
from reports.fleet import Cluster, Fleet, folder_of, read
from reports.fleet_page import MOST_COLUMNS, as_json, page, tone
from reports.model import Run
from reports.recorder import BEGUN
from tests.fleets import StandIn, leave
from tests.golden import Golden
from tests.unit.runs import run
from tests.unit.test_reports import closed

ROOT = Path(__file__).parents[2]
READY, PODS = "cluster/every-node-is-ready", "sample/six-pods-run"
GOOD = StandIn("good", certificates={"istio-system/istiod": "2027-05-01"})
FAILED = StandIn(
    "failed",
    istio="1.30.3",
    sidecars="1.29.0, 1.30.3",
    wrong={READY: "failed"},
    certificates={"the mesh's root": "2026-12-24, until 2031-01-01", "a": "2028-01-01"},
    exit_code=1,
)
WORSE = StandIn("worse", wrong={READY: "failed", PODS: "error"}, exit_code=1)
GONE = StandIn("gone", "", "", "", exit_code=10, reason="the API server does not answer")
REFUSED = StandIn("prod", "", "", "", exit_code=13, reason="it looks like production")


def held(result: Result) -> Result:
    return replace(result, verdict="passed", inspected=1, message="", blocked_by="")


@pytest.fixture
def sound() -> dict[str, Any]:
    """The report of a run whose claims all passed."""
    whole: Run = run()
    stages = tuple(
        replace(stage, results=tuple(map(held, stage.results)), broken=None)
        for stage in whole.stages
    )
    data: dict[str, Any] = json.loads(json.dumps(run_as_json(replace(whole, stages=stages))))
    return data


@pytest.fixture
def fleet(tmp_path: Path, sound: dict[str, Any]) -> Fleet:
    leave(tmp_path, sound, [GOOD, FAILED, GONE, REFUSED, WORSE])
    return read(tmp_path)


def test_the_worst_comes_first(fleet: Fleet) -> None:
    names = [cluster.name for cluster in fleet.clusters]
    assert names == ["prod", "gone", "worse", "failed", "good"]
    assert fleet.exit_code == 13


def test_the_verdict_counts_who_has_none(fleet: Fleet, golden: Golden) -> None:
    golden(fleet.headline)
    golden(fleet.sentence)
    assert tone(fleet) == "bad"


def test_versions_are_counted_and_their_skew_is_told(fleet: Fleet) -> None:
    counted = dict(fleet.versions)
    assert list(counted["Istio"].items()) == [("1.30.3", 1), ("1.32.0", 2)]
    assert list(counted["Sidecars"].items()) == [("1.29.0", 1), ("1.30.3", 1), ("1.32.0", 2)]
    assert dict(fleet.skew) == {"Istio": 2, "Sidecars": 3, "Kubernetes": 0}


def test_the_first_certificate_to_end_is_found(fleet: Fleet) -> None:
    first, *rest = fleet.endings
    assert (str(first.day), first.cluster, first.name) == (
        "2026-12-24",
        "failed",
        "the mesh's root",
    )
    assert [one.cluster for one in rest] == ["good"]


def test_what_is_wrong_in_most_clusters_comes_first(fleet: Fleet) -> None:
    assert [(row.id, len(row.wrong)) for row in fleet.rows][:2] == [(READY, 2), (PODS, 1)]
    assert fleet.rows[0].counts == {"passed": 1, "failed": 2}


def test_the_page_says_all_of_it(fleet: Fleet) -> None:
    text = page(fleet)
    for words in (
        fleet.headline,
        fleet.sentence,
        "does not answer",
        "2026-12-24",
        "1.29.0",
        READY,
    ):
        assert words in text
    assert 'href="worse/report.html"' in text
    assert "http" not in text.replace("http-equiv", "")


def test_the_data_keep_their_schema(fleet: Fleet) -> None:
    schema = json.loads((ROOT / "reports" / "fleet.schema.json").read_text())
    data = json.loads(as_json(fleet))
    jsonschema.validate(data, closed(schema), format_checker=jsonschema.FormatChecker())
    assert data["clusters"][2]["wrong"] == {READY: "failed", PODS: "error"}
    assert data["clusters"][3]["certificate"] == {"name": "the mesh's root", "ends": "2026-12-24"}


def test_a_cluster_that_ought_to_be_there_is_missed(tmp_path: Path, sound: Any) -> None:
    leave(tmp_path, sound, [GOOD])
    found = read(tmp_path, ["good", "lost"])
    assert found.sentence.startswith("INCOMPLETE: of 2 audits 1 left no report. 2 clusters: 1 pas")
    assert (found.exit_code, found.clusters[0].headline) == (2, "No report")
    assert tone(found) == "incomplete"


def test_an_audit_that_runs_is_no_verdict(tmp_path: Path, sound: Any) -> None:
    leave(tmp_path, sound, [GOOD, replace(GOOD, name="slow", exit_code=2, reason=BEGUN)])
    found = read(tmp_path)
    assert found.headline == "INCOMPLETE"
    assert "of 2 audits 1 not ended" in found.sentence


def test_what_has_not_ended_is_waited_for(
    tmp_path: Path, sound: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, sound, [GOOD, replace(GOOD, name="slow", exit_code=2, reason=BEGUN)])
    waited: list[float] = []

    def it_ends(seconds: float) -> None:
        waited.append(seconds)
        shutil.copytree(tmp_path / "good", tmp_path / "slow", dirs_exist_ok=True)
        shutil.copytree(tmp_path / "good", tmp_path / "late", dirs_exist_ok=True)

    monkeypatch.setattr("reports.fleet.pause", it_ends)
    found = read(tmp_path, ["good", "slow", "late"], wait=60)
    assert (found.complete, found.good, len(waited)) == (True, 3, 1)


def test_it_is_not_waited_for_longer_than_said(tmp_path: Path, sound: Any) -> None:
    leave(tmp_path, sound, [replace(GOOD, name="slow", exit_code=2, reason=BEGUN)])
    assert not read(tmp_path, wait=0.001).complete


def test_a_fleet_of_simulated_clusters_is_never_green(tmp_path: Path, sound: Any) -> None:
    leave(tmp_path, sound, [GOOD, replace(GOOD, name="posed", evidence="rehearsal")])
    found = read(tmp_path)
    assert (found.exit_code, tone(found)) == (0, "rehearsed")
    assert "1 of 2 clusters are embedded, simulated ones" in page(found)


def test_the_deadline_of_the_fleet_is_told_where_the_run_knows_only_a_signal(
    tmp_path: Path, sound: Any
) -> None:
    leave(tmp_path, sound, [replace(GOOD, exit_code=2, reason="stopped by SIGTERM"), FAILED, GONE])
    late = "stopped after 60 s (--deadline)"
    assert Cluster.read(tmp_path / "good", "good", 2, late).reason == late
    assert Cluster.read(tmp_path / "gone", "gone", 10, late).reason == GONE.reason
    failed = Cluster.read(tmp_path / "failed", "failed", 2, late)
    assert (failed.audited, failed.exit_code) == (True, 1)  # it had ended before


@pytest.mark.parametrize("code", [0, 1, 12])
def test_a_process_without_a_report_did_not_pass(tmp_path: Path, code: int) -> None:
    assert Cluster.read(tmp_path, "x", code).exit_code == 3


def test_a_report_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    one = Cluster.read(tmp_path, "x", 0)
    assert (one.exit_code, one.stored) == (3, None)
    assert "is no whole report of Seatrial" in one.reason


def test_more_claims_than_columns_are_named(tmp_path: Path, sound: Any) -> None:
    [one] = [claim for claim in sound["claims"] if claim["id"] == READY]
    sound["claims"] = [one | {"id": f"cluster/n-{n}"} for n in range(MOST_COLUMNS + 2)]
    wrong = {claim["id"]: "failed" for claim in sound["claims"]}
    leave(tmp_path, sound, [replace(WORSE, wrong=wrong)])
    assert "2 more claims are wrong somewhere, each in 1 cluster or fewer" in page(read(tmp_path))


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("arn:aws:eks:eu-west-1:1234:cluster/a", "arn-aws-eks-eu-west-1-1234-cluster-a"),
        ("admin@kind", "admin-kind"),
        ("../..", "cluster"),
        ("kind-a.b_c", "kind-a.b_c"),
    ],
)
def test_a_name_makes_a_folder_on_every_system(name: str, folder: str) -> None:
    assert folder_of(name) == folder


def test_the_command_ends_with_the_worst_code(tmp_path: Path, sound: Any, capsys: Any) -> None:
    leave(tmp_path, sound, [GOOD, FAILED])
    assert main(["fleet", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("1 of 2 clusters did not pass\n")
    assert json.loads((tmp_path / "fleet.json").read_text())["exit_code"] == 1
    assert "1 of 2 clusters" in (tmp_path / "fleet.html").read_text()


@pytest.mark.parametrize("names", [None, "", "# nobody\n"])
def test_a_fleet_of_nobody_is_refused(tmp_path: Path, names: str | None, capsys: Any) -> None:
    words = ["fleet", str(tmp_path)]
    if names is not None:
        (tmp_path / "names").write_text(names)
        words += ["--clusters", str(tmp_path / "names")]
    assert main(words) == 4
    assert capsys.readouterr().err.count("\n") == 1
