"""Every claim has a fault that makes it fail, and every fault names claims that exist.

Nothing is run here: whether a fault does what its entry says is tested by `tox -e faults`.
"""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.faults.catalog import CATALOGUE, ON_ARRIVAL, Fault, gateway_api
from fixtures.faults.live import LIVE
from fixtures.istio.releases.addons import ADDONS
from fixtures.istio.releases.gateway_api import LEAST_BUNDLES
from fixtures.istio.releases.injection import sidecar_place
from fixtures.istio.releases.rows import all_for
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
    assert {claim.partition("/")[0] for claim in claims} == {stage.name for stage in STAGES}


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


@pytest.mark.parametrize("cni", [False, True], ids=["no CNI", "CNI"])
@pytest.mark.parametrize("versions", PAIRS, ids=lambda p: f"{p.istio} on {p.kube}")
def test_each_claim_has_a_fault_that_makes_it_fail_on_every_mesh(
    versions: Pair, claims: set[str], *, cni: bool
) -> None:
    place = sidecar_place(versions.istio, [versions.kube]).place
    faults = [
        fault.on_mesh(cni=cni)
        for fault in CATALOGUE.values()
        if fault.fits(versions.istio, place, cni=cni)
    ]
    brought = {row.id for row in ADDONS if row.holds(versions.istio)}
    tested = {c for c in claims if "addons/" not in c or c.split("[")[1].rstrip("]") in brought}
    assert OF_CNI[not cni] <= tested
    tested -= OF_CNI[not cni]
    if not any(fault in faults for fault in gateway_api.FAULTS):  # nor is that API served
        of_it = [f for f in CATALOGUE.values() if f.since == gateway_api.SINCE]
        tested -= {c for c in tested if any(f.must_fail(c) for f in of_it)}
    if not all_for(LEAST_BUNDLES, versions.istio):  # this istiod ignores no definition
        tested -= {"installation/the-gateway-api-in-use-is-watched"}
    without = sorted(c for c in tested if not any(fault.must_fail(c) for fault in faults))
    assert not without, f"no fault of fixtures/faults/catalog makes these fail: {without}"


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
