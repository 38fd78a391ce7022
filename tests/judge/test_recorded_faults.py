"""Faults of a real cluster, as they were recorded: the judge notices each from what stands there.

A record is a transcript: what was done, and what kubectl, curl and the gateway's log said then.
The recorded cluster is changed as the transcript shows it, no further.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.waiting import wait_policy
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.gateway import Gateway
from fixtures.istio.injected import InjectedSample
from fixtures.istio.releases.gateway import LISTENER
from fixtures.istio.releases.webhooks import DENIAL, REFUSAL
from fixtures.istio.webhooks import Webhooks
from fixtures.k8s import Body
from fixtures.k8s.pod import Pod
from fixtures.traffic.client import Client
from tests.judge.replay import Replay, replayed
from tests.judge.test_replayed import world
from tests.judge.world import World
from tests.recordings import ISTIO_1_29

SLICES = "endpointslices.discovery.k8s.io"
VIRTUAL_SERVICES = "virtualservices.networking.istio.io"
PODS = "kubectl -n bookinfons get pods"
ISTIOS = ("istio-init", "istio-proxy")

# Records that do not hold enough for any claim of this suite, and why.
NOT_ENOUGH = {
    "dns-down": "only pods of the sample were looked at, not CoreDNS or its endpoints",
    "injector-ca-bundle-wrong": "istiod healed it before anybody looked",
    "root-cert-configmap-deleted": "istiod healed it before anybody looked",
    "strict-mtls-plain-caller-refused": "it is what was asked for; no claim speaks of policies",
}


@dataclass(frozen=True)
class Record:
    """One fault's transcript."""

    text: str

    @property
    def done(self) -> str:
        """The command that broke it."""
        return re.search(r"^\$ (.*)$", self.text, re.MULTILINE)[1]  # type: ignore[index]  # each has one

    def printed(self, words: str) -> str:
        """What a command printed: the one of these words, or the first that holds them."""
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)[2:]
        printed = {command: text for command, _, text in (p.partition("\n") for p in parts)}
        for command in sorted(printed, key=lambda c: c != words):
            if words in command:
                return re.sub(r"^exit \d+$", "", printed[command], flags=re.MULTILINE)
        raise LookupError(f"no command with {words!r} was recorded")

    def rows(self, words: str) -> list[list[str]]:
        """The lines of the table that a command printed, without its head."""
        lines = self.printed(words).splitlines()
        return [line.split() for line in lines if line and not line.startswith(("#", "NAME"))]

    def values(self, words: str) -> list[Any]:
        """The JSON documents that a command printed."""
        text, found, decoder = self.printed(words).partition("\n")[2], [], json.JSONDecoder()
        while text := text.strip():
            value, end = decoder.raw_decode(text)
            found.append(value)
            text = text[end:]
        return found


@dataclass(frozen=True)
class Broken:
    """The recorded cluster as one fault left it."""

    record: Record
    kube: Replay

    @property
    def world(self) -> World:
        return world(broken=self.kube)

    def sample(self) -> InjectedSample:
        return self.world.injected_sample()

    def mesh(self) -> ControlPlane:
        return self.world.control_plane()

    def webhooks(self) -> Webhooks:
        return self.world.webhooks()

    def gateway(self) -> Gateway:
        return self.world.gateway()

    def client(self) -> Client:
        return self.world.client()


def broken(name: str) -> Broken:
    """Change the recorded cluster as the transcript of a fault shows it."""
    record, kube = Record(ISTIO_1_29.text(f"faults/{name}.txt")), replayed("7-gateway", apart=True)
    _scaled(record, kube)
    _relabelled(record, kube)
    _deleted(record, kube)
    if f"$ {PODS}\n" in record.text:
        _listed(record, kube)
    if "curl" in record.text:
        page = record.printed("curl")
        kube.replies[LISTENER, "/productpage"] = page
        kube.replies[LISTENER, "/"] = page
        kube.log = record.printed("logs deploy/istio-ingressgateway")
    return Broken(record, kube)


def _scaled(record: Record, kube: Replay) -> None:
    found = re.search(r"-n (\S+) scale deploy (.+) --replicas=0", record.done)
    for name in found[2].split() if found else ():
        kube.change("deployments.apps", name, lambda d: d["spec"].update(replicas=0))


