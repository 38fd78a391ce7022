"""Every claim has a fault that makes it fail, and every fault names claims that exist.

Nothing is run here: whether a fault does what its entry says is tested by `tox -e faults`.
"""

import re
import subprocess
import sys
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.faults.catalog import CATALOGUE, ON_ARRIVAL, Fault, gateway_api
from fixtures.faults.live import LIVE
from fixtures.istio.releases.addons import ADDONS
from fixtures.istio.releases.gateway_api import CHOOSY_SINCE
from fixtures.istio.releases.injection import sidecar_place
from fixtures.istio.releases.rows import version
from fixtures.istio.releases.versions import PAIRS, Pair
from fixtures.run.stages import STAGES

ROOT = Path(__file__).parents[2]
FAULTS = [
    *(pytest.param(fault, id=name) for name, fault in CATALOGUE.items()),
    *(pytest.param(fault, id=f"{name}-on-arrival") for name, fault in ON_ARRIVAL.items()),
    *(pytest.param(fault, id=f"{name}-live") for name, fault in LIVE.items()),
]


@pytest.fixture(scope="module")
def claims() -> set[str]:
    """The ids of all claims."""
    command = [sys.executable, "-m", "pytest", "suites", "--list-claims"]
    command += ["--profile", "conformance", "--provider", "embedded"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return set(re.findall(r"^(\S+/\S+) +(?:core|extended) ", done.stdout, re.MULTILINE))


def test_there_are_claims_in_every_stage(claims: set[str]) -> None:
    named = {stage.name for stage in STAGES}
    # What a user expects is claimed where he says so (tests/prove/test_own.py breaks it).
    assert {claim.partition("/")[0] for claim in claims} == named - {"expected"}


# What is tested on only one of the two kinds of meshes: with Istio's CNI plugin, or without.
OF_CNI = {
    True: {
        "installation/the-cni-agent-is-ready-on-every-node",
        "installation/the-cni-agent-is-within-a-minor-version-of-istiod",
    },
    False: {
        "init-container/istio-init-has-its-two-capabilities",
        "init-container/istio-init-runs-as-root",
        "workloads/istio-init-leads-to-the-sidecar",
    },
}


# Claims of a mesh in ambient mode, which is stable since this release; others are broken in any.
AMBIENT_SINCE = "1.24"


def of_ambient(claim: str) -> bool:
    """Whether a claim is only tested, and so only broken, in a mesh that is in ambient mode."""
    by = {fault.mesh for fault in CATALOGUE.values() if fault.must_fail(claim)}
    return by == {"ambient"}


def unbroken(claims: AbstractSet[str], versions: Pair, *, cni: bool) -> set[str]:
    """The claims that no fault makes fail on a mesh of these versions."""
    place = sidecar_place(versions.istio, [versions.kube]).place
    faults = [
        fault.on_mesh(cni=cni)
        for fault in CATALOGUE.values()
        if fault.fits(versions.istio, place, cni=cni)
    ]
    in_ambient = [
        fault
        for fault in CATALOGUE.values()
        if fault.fits(versions.istio, place, cni=True, mesh="ambient")
    ]
    brought = {row.id for row in ADDONS if row.holds(versions.istio)}
    of_one = re.compile(r"addons/.*\[(.+)\]")  # the claims with one test an add-on
    tested = {c for c in claims if not (of := of_one.fullmatch(c)) or of[1] in brought}
    tested -= OF_CNI[not cni]
    if version(versions.istio) < version(AMBIENT_SINCE):
        tested -= {c for c in tested if of_ambient(c)}
    if not any(fault in faults for fault in gateway_api.FAULTS):  # nor is that API served
        of_it = [f for f in CATALOGUE.values() if f.since == gateway_api.SINCE]
        tested -= {c for c in tested if any(f.must_fail(c) for f in of_it)}
    if version(versions.istio) < version(CHOOSY_SINCE):  # this istiod ignores no definition
        tested -= {"installation/the-gateway-api-in-use-is-watched"}
    return {
        claim
        for claim in tested
        if not any(f.must_fail(claim) for f in (in_ambient if of_ambient(claim) else faults))
    }


def without_fault(claims: AbstractSet[str]) -> list[str]:
    """One line for each claim that no fault makes fail on some mesh, with what to do."""
    meshes = [(versions, cni) for versions in PAIRS for cni in (False, True)]
    found: dict[str, list[str]] = {}
    for versions, cni in meshes:
        for claim in unbroken(claims, versions, cni=cni):
            mesh = f"Istio {versions.istio} on Kubernetes {versions.kube}"
            found.setdefault(claim, []).append(mesh + (" with CNI" if cni else ""))
    return [
        f"{claim}: no fault makes it fail on "
        + ("any mesh" if len(where) == len(meshes) else ", ".join(where))
        + "; add one to fixtures/faults/catalog (docs/writing-a-claim.md, step 8)"
        for claim, where in sorted(found.items())
    ]


def test_each_claim_has_a_fault_that_makes_it_fail_on_every_mesh(claims: set[str]) -> None:
    assert OF_CNI[True] | OF_CNI[False] <= claims
    if lines := without_fault(claims):
        pytest.fail("\n".join(lines), pytrace=False)


def test_a_claim_without_a_fault_is_one_line_with_what_to_do(claims: set[str]) -> None:
    [line] = without_fault(claims | {"cluster/a-new-claim"})
    assert line.startswith("cluster/a-new-claim: no fault makes it fail on any mesh; add one to ")


def test_a_mesh_on_which_no_fault_makes_a_claim_fail_is_named(
    claims: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking = [
        name
        for name, fault in CATALOGUE.items()
        if fault.must_fail("init-container/istio-init-runs-as-root")
    ]
    lacking = {name: fault for name, fault in CATALOGUE.items() if name not in breaking}
    monkeypatch.setitem(without_fault.__globals__, "CATALOGUE", lacking)
    lines = [line for line in without_fault(claims) if "istio-init-runs-as-root" in line]
    assert len(lines) == 1
    assert f"Istio {PAIRS[0].istio} on Kubernetes {PAIRS[0].kube}, " in lines[0]
    assert " with CNI" not in lines[0]


def test_a_fault_fits_the_meshes_that_can_have_it() -> None:
    old, loki = CATALOGUE["sidecar-opted-to-the-old-place"], CATALOGUE["loki-scaled-to-zero"]
    assert old.fits("1.24.0", "native")
    assert not old.fits("1.23.9", "native")
    assert not old.fits("1.31.0", "classic")
    assert [loki.fits(v, "classic") for v in ("1.17.8", "1.18.0")] == [False, True]
    agent, root = CATALOGUE["cni-agent-missing"], CATALOGUE["init-runs-as-nobody"]
    assert [agent.fits("1.31.0", "native", cni=cni) for cni in (False, True)] == [False, True]
    assert [root.fits("1.31.0", "native", cni=cni) for cni in (False, True)] == [True, False]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_claims_and_words(fault: Fault, claims: set[str]) -> None:
    assert fault.fails
    alone = (replace(fault, fails=(pattern,)) for pattern in fault.on_mesh(cni=True).fails)
    lost = [one.fails[0] for one in alone if not any(map(one.must_fail, claims))]
    assert not lost, f"{fault.name} names claims that do not exist: {lost}"
    assert all(fault.words)
    assert fault.stage in {stage.number for stage in STAGES}
    assert set(fault.blocks) <= {stage.number for stage in STAGES}
