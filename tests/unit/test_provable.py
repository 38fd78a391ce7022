"""Which faults a live mesh can show, told from what the run beforehand tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.faults.catalog import CATALOGUE, Fault
from fixtures.faults.fault import matches
from fixtures.faults.live import LIVE, live_of
from fixtures.run.provable import LeftOut, Provable
from fixtures.run.stages import BY_NAME
from fixtures.run.state import Claim, Result, Verdict

ROOT = Path(__file__).parents[2]
NO_SIDECARS = "its pods have no sidecars"
FAULT = replace(
    CATALOGUE["gateway-object-deleted"], fails=("gateway/one", "gateway/more"), blocks=(8, 12)
)


def claim(name: str) -> Claim:
    stage = BY_NAME[name.partition("/")[0]]
    return Claim(name, "It is so.", "", "", "core", "", False, stage, name)


def provable(features: tuple[str, ...] = (), **verdicts: Verdict) -> Provable:
    names = {name.replace("__", "/"): verdict for name, verdict in verdicts.items()}
    claims = tuple(map(claim, names))
    results = {c.id: Result(c, names[c.id], message=NO_SIDECARS) for c in claims}
    return Provable(claims, results, features)


def touched(mesh: Provable, fault: Fault = FAULT) -> list[str]:
    return [one.id for one in mesh.touched(fault)]


def test_a_fault_is_injected_where_a_claim_that_notices_it_was_tested() -> None:
    mesh = provable(gateway__one="passed", gateway__more="not-claimed", webhooks__a="passed")
    assert mesh.refusal(FAULT) == ""
    assert touched(mesh) == ["gateway/one", "gateway/more"]


def test_where_none_was_tested_it_is_left_out_with_the_reason() -> None:
    mesh = provable(gateway__one="not-claimed", gateway__other="passed")
    assert mesh.refusal(FAULT) == NO_SIDECARS


def test_what_breaks_sidecars_is_left_out_in_ambient_mode() -> None:
    mesh, fault = provable(gateway__one="passed"), replace(FAULT, mesh="sidecar")
    assert mesh.refusal(fault) == ""
    assert "ambient mode" in replace(mesh, ambient=True).refusal(fault)


def test_stages_are_blocked_only_where_they_had_tested_claims() -> None:
    mesh = provable(gateway__one="passed", traffic__a="not-claimed", restart__a="passed")
    assert touched(mesh) == ["gateway/one", "restart/a"]


def test_a_fault_whose_claims_are_in_no_named_suite_touches_nothing() -> None:
    assert touched(provable(traffic__a="passed", restart__a="passed")) == []


@pytest.mark.parametrize(
    ("brings", "features", "possible"),
    [
        (None, (), False),
        ("", (), True),
        ("ingress-gateway", (), False),
        ("ingress-gateway", ("ingress-gateway",), True),
    ],
)
def test_a_fault_that_brings_what_is_claimed_needs_no_tested_claim(
    brings: str | None, features: tuple[str, ...], *, possible: bool
) -> None:
    mesh = provable(features, gateway__one="not-claimed")
    assert (mesh.refusal(replace(FAULT, brings=brings)) == "") is possible


def test_a_mesh_of_sidecars_has_every_fault_but_those_of_ambient_mode() -> None:
    lines = (ROOT / "suites" / "ledger.txt").read_text().splitlines()
    claims = tuple(claim(line.partition(": ")[0]) for line in lines[1:])
    brought = [
        pattern for fault in LIVE.values() if fault.brings is not None for pattern in fault.fails
    ]
    untested = [*brought, "ambient/*", "ambient-traffic/*"]
    results = {
        c.id: Result(c, "not-claimed" if matches(c.id, untested) else "passed", message="no")
        for c in claims
    }
    mesh = Provable(claims, results, {"ingress-gateway"})
    possible = {name for name, fault in LIVE.items() if not mesh.refusal(fault)}
    assert possible == {name for name, fault in LIVE.items() if fault.mesh != "ambient"}
    assert all(mesh.shows_all(LIVE[name]) for name in possible)


def test_words_are_wanted_where_every_claim_can_say_them() -> None:
    assert provable(gateway__one="passed", gateway__more="passed").shows_all(FAULT)
    mesh = provable(gateway__one="passed", gateway__more="not-claimed")
    assert not mesh.shows_all(FAULT)
    assert mesh.shows_all(replace(FAULT, brings=""))


def test_in_ambient_mode_something_else_may_be_noticed() -> None:
    istiod = CATALOGUE["istiod-scaled-to-zero"]
    usual, ambient = live_of([istiod]), live_of([istiod], ambient=True)
    assert usual[istiod.name].blocks == istiod.blocks
    assert ambient[istiod.name].blocks == (5, 10, 16)


def test_all_that_was_left_out_is_one_line() -> None:
    reasons = {"a": "no sidecars", "b": "no gateway", "c": "no sidecars"}
    assert str(LeftOut(reasons)).startswith("3 faults were left out")
    assert str(LeftOut(reasons)).endswith("(2: no sidecars; 1: no gateway)")