def _relabelled(record: Record, kube: Replay) -> None:
    for words in re.findall(r"label ns bookinfons ([^;]+);", record.done):
        for key, _, value in (word.partition("=") for word in words.split()):
            kube.change("namespaces", "bookinfons", partial(_relabel, key, value))


def _relabel(key: str, value: str, namespace: Body) -> None:
    labels = namespace["metadata"]["labels"]
    labels.pop(key.removesuffix("-"), None)
    if value:
        labels[key] = value


def _deleted(record: Record, kube: Replay) -> None:
    kinds = {"gateway": "gateways.networking.istio.io", "virtualservice": VIRTUAL_SERVICES}
    if found := re.search(r"delete (gateway|virtualservice) (\S+)", record.done):
        kube.remove(kinds[found[1]], found[2])
    if "delete mutatingwebhookconfiguration --all" in record.done:
        kube.remove("mutatingwebhookconfigurations.admissionregistration.k8s.io", "istio-")


def _listed(record: Record, kube: Replay) -> None:
    """Have the sample's living pods as the table shows them: gone, or with fewer containers."""
    rows = [row for row in record.rows(PODS) if row[2] == "Running"]
    for meta in (pod["metadata"] for pod in kube.list("pods", "bookinfons")):
        if "deletionTimestamp" in meta:
            continue
        name, workload = meta["name"], f"{meta['labels']['app']}-{meta['labels']['version']}"
        mine = [row[1] for row in rows if row[0].startswith(workload)]
        if not mine:
            kube.remove("pods", name)
        elif "1/1" in mine:
            kube.change("pods", name, _bare)


def _bare(pod: Body) -> None:
    pod["spec"]["initContainers"] = []
    pod["spec"]["containers"] = [c for c in pod["spec"]["containers"] if c["name"] not in ISTIOS]


def seen(request: Callable[[], object]) -> str:
    with pytest.raises(ClaimFailed) as caught:
        request()
    return str(caught.value)


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


@pytest.mark.parametrize(
    "name",
    [
        "injector-webhooks-deleted",
        "namespace-label-removed",
        "namespace-rev-label-unknown",
        "pod-label-inject-false",
    ],
)
def test_a_pod_without_its_sidecar_is_named(name: str) -> None:
    message = seen(broken(name).sample().expect_sidecars)
    assert "sidecar of pod bookinfons/ratings-v1-" in message
    assert "none among ratings" in message


def test_deleted_injectors_are_missed() -> None:
    found = broken("injector-webhooks-deleted").webhooks()
    assert "none in any configuration" in seen(found.expect_called_for_pods)


def test_a_namespace_that_lost_its_label_is_noticed() -> None:
    sample = broken("namespace-label-removed").sample()
    assert "no label istio-injection" in seen(lambda: sample.expect_label("enabled"))


def test_a_namespace_of_an_unknown_revision_is_noticed() -> None:
    fault = broken("namespace-rev-label-unknown")
    assert "'istio.io/rev': 'nope'" in seen(lambda: fault.sample().expect_label("enabled"))
    assert "none of 8" in seen(fault.webhooks().expect_one_match)


def test_a_crashing_application_is_noticed() -> None:
    fault = broken("app-crashes")
    status = fault.record.values("json.dumps(p['status']")[-1]
    fault.kube.change("pods", "ratings", lambda pod: pod.update(status=status))
    message = seen(fault.sample().expect_running)
    assert "expected ready, got Running, not ready: ratings" in message
    again = Pod.must_not_have_restarted
    (pod,) = (p for p in fault.sample().pods() if p.name.startswith("ratings"))
    assert "ratings 2 times" in seen(lambda: again(pod))


def test_an_image_that_cannot_be_pulled_is_noticed() -> None:
    fault = broken("image-pull-fails")
    containers = fault.record.values("json.dumps(p['status']")[-1]
    ready = {"type": "Ready", "status": "False"}

    def change(pod: Body) -> None:
        pod["status"].update(containerStatuses=containers, conditions=[ready])

    fault.kube.change("pods", "ratings", change)
    message = seen(fault.sample().expect_running)
    assert "expected ready, got" in message
    assert "ratings" in message


