"""Each cause is one failure with the claims that fail of it, and every file shows the same."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from fixtures.claims import ClaimFailed
from fixtures.run.state import Result
from fixtures.run.verdicts import unmet
from reports.data import as_json
from reports.failures import failures_of
from reports.html import page, tone
from reports.junit import as_junit
from reports.model import Run
from reports.statement import as_yaml
from reports.summary import as_markdown
from reports.terminal import failures
from tests.small_runs import SmallRuns
from tests.unit.runs import REPORT, claim, of_one_cause, run, unprepared

pytest_plugins = ["pytester"]

TITLE = "Preparation of stage 3 (The sample without the mesh) failed"
PREPARING = """
@pytest.fixture(scope="session")
def control_plane(cluster):
    raise ClaimFailed("istiod", expected="it exists", got="no such Deployment",
                      next_steps=["kubectl -n istio-system get deployments"])
"""


def test_claims_of_one_cause_are_one_failure() -> None:
    found = {failure.id: failure for failure in of_one_cause().failures}
    assert found["addons/rolled-out[kiali]"].others == (
        "addons/services[kiali]",
        "addons/healthy[kiali]",
    )
    assert found["injection/one-sidecar"].others == ("injection/its-image",)
    assert len(found) == 3


def causing(name: str, *causes: str, hint: str = "") -> Result:
    of = claim(name.partition("/")[0], name.partition("/")[2], f"{name} is so.")
    error = ClaimFailed(name, expected="so", got="not so", causes=causes, hint=hint)
    return unmet(of, REPORT, error)


def test_what_fails_of_what_others_failed_of_is_listed_with_each_of_them() -> None:
    results = (
        causing("installation/egress", "Deployment a/egress is not up"),
        causing("installation/ingress", "Deployment a/ingress is not up"),
        causing("gateways/x", "Deployment a/ingress is not up", "Deployment a/egress is not up"),
    )
    first, second = failures_of(results, ())
    assert (first.id, first.others) == ("installation/egress", ("gateways/x",))
    assert (second.id, second.others) == ("installation/ingress", ("gateways/x",))


def test_what_fails_of_one_more_thing_is_a_failure_of_its_own_too() -> None:
    results = (
        causing("installation/ingress", "Deployment a/ingress is not up"),
        causing("gateways/more", "Deployment a/ingress is not up", "Deployment b/edge is not up"),
        causing("workloads/edge", "Deployment b/edge is not up"),
    )
    ingress, edge = failures_of(results, ())
    assert (ingress.id, ingress.others) == ("installation/ingress", ("gateways/more",))
    assert (edge.id, edge.others) == ("workloads/edge", ("gateways/more",))
    assert edge.may_follow_from == ""


def test_what_fails_in_part_of_the_same_may_follow_from_it() -> None:
    results = (
        causing("installation/ingress", "Deployment a/ingress is not up"),
        causing("workloads/more", "Deployment a/ingress is not up", "Deployment b/edge is not up"),
    )
    first, second = failures_of(results, ())
    assert (second.id, second.may_follow_from) == ("workloads/more", first.title)


def test_a_failure_may_have_a_hint_of_its_own() -> None:
    [gone] = failures_of((causing("installation/ingress", "a", hint="Install it again."),), ())
    [usual] = failures_of((causing("installation/ingress", "a"),), ())
    assert (gone.hint, usual.hint) == ("Install it again.", "Read the pod's events.")


def test_what_explains_an_earlier_stage_comes_before_it_and_is_named() -> None:
    first, second, third = of_one_cause().failures
    assert (first.id, second.id) == ("webhooks/registered", "injection/one-sidecar")
    assert second.may_follow_from == first.title
    assert (first.may_follow_from, third.may_follow_from) == ("", "")


def test_a_claim_that_blocks_lists_what_it_blocks() -> None:
    broken = next(failure for failure in run().failures if failure.blocked)
    assert broken.id == "sample/six-pods-run"
    assert [result.claim.id for result in broken.blocked] == ["gateway/each-route[login]"]


def test_a_preparation_that_failed_is_one_failure_and_its_claims_are_blocked() -> None:
    [failure] = unprepared().failures
    assert failure.title == f"{TITLE}."
    assert failure.claims == ()
    assert len(failure.blocked) == 2
    assert failure.mismatch
    assert failure.mismatch.got == "ImagePullBackOff"


def test_a_preparation_that_fails_of_what_a_claim_failed_of_is_the_same_failure() -> None:
    made = of_one_cause()
    cause = made.stages[0].results[0]
    broken = unprepared().stages[1].broken
    assert broken
    stages = (made.stages[0], *unprepared().stages[1:])
    stages = (
        stages[0],
        replace(stages[1], broken=replace(broken, mismatch=cause.mismatch)),
        stages[2],
    )
    [failure] = replace(made, stages=stages).failures
    assert failure.others == ("injection/its-image", TITLE)
    assert len(failure.blocked) == 2


WAYS: list[Any] = [
    pytest.param(page, id="report.html"),
    pytest.param(as_markdown, id="summary.md"),
    pytest.param(as_junit, id="junit.xml"),
    pytest.param(lambda made: "\n".join(failures(made)), id="terminal"),
    pytest.param(lambda made: str(as_json(made)), id="report.json"),
    pytest.param(as_yaml, id="statement.yaml"),
]


@pytest.mark.parametrize("written", WAYS)
def test_every_file_names_the_preparation_that_failed(written: Callable[[Run], str]) -> None:
    assert TITLE in written(unprepared())


@pytest.mark.parametrize("written", WAYS)
def test_every_file_names_what_else_fails_of_a_cause(written: Callable[[Run], str]) -> None:
    """Beside the list of all claims, with the one that shows the cause."""
    text = written(of_one_cause()).replace("\\", "")
    near = text[text.index("rolled-out[kiali]") :]
    assert "services[kiali]" in near
    assert re.search(r"of (this|the same) cause|alsoFails|'claims': \[", text)


def test_what_is_only_blocked_does_not_read_as_passed_or_failed() -> None:
    made = unprepared()
    assert made.headline == "Rehearsal failed"
    assert tone(made) == "bad"
    assert made.counts["failed"] == 0
    assert "2 blocked" in made.sentence
    profile = yaml.safe_load(as_yaml(made))["profiles"][0]
    assert profile["failed"] == []
    assert [one["claim"] for one in profile["blocked"]] == [r.claim.id for r in made.results[1:]]
    assert profile["preparationsFailed"][0]["stage"] == "sample"
    cases = ET.fromstring(as_junit(made)).iter("testcase")
    assert [case.find("failure") for case in cases] == [None] * 4
    assert [stage["by_preparation"] for stage in as_json(made)["stages"]] == [False, True, False]


def test_a_run_whose_preparation_fails_says_so_everywhere(runs: SmallRuns) -> None:
    begun = runs.begin(world=PREPARING)
    begun.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    claims = "".join(f"@so()\ndef test_{name}(control_plane): inspected_one(1)\n" for name in "bc")
    begun.claims("02_installation", claims)
    ended = begun.run()
    assert ended.code == ended.report["exit_code"] == 12
    assert ended.verdicts == {
        "cluster/a": "passed",
        "installation/b": "blocked",
        "installation/c": "blocked",
    }
    [failure] = ended.report["failures"]
    assert failure["blocked"] == ["installation/b", "installation/c"]
    assert failure["look"] == ["kubectl --context x -n istio-system get deployments"]
    title = "Preparation of stage 2 (Istio's installation) failed"
    for name in ("report.html", "junit.xml", "summary.md", "statement.yaml"):
        text = (ended.folder / name).read_text().replace("&#39;", "'")
        assert title in text
    assert f"1. installation: {title}." in ended.output
    assert ended.output.count(f"   FAILED      {title}: istiod: expected it exists") == 1
    assert "   blocks 2 claims, which were not tested" in ended.output
