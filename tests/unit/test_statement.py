"""statement.yaml: what a run shows of its subject; a rehearsal shows nothing of a cluster."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.run.settings import KindSettings, Settings
from reports.command import command_of
from reports.model import EXIT_WORDS, Run
from reports.statement import as_yaml
from tests.golden import Golden
from tests.small_runs import SmallRuns
from tests.unit.runs import good, run, stopped

pytest_plugins = ["pytester"]


LISTS = ("failed", "blocked", "notClaimed")


def read(made: Run) -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load(as_yaml(made))
    return held


def test_a_good_run_over_a_real_cluster_is_conformant() -> None:
    held = read(good("conformance"))
    assert (held["kind"], held["result"]) == ("ConformanceReport", "conformant")
    assert held["profiles"][0]["core"]["result"] == "success"


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        pytest.param({"exit_code": 1}, "not conformant", id="a claim failed"),
        pytest.param({"exit_code": 12}, "not conformant", id="a claim is missing"),
        pytest.param({"partial": True}, "partial", id="narrowed"),
        pytest.param({"partial": True, "exit_code": 1}, "not conformant", id="narrowed, failed"),
        pytest.param({"complete": False, "reason": "x"}, "incomplete", id="incomplete"),
    ],
)
def test_anything_else_is_not(changes: dict[str, Any], result: str) -> None:
    assert read(replace(good("conformance"), **changes))["result"] == result


def test_a_mesh_that_was_broken_on_purpose_is_not_conformant() -> None:
    whole = good("conformance")
    broken = replace(whole, subject=replace(whole.subject, fault="gateway-object-deleted"))
    assert read(broken)["result"] == "not conformant"


@pytest.mark.parametrize(
    ("evidence", "code", "complete", "partial"),
    list(product(("rehearsal", "none"), EXIT_WORDS, (True, False), (True, False))),
)
def test_without_a_real_cluster_nothing_is_conformance(
    evidence: str,
    code: int,
    complete: bool,  # noqa: FBT001  # a parameter of the test
    partial: bool,  # noqa: FBT001  # the same
) -> None:
    made = replace(good(evidence), exit_code=code, complete=complete, partial=partial)
    assert "conforman" not in as_yaml(made).lower()


def test_each_claim_stands_in_one_list_with_its_reason() -> None:
    [profile] = read(run())["profiles"]
    assert profile["core"]["result"] == "failure"
    listed = [c["claim"] for what in LISTS for c in profile[what]]
    assert sorted([*listed, *profile["passed"]]) == sorted(a.claim.id for a in run().results)
    assert all(c["reason"] for what in LISTS for c in profile[what])


def test_what_was_not_claimed_makes_a_level_partial() -> None:
    whole = run()
    stage = replace(whole.stages[0], results=whole.stages[0].results[:2])
    assert read(replace(whole, stages=(stage,)))["profiles"][0]["core"]["result"] == "partial"


def test_it_says_how_to_see_it_oneself() -> None:
    assert read(stopped())["reproduce"] == {"suite": run().suite, "command": run().command}


def test_the_command_names_what_was_found_and_no_secret(golden: Golden) -> None:
    settings = Settings(
        "kind",
        "1.31.0",
        "1.35.2",
        "conformance",
        Path("out"),
        require=frozenset({"egress-gateway", "addons"}),
        kind=KindSettings(istio_set=("global.hub=mirror.example/istio", "global.token=abc")),
    )
    golden(command_of(settings))


def test_each_run_writes_it(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    held = yaml.safe_load((runs.run().folder / "statement.yaml").read_text())
    assert (held["kind"], held["result"]) == ("RehearsalReport", "rehearsal passed")
