"""Fault actions on the embedded cluster: each has an effect, and reverted leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.claims import expect
from fixtures.claims.deadlines import HEALED
from fixtures.claims.waiting import eventually
from fixtures.faults.actions import Apply
from fixtures.faults.catalog import CATALOGUE
from fixtures.faults.rollouts import RolledOut
from fixtures.k8s import Body, Kube
from fixtures.k8s.deployment import await_rolled_out
from fixtures.providers.base import Access
from tests.embedded.conftest import VERSIONS, started

# One fault for each action that there is.
NAMES = (
    "gateway-object-deleted",
    "injector-webhooks-deleted",
    "ingress-service-port-missing",
    "injectors-note-missing",
    "egress-gateway-missing",
    "application-changed",
    "gateway-logs-nothing",
    "namespace-rev-label-unknown",
    "injector-skips",
    "node-not-ready",
)
KINDS = (
    "namespaces",
    "nodes",
    "services",
    "pods",
    "deployments.apps",
    "gateways.networking.istio.io",
    "virtualservices.networking.istio.io",
    "telemetries.telemetry.istio.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
)
SAMPLE = ("details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3")
MESH = ("istiod", "istio-ingressgateway", "istio-egressgateway")


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    home = tmp_path_factory.mktemp("broken")
    options = (*VERSIONS, "--state", "gateway", "--termination-seconds", "0.1")
    with started(home, *options) as embedded:
        access = Access(
            embedded.kubeconfig,
            embedded.ready["context"],
            None,
            "rehearsal",
            "test",
            "1.29.6",
            "1.34.4",
            hooks=True,
        )
        door = Kube.connect(access)
        yield door
        door.close()


def seen(kube: Kube) -> dict[str, Any]:
    """What users set: specifications, labels and annotations; pods by what they are made of."""
    hooks = {item["name"]: item["on"] for item in kube.raw("/embedded/hooks")["items"]}
    found: dict[str, Any] = {"hooks": hooks}
    for kind in KINDS:
        for body in kube.list(kind):
            meta = body["metadata"]
            name = meta.get("generateName") or meta["name"]
            labels = {k: v for k, v in (meta.get("labels") or {}).items() if "hash" not in k}
            notes = {
                k: v for k, v in (meta.get("annotations") or {}).items() if "revision" not in k
            }
            found[f"{kind} {name.rsplit('-', 2)[0] if kind == 'pods' else name}"] = (
                labels,
                notes,
                body.get("webhooks") if kind != "pods" else None,
                body.get("spec") if kind not in {"pods", "nodes"} else None,
                ready(body) if kind == "nodes" else None,
            )
    return found


def ready(node: dict[str, Any]) -> list[str]:
    return [c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"]


@pytest.mark.parametrize("name", NAMES)
def test_an_action_is_injected_and_reverted(kube: Kube, name: str) -> None:
    fault, before = CATALOGUE[name], seen(kube)
    fault.inject(kube)
    assert seen(kube) != before
    fault.revert(kube)
    await_rolled_out(kube, "bookinfons", SAMPLE)
    await_rolled_out(kube, "istio-system", MESH)

    def as_before() -> None:
        now = seen(kube)
        changed = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
        old, new = ({key: world.get(key) for key in changed} for world in (before, now))
        expect("the mesh", expected=old, got=new)

    eventually(as_before, within=HEALED)


def test_what_an_action_made_anew_is_awaited() -> None:
    """Not available, which the pods of before are: updated, and no other left."""
    meta = {"name": "a", "namespace": "b", "generation": 2}

    def body(**status: int) -> Body:
        return {"metadata": meta, "spec": {"replicas": 1}, "status": status}

    old, new = {"replicas": 1, "availableReplicas": 1}, {"updatedReplicas": 1}
    seen = [
        body(**old, **new, observedGeneration=1),
        body(**old, observedGeneration=2),
        body(**old, **new, observedGeneration=2),
    ]
    kube: Any = SimpleNamespace(list=lambda *_, **__: [body()], get=lambda *_: seen.pop(0))
    RolledOut("app=a").inject(kube)
    assert seen == []


def test_what_an_earlier_fault_deleted_is_awaited_before_it_is_made_again() -> None:
    """A real namespace takes a while to go."""
    ending = {"metadata": {"name": "a", "deletionTimestamp": "2026-01-02T03:04:05Z"}}
    left = [ending, ending, None]
    made: list[Body] = []
    kube: Any = SimpleNamespace(
        find=lambda *_: left.pop(0), create=lambda _, body, __: made.append(body)
    )
    body = {"kind": "Namespace", "metadata": {"name": "a"}}
    Apply("namespaces", body).inject(kube)
    assert (left, made) == ([], [body])
