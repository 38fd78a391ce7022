"""Every claim can be turned red, and every fault names claims that there are."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.faults.catalog import CATALOGUE, Fault
from fixtures.istio.releases.addons import ADDONS
from fixtures.istio.releases.injection import sidecar_place
from fixtures.istio.releases.versions import PAIRS, Pair
from fixtures.run.stages import STAGES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def claims() -> set[str]:
    """The ids of all claims."""
    command = [sys.executable, "-m", "pytest", "suites", "--list-claims"]
    command += ["--profile", "conformance", "--provider", "embedded"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return set(re.findall(r"^(\S+/\S+) +(?:core|extended) ", done.stdout, re.MULTILINE))


def test_there_are_claims_in_every_stage(claims: set[str]) -> None:
    assert {claim.partition("/")[0] for claim in claims} == {stage.name for stage in STAGES}


# What only one of the two kinds of meshes is asked: with Istio's CNI plugin, or without.
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


@pytest.mark.parametrize("cni", [False, True], ids=["no CNI", "CNI"])
@pytest.mark.parametrize("posed", PAIRS, ids=lambda p: f"{p.istio} on {p.kube}")
def test_a_fault_turns_each_claim_red_in_every_pose(
    posed: Pair, claims: set[str], *, cni: bool
) -> None:
    place = sidecar_place(posed.istio, [posed.kube]).place
    faults = [fault for fault in CATALOGUE.values() if fault.fits(posed.istio, place, cni=cni)]
    brought = {row.id for row in ADDONS if row.holds(posed.istio)}
    asked = {c for c in claims if "addons/" not in c or c.split("[")[1].rstrip("]") in brought}
    assert OF_CNI[not cni] <= asked
    asked -= OF_CNI[not cni]
    assert sorted(c for c in asked if not any(fault.must_fail(c) for fault in faults)) == []


def test_a_fault_fits_the_meshes_that_can_have_it() -> None:
    old, loki = CATALOGUE["sidecar-opted-to-the-old-place"], CATALOGUE["loki-scaled-to-zero"]
    assert old.fits("1.24.0", "native")
    assert not old.fits("1.23.9", "native")
    assert not old.fits("1.31.0", "classic")
    assert [loki.fits(v, "classic") for v in ("1.17.8", "1.18.0")] == [False, True]
    agent, root = CATALOGUE["cni-agent-missing"], CATALOGUE["init-runs-as-nobody"]
    assert [agent.fits("1.31.0", "native", cni=cni) for cni in (False, True)] == [False, True]
    assert [root.fits("1.31.0", "native", cni=cni) for cni in (False, True)] == [True, False]


@pytest.mark.parametrize("fault", CATALOGUE.values(), ids=lambda fault: fault.name)
def test_a_fault_names_claims_and_words(fault: Fault, claims: set[str]) -> None:
    assert fault.fails
    alone = (replace(fault, fails=(pattern,)) for pattern in fault.on_mesh(cni=True).fails)
    assert [one.fails for one in alone if not any(map(one.must_fail, claims))] == []
    assert all(fault.words)
    assert fault.stage in {stage.number for stage in STAGES}
    assert set(fault.blocks) <= {stage.number for stage in STAGES}