def test_istiod_that_is_gone_is_noticed_by_its_services_and_by_the_sample() -> None:
    fault = broken("istiod-scaled-to-zero")
    unset = [row[0] for row in fault.record.rows("get endpointslices") if row[-2] == "<unset>"]
    for name in unset:
        fault.kube.change(SLICES, name.split("/")[-1][:14], lambda s: s.update(endpoints=None))
    (row,) = fault.record.rows("get deploy ratings-v1")
    updated = {"updatedReplicas": int(row[2])}
    fault.kube.change("deployments.apps", "ratings", lambda d: d["status"].update(updated))
    assert "istio-system/istiod: expected at least one" in seen(fault.webhooks().expect_endpoints)
    assert "0/1 updated, 1 available" in seen(fault.sample().expect_running)
    assert "0 replicas specified" in seen(lambda: fault.mesh().expect_rolled_out("istiod"))


def test_an_egress_gateway_that_was_scaled_away_is_noticed() -> None:
    mesh = broken("egress-gateway-missing").mesh()
    name = "istio-egressgateway"
    assert f"{name}: expected a complete rollout, got 0 replicas specified" in seen(
        lambda: mesh.expect_rolled_out(name)
    )


def test_an_ingress_gateway_without_pods_is_noticed() -> None:
    fault = broken("gateway-scaled-to-zero")
    names = [row[0] for row in fault.record.rows("get pods,endpointslices")]
    assert not [name for name in names if name.startswith("pod/istio-ingressgateway")]
    fault.kube.remove("pods", "istio-ingressgateway")
    fault.kube.change(SLICES, "istio-ingressgateway", lambda s: s.update(endpoints=None))
    assert "expected at least one, got none" in seen(fault.gateway().expect_router)
    assert "istio-ingressgateway: expected at least one" in seen(fault.mesh().expect_endpoints)
    assert "no pod of gateway istio-ingressgateway" in seen(fault.client().expect_whole_page)


def test_a_deleted_gateway_object_is_noticed_by_reading_and_by_asking() -> None:
    fault = broken("gateway-object-deleted")
    assert "expected as applied, got none" in seen(fault.gateway().expect_gateway_object)
    message = seen(lambda: fault.client().expect_route("productpage"))
    assert "connection refused" in message
    assert "without a Gateway that selects these pods" in message


def test_a_deleted_virtual_service_is_noticed_and_the_flag_is_explained() -> None:
    fault = broken("virtualservice-deleted")
    assert "expected as applied, got none" in seen(fault.gateway().expect_virtual_service)
    message = seen(lambda: fault.client().expect_route("productpage"))
    assert "got 404 (no body) from the gateway itself" in message
    assert "no route matches" in message


def test_a_route_to_nowhere_is_noticed_and_the_flag_is_explained() -> None:
    fault = broken("virtualservice-unknown-host")
    patch = json.loads(re.search(r"-p '(\[.*\])'", fault.record.done)[1])  # type: ignore[index]  # it has one
    fault.kube.change(
        VIRTUAL_SERVICES, "bookinfo", lambda v: jsonpatch.apply_patch(v, patch, in_place=True)
    )
    assert "['nowhere']" in seen(fault.gateway().expect_virtual_service)
    message = seen(lambda: fault.client().expect_route("productpage"))
    assert "got 503 (no body) from the gateway itself" in message


def test_a_backend_without_pods_is_noticed_and_the_flag_is_explained() -> None:
    fault = broken("backend-scaled-to-zero")
    assert "0 replicas specified" in seen(fault.sample().expect_running)
    message = seen(lambda: fault.client().expect_route("productpage"))
    assert "got 503 (no healthy upstream) from the gateway itself" in message


def test_a_page_that_is_200_with_an_error_inside_is_noticed() -> None:
    fault = broken("reviews-down-page-still-200")
    assert "got Error fetching product reviews" in seen(fault.client().expect_whole_page)
    assert "0 replicas specified" in seen(fault.sample().expect_running)


def test_the_words_of_refusals_are_those_that_are_expected() -> None:
    assert REFUSAL in ISTIO_1_29.text("faults/virtualservice-invalid-refused.txt")
    refused = ISTIO_1_29.text("istio/inject/bad-annotation.json")
    assert DENIAL in json.loads(refused)["response"]["response"]["status"]["message"]
    events = Record(ISTIO_1_29.text("faults/bad-traffic-annotation.txt")).printed("get events")
    assert "denied the request: failed to run injection template" in events


def test_every_recorded_fault_is_noticed_or_reported_to_hold_too_little() -> None:
    names = set(ISTIO_1_29.names("faults", ".txt"))
    requested = Path(__file__).read_text()
    assert {name for name in names if not re.search(f'["/]{name}', requested)} == set()
    assert set(NOT_ENOUGH) <= names
