"""A mesh whose network Istio's CNI plugin prepares: istio-validation, and the node agent."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import pytest

from fixtures.claims import ClaimFailed, NotTested, start_observing
from fixtures.claims.waiting import change_wait_policy, wait_policy
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.init_container import InitContainers
from fixtures.istio.injected import InjectedSample
from fixtures.istio.node_agent import NodeAgent
from fixtures.istio.releases import expected
from fixtures.istio.releases.options import MeshOptions
from fixtures.istio.sample import Snapshot
from fixtures.k8s import Body
from fixtures.k8s.termination import Termination
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
    before = Snapshot(services={}, apps={}, uids=frozenset())
    old = Termination(as_kube(kube), (), frozenset(), since="the injection")
    return kube, InitContainers(InjectedSample(as_kube(kube), rows, before=before, old_pods=old))


@EACH
def test_the_container_that_looks_is_held_against_the_same_flags(version: str) -> None:
    _, subject = prepared(version)
    telling = start_observing()
    subject.expect_one_in_each_pod()
    subject.expect_program()
    subject.expect_flags()
    assert telling.notes == []


@EACH
def test_what_it_may_do_to_the_network_is_not_claimed(version: str) -> None:
    _, subject = prepared(version)
    for request in (subject.expect_capabilities, subject.expect_root):
        with pytest.raises(NotTested, match="istio-validation only checks it"):
            request()


def test_a_pod_that_nobody_looks_at_is_noticed() -> None:
    kube, subject = prepared("1.31.0-rc.0")
    kube.change("pods", "details", lambda p: p["spec"]["initContainers"].pop(0))
    with pytest.raises(ClaimFailed, match="expected exactly one istio-validation"):
        subject.expect_one_in_each_pod()


def test_a_pod_of_the_plugin_is_noticed_in_a_mesh_without_it() -> None:
    _, subject = prepared("1.31.0-rc.0", cni=False)
    with pytest.raises(ClaimFailed, match="expected exactly one istio-init, got istio-validation"):
        subject.expect_one_in_each_pod()


# The node agent

AGENT, SYSTEM = "istio-cni-node", "istio-system"
COUNTS = {
    "desiredNumberScheduled": 2,
    "currentNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberReady": 2,
    "observedGeneration": 3,
}


def agent(
    status: Mapping[str, int] = COUNTS,
    *,
    cni: bool = True,
    namespace: str = SYSTEM,
    nodes: int = 2,
) -> tuple[FakeKube, NodeAgent]:
    """A mesh with two ready agents, and what else is given."""
    image = "mirror.example/istio/install-cni:1.31.0-distroless"
    containers = [{"name": "install-cni", "image": image}]
    labels = {"k8s-app": AGENT}
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    daemon_set = {
        "metadata": {
            "name": AGENT,
            "namespace": namespace,
            "generation": 3,
            "labels": labels,
        },
        "spec": {"selector": {"matchLabels": labels}, "template": template},
        "status": {**COUNTS, **status},
    }
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    pods = [
        {
            "metadata": {"name": f"{AGENT}-{n}", "namespace": namespace, "labels": labels},
            "spec": {"containers": containers, "nodeName": f"n{n}"},
            "status": ready,
        }
        for n in range(2)
    ]
    linux = {"kubernetes.io/os": "linux"}
    istiod = {
        "metadata": {"name": "istiod", "namespace": SYSTEM},
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {"name": "discovery", "image": "mirror.example/istio/pilot:1.31.0"}
                    ]
                }
            }
        },
    }
    kube = FakeKube(
        {
            "apps/v1/daemonsets": [daemon_set],
            "apps/v1/deployments": [istiod],
            "v1/pods": pods,
            "v1/nodes": [{"metadata": {"name": f"n{n}", "labels": linux}} for n in range(nodes)],
        }
    )
    rows = expected("1.31.0", "1.35", ["1.35"]).set_to(MeshOptions(cni=cni))
    return kube, NodeAgent(ControlPlane(as_kube(kube), rows))


@pytest.fixture
def no_patience() -> Iterator[None]:
    """What is not so now is not waited for."""
    change_wait_policy(factor=0)
    yield
    change_wait_policy(factor=1)


@pytest.mark.parametrize("namespace", [SYSTEM, "kube-system", "istio-cni"])
def test_an_agent_on_every_node_is_well_wherever_it_was_put(namespace: str) -> None:
    _, subject = agent(namespace=namespace)
    telling = start_observing()
    subject.expect_ready()
    subject.expect_version()
    assert (telling.inspected, telling.notes) == (3, [])


def test_nodes_that_it_does_not_want_are_reported() -> None:
    _, subject = agent(nodes=3)
    telling = start_observing()
    subject.expect_ready()
    [note] = telling.notes
    assert "runs on 2 of 3 Linux nodes" in note


def test_a_mesh_without_the_plugin_is_not_requested_it() -> None:
    _, subject = agent(cni=False)
    for request in (subject.expect_ready, subject.expect_version):
        with pytest.raises(NotTested, match="this mesh is without Istio's CNI plugin"):
            request()


@pytest.mark.usefixtures("no_patience")
@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ({"numberReady": 1}, "1 ready, 2 updated, 2 scheduled, 2 desired"),
        ({"updatedNumberScheduled": 1}, "2 ready, 1 updated"),
        ({"observedGeneration": 2}, "last change not observed yet"),
        (dict.fromkeys(COUNTS, 0) | {"observedGeneration": 3}, "0 scheduled, 0 desired"),
    ],
    ids=["one not ready", "one of an earlier change", "the change is not seen", "on no node"],
)
def test_an_agent_that_is_not_everywhere_is_noticed(status: dict[str, int], seen: str) -> None:
    _, subject = agent(status)
    with pytest.raises(ClaimFailed, match=seen):
        subject.expect_ready()


@pytest.mark.usefixtures("no_patience")
def test_an_agent_that_is_not_there_is_noticed() -> None:
    kube, subject = agent()
    kube.remove("daemonsets.apps", AGENT)
    for request in (subject.expect_ready, subject.expect_version):
        with pytest.raises(
            ClaimFailed, match="in istio-system or kube-system or elsewhere, got no such"
        ):
            request()


def test_a_second_agent_is_reported() -> None:
    kube, subject = agent()
    [first] = kube.list("daemonsets.apps")
    second = copy.deepcopy(first)
    second["metadata"]["namespace"] = "an-older-place"
    kube.add("daemonsets.apps", second)
    telling = start_observing()
    subject.expect_ready()
    [note] = telling.notes
    assert "an-older-place" in note


def test_an_agent_that_cannot_start_fails_with_the_kubelets_reason() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    kube, subject = agent({"numberReady": 0})
    stuck = {"name": "install-cni", "state": {"waiting": waiting}}
    kube.change("pods", AGENT, lambda p: p.update(status={"containerStatuses": [stuck]}))
    with wait_policy(factor=0.001), pytest.raises(ClaimFailed) as caught:
        subject.expect_ready()
    assert caught.value.got == "install-cni: ImagePullBackOff: no such image"


def of_image(image: str) -> NodeAgent:
    kube, subject = agent()

    def change(body: Body) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["image"] = image

    kube.change("daemonsets.apps", AGENT, change)
    return subject


@pytest.mark.parametrize("tag", ["1.29.6", "1.33.0", "2.31.0", "debug"])
def test_an_agent_that_does_not_go_with_istiod_is_noticed(tag: str) -> None:
    subject = of_image(f"mirror.example/istio/install-cni:{tag}")
    with pytest.raises(ClaimFailed, match=f"got install-cni:{tag}") as unmet:
        subject.expect_version()
    assert "at most 1 minor version from 1.31.0" in str(unmet.value)


@pytest.mark.parametrize("tag", ["1.30.3", "1.31.4-distroless", "1.32.0@sha256:0a"])
def test_one_minor_version_apart_goes_with_istiod(tag: str) -> None:
    of_image(f"mirror.example/istio/install-cni:{tag}").expect_version()


def test_another_registry_is_only_noted() -> None:
    observed = start_observing()
    of_image("docker.io/istio/install-cni:1.31.0").expect_version()
    assert any("comes from docker.io/istio, istiod from mirror" in n for n in observed.notes)


@pytest.mark.parametrize("version", ["@sha256:0a", ":latest", ""])
def test_an_image_without_version_is_not_tested(version: str) -> None:
    with pytest.raises(NotTested, match="names no version"):
        of_image(f"mirror.example:5000/istio/install-cni{version}").expect_version()
