"""Controllers over a real API in memory: the same states in the same order as on a real one."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fixtures.providers.embedded.addresses import Block
from fixtures.providers.embedded.apiserver.api import AdmissionRequest, Event, StatusError
from tests.embedded.small import (
    NAMESPACE,
    Body,
    Small,
    in_a_loop,
    of,
    recorded,
    small,
)

DEPLOYMENTS, SETS, SLICES = (
    "deployments.apps",
    "replicasets.apps",
    "endpointslices.discovery.k8s.io",
)
RESTART: Body = {"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}}


def conditions(status: Body) -> list[tuple[str, str, str]]:
    return sorted(
        (one["type"], one["status"], one.get("reason", ""))
        for one in status.get("conditions") or ()
    )


def shape(body: Body) -> Any:
    """What of a Deployment, ReplicaSet or slice a watcher waits for."""
    if "endpoints" in body or body["kind"] == "EndpointSlice":
        return [tuple(sorted(one["conditions"].items())) for one in body["endpoints"] or ()]
    status = body.get("status") or {}
    counts = {
        name: value
        for name, value in status.items()
        if name not in {"conditions", "observedGeneration"}
    }
    lag = body["metadata"].get("generation", 0) - status.get("observedGeneration", 0)
    return counts, conditions(status), lag


def distinct(shapes: Iterable[Any]) -> list[Any]:
    """Without repetitions."""
    found: list[Any] = []
    for one in shapes:
        if not found or found[-1] != one:
            found.append(one)
    return found


def is_part_of(some: list[Any], whole: list[Any]) -> bool:
    """Whether all of some occur in whole, in this order."""
    rest = iter(whole)
    return all(one in rest for one in some)


async def reported(events: asyncio.Queue[Event], name: str) -> list[Body]:
    """What a watch has reported so far of objects whose names begin so."""
    found = []
    while not events.empty():
        event = events.get_nowait()
        if event.object["metadata"]["name"].startswith(name) and event.type != "DELETED":
            found.append(event.object)
    return found


def progress(home: Small, name: str) -> str:
    return next(
        (
            one["reason"]
            for one in home.api.get(DEPLOYMENTS, name, NAMESPACE)
            .get("status", {})
            .get("conditions", ())
            if one["type"] == "Progressing"
        ),
        "",
    )


async def rolled_out(home: Small, name: str) -> None:
    def done() -> bool:
        body = home.api.get(DEPLOYMENTS, name, NAMESPACE)
        observed = body.get("status", {}).get("observedGeneration")
        return observed == body["metadata"]["generation"] and (
            progress(home, name) == "NewReplicaSetAvailable"
        )

    await home.until(done)


@pytest.mark.parametrize(
    ("kind", "stream"),
    [
        (DEPLOYMENTS, "plain-deployments"),
        (SETS, "plain-replicasets"),
        (SLICES, "plain-endpointslices"),
    ],
    ids=["deployments", "replica-sets", "endpoint-slices"],
)
@in_a_loop
async def test_a_first_roll_out_goes_through_the_states_of_a_real_one(
    tmp_path: Path, kind: str, stream: str
) -> None:
    real = distinct(shape(one["object"]) for one in recorded(stream, "details"))
    async with small(tmp_path) as home:
        with home.api.watch(kind) as events:
            await home.apply(*of("details"))
            await rolled_out(home, "details-v1")
            await home.until(lambda: len(home.ready_pods("app=details")) == 1)
            await home.until(lambda: addresses(home, "details"))
            ours = distinct(map(shape, await reported(events, "details")))
    # A slice lists a pod as soon as it has an address, ready or not; the recorded one came
    # ready.
    ours = [one for one in ours if one != unready]
    assert ours == real


unready = [(("ready", False), ("serving", False), ("terminating", False))]


@in_a_loop
async def test_a_restart_goes_through_the_states_of_a_real_one(tmp_path: Path) -> None:
    real = distinct(
        shape(one["object"]) for one in recorded("restart-bookinfons-deployments", "details")
    )
    async with small(tmp_path) as home:
        await home.apply(*of("details"))
        await rolled_out(home, "details-v1")
        with home.api.watch(DEPLOYMENTS) as events:
            await home.api.patch(DEPLOYMENTS, "details-v1", NAMESPACE, RESTART)
            await rolled_out(home, "details-v1")
            ours = distinct(map(shape, await reported(events, "details")))
    assert ours == real


def addresses(home: Small, service: str, *, which: str = "ready") -> list[str]:
    slices = home.api.list(SLICES, NAMESPACE, labels=f"kubernetes.io/service-name={service}")
    return [
        one["addresses"][0]
        for body in slices
        for one in body["endpoints"] or ()
        if one["conditions"][which]
    ]


@in_a_loop
async def test_a_new_template_waits_for_its_pod_before_the_old_one_goes(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(*of("details"))
        await rolled_out(home, "details-v1")
        old = home.pods()[0]["metadata"]["name"]
        patch = image("nobody/knows:1.0")
        await home.api.patch(DEPLOYMENTS, "details-v1", NAMESPACE, patch, style="strategic")
        broken = await home.until(lambda: [one for one in home.pods() if is_not(one, old)])
        await home.until(lambda: home.reason(broken[0]) == "ImagePullBackOff")
        assert [one["metadata"]["name"] for one in home.ready_pods()] == [old]
        status = home.api.get(DEPLOYMENTS, "details-v1", NAMESPACE)["status"]
        assert (status["updatedReplicas"], status["availableReplicas"]) == (1, 1)


def image(name: str) -> Body:
    container = {"name": "details", "image": name}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def is_not(pod: Body, name: str) -> bool:
    return bool(pod["metadata"]["name"] != name)


@in_a_loop
async def test_recreate_waits_until_the_old_pods_are_gone(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        *objects, deployment = of("details")
        deployment["spec"]["strategy"] = {"type": "Recreate"}
        await home.apply(*objects, deployment)
        await rolled_out(home, "details-v1")
        with home.api.watch("pods") as events:
            await home.api.patch(DEPLOYMENTS, "details-v1", NAMESPACE, RESTART)
            await rolled_out(home, "details-v1")
            there: set[str] = set()
            while not events.empty():
                event = events.get_nowait()
                if event.object["metadata"]["namespace"] == NAMESPACE:
                    change = there.discard if event.type == "DELETED" else there.add
                    change(event.object["metadata"]["name"])
                    assert len(there) <= 1


@in_a_loop
async def test_going_back_takes_the_old_replica_set_under_a_new_revision(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(*of("details"))
        await rolled_out(home, "details-v1")
        first = home.api.list(SETS, NAMESPACE)[0]
        await home.api.patch(DEPLOYMENTS, "details-v1", NAMESPACE, RESTART)
        await rolled_out(home, "details-v1")
        back: Body = {"spec": {"template": {"metadata": {"annotations": None}}}}
        await home.api.patch(DEPLOYMENTS, "details-v1", NAMESPACE, back)
        await rolled_out(home, "details-v1")
        again = home.api.get(SETS, first["metadata"]["name"], NAMESPACE)
        reported = again["metadata"]["annotations"]
        assert reported["deployment.kubernetes.io/revision"] == "3"
        assert again["spec"]["replicas"] == 1


@in_a_loop
async def test_scaling_makes_and_removes_pods(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(*of("details"))
        for size in (3, 1, 0):
            wanted: Body = {"spec": {"replicas": size}}
            await home.api.patch(DEPLOYMENTS, "details-v1", NAMESPACE, wanted)
            await home.until(functools.partial(has_pods, home, size))
        assert "Scaled down replica set" in home.events("ScalingReplicaSet")[-1]


def has_pods(home: Small, count: int) -> bool:
    return len(home.pods()) == count == len(home.ready_pods())


class Refusing:
    """Admission that lets no pod in while it is closed."""

    def __init__(self) -> None:
        self.closed = True

    async def mutate(self, request: AdmissionRequest) -> Body:
        if self.closed and request.info.key == "pods" and request.operation == "CREATE":
            raise StatusError(500, "InternalError", "Internal error occurred: no")
        assert request.object is not None
        return request.object

    async def validate(self, request: AdmissionRequest) -> None:
        """Everything is valid."""


@in_a_loop
async def test_a_refused_pod_is_reported_and_tried_again(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        home.api.admission = gate = Refusing()
        await home.apply(*of("details"))
        await home.until(lambda: home.events("FailedCreate"))
        assert home.events("FailedCreate") == ["Error creating: Internal error occurred: no"]
        await home.until(lambda: "ReplicaFailure" in str(deployment_conditions(home)))
        gate.closed = False
        await rolled_out(home, "details-v1")
        await home.until(lambda: "ReplicaFailure" not in str(deployment_conditions(home)))


def deployment_conditions(home: Small) -> list[tuple[str, str, str]]:
    return conditions(home.api.get(DEPLOYMENTS, "details-v1", NAMESPACE).get("status", {}))


@in_a_loop
async def test_a_dying_pod_stays_in_its_slice_and_is_not_ready_there(tmp_path: Path) -> None:
    async with small(tmp_path, termination=1) as home:
        await home.apply(*of("details"))
        await home.until(lambda: addresses(home, "details"))
        dying = home.pods()[0]
        await home.api.delete("pods", dying["metadata"]["name"], NAMESPACE)
        gone = dying["status"]["podIP"]
        await home.until(lambda: gone in addresses(home, "details", which="terminating"))
        assert gone not in addresses(home, "details")
        assert gone in addresses(home, "details", which="serving")
        await home.until(lambda: addresses(home, "details") not in ([], [gone]))


@in_a_loop
async def test_a_named_target_port_is_looked_up_in_the_pod(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        service, account, deployment = of("details")
        service["spec"]["ports"][0]["targetPort"] = "web"
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["ports"][0]["name"] = "web"
        await home.apply(service, account, deployment)
        await home.until(lambda: addresses(home, "details"))
        slice_ = home.api.list(SLICES, NAMESPACE)[0]
        assert [one["port"] for one in slice_["ports"]] == [9080]


@in_a_loop
async def test_what_is_owned_goes_with_its_owner(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(*of("details"))
        await rolled_out(home, "details-v1")
        await home.api.delete(DEPLOYMENTS, "details-v1", NAMESPACE)
        await home.until(lambda: not home.api.list(SETS, NAMESPACE))
        await home.until(lambda: not home.pods())


@in_a_loop
async def test_the_same_manifest_applied_again_has_the_same_hash(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        names = []
        for _ in range(2):
            await home.apply(*of("details")[1:])
            await rolled_out(home, "details-v1")
            names += [one["metadata"]["name"] for one in home.api.list(SETS, NAMESPACE)]
            await home.api.delete(DEPLOYMENTS, "details-v1", NAMESPACE)
            await home.api.delete("serviceaccounts", "bookinfo-details", NAMESPACE)
            await home.until(lambda: not home.api.list(SETS, NAMESPACE))
        assert names[0] == names[1]
        assert re.fullmatch(r"details-v1-[bcdfghjklmnpqrstvwxz2456789]{6,10}", names[0])


@in_a_loop
async def test_a_namespace_is_emptied_before_it_goes(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(*of("details"))
        await rolled_out(home, "details-v1")
        await home.api.delete("namespaces", NAMESPACE)
        await home.until(lambda: not home.api.find("namespaces", NAMESPACE))
        left = [home.api.list(one, NAMESPACE) for one in ("pods", "services", "configmaps")]
        assert left == [[], [], []]


@in_a_loop
async def test_a_namespace_gets_its_root_certificate_back(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        find = functools.partial(home.api.find, "configmaps", "kube-root-ca.crt", NAMESPACE)
        await home.until(find)
        with home.api.watch("configmaps") as events:
            await home.api.delete("configmaps", "kube-root-ca.crt", NAMESPACE)
            while not find():
                await events.get()


def test_two_clusters_have_two_blocks() -> None:
    first, second = Block.claim(), Block.claim()
    try:
        assert first.api_server != second.api_server
        assert first.pods.take() != first.pods.take()
    finally:
        first.close()
        second.close()
