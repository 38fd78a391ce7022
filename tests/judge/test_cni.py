"""A mesh whose network Istio's CNI plugin prepares: claims look at istio-validation instead."""

from __future__ import annotations

import copy

import pytest

from fixtures.claims import NotClaimed, Unmet, start_telling
from fixtures.expectations import expected
from fixtures.expectations.options import MeshOptions
from fixtures.mesh.departure import Departure
from fixtures.mesh.init_container import InitContainers
from fixtures.mesh.injected import InjectedSample
from fixtures.mesh.sample import Remembered
from tests.judge import upstream
from tests.unit.states import FakeKube, as_kube

EACH = pytest.mark.parametrize("version", upstream.VERSIONS)
ENDED = {"terminated": {"reason": "Completed", "exitCode": 0}}


def prepared(version: str, *, cni: bool = True) -> tuple[FakeKube, InitContainers]:
    """A cluster with one pod of details, made of upstream's own CNI pod."""
    _, pod = upstream.golden(version, "hello.yaml.cni.injected")
    body = copy.deepcopy(pod)
    body["metadata"] |= {"name": "details-x", "namespace": "bookinfons", "uid": "1"}
    body["metadata"]["labels"] |= {"app": "details", "version": "v1"}
    inits = [{"name": c["name"], "state": ENDED} for c in body["spec"]["initContainers"]]
    body["status"] = {"phase": "Running", "initContainerStatuses": inits}
    kube = FakeKube({"v1/pods": [body]})
    rows = expected(version, "1.35", ["1.35"]).set_to(MeshOptions(cni=cni))
    before = Remembered(services={}, apps={}, uids=frozenset())
    old = Departure(as_kube(kube), (), frozenset(), since="the injection")
    return kube, InitContainers(InjectedSample(as_kube(kube), rows, before=before, old_pods=old))


@EACH
def test_the_container_that_looks_is_held_against_the_same_flags(version: str) -> None:
    _, subject = prepared(version)
    telling = start_telling()
    subject.expect_one_in_each_pod()
    subject.expect_program()
    subject.expect_flags()
    assert telling.notes == []


@EACH
def test_what_it_may_do_to_the_network_is_not_claimed(version: str) -> None:
    _, subject = prepared(version)
    for ask in (subject.expect_capabilities, subject.expect_root):
        with pytest.raises(NotClaimed, match="istio-validation only looks"):
            ask()


def test_a_pod_that_nobody_looks_at_is_noticed() -> None:
    kube, subject = prepared("1.31.0-rc.0")
    kube.change("pods", "details", lambda p: p["spec"]["initContainers"].pop(0))
    with pytest.raises(Unmet, match="expected exactly one istio-validation"):
        subject.expect_one_in_each_pod()


def test_a_pod_of_the_plugin_is_noticed_in_a_mesh_without_it() -> None:
    _, subject = prepared("1.31.0-rc.0", cni=False)
    with pytest.raises(Unmet, match="expected exactly one istio-init, saw istio-validation"):
        subject.expect_one_in_each_pod()
