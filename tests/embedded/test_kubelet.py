"""The kubelet over a real API in memory: a pod's states, failures and end, as on a real node."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fixtures.providers.embedded.apiserver.api import Event, clone
from fixtures.providers.embedded.controllers import containers
from tests.embedded.small import (
    IMAGE,
    NAMESPACE,
    Body,
    Small,
    in_a_loop,
    pod,
    recorded,
    small,
)

DETAILS: Body = {"name": "details", "image": IMAGE.format("details-v1")}
PROXY: Body = {"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.29.6"}
INIT: Body = {"name": "istio-init", "image": "docker.io/istio/proxyv2:1.29.6"}
STARTUP: Body = {"startupProbe": {"httpGet": {"path": "/healthz/ready", "port": 15021}}}
READINESS: Body = {"readinessProbe": {"httpGet": {"path": "/healthz/ready", "port": 15021}}}
NATIVE = pod(
    "details",
    DETAILS,
    initContainers=[INIT, PROXY | STARTUP | READINESS | {"restartPolicy": "Always"}],
)
CLASSIC = pod("details", DETAILS, PROXY | STARTUP | READINESS, initContainers=[INIT])


def shape(body: Body) -> Any:
    """What of a pod's status somebody waits for."""
    status = body.get("status") or {}
    conditions = sorted(
        (one["type"], one["status"], one.get("reason", ""), one.get("message", ""))
        for one in status.get("conditions") or ()
    )
    containers = sorted(
        (one["name"], one["ready"], one["started"], *reason(one["state"]))
        for part in ("initContainerStatuses", "containerStatuses")
        for one in status.get(part) or ()
    )
    address = "podIP" in status
    dying = "deletionTimestamp" in body["metadata"]
    return status.get("phase"), conditions, containers, address, dying


def reason(state: Body) -> tuple[str, str]:
    (kind, reported), *_ = state.items()
    return kind, reported.get("reason", "")


def distinct(bodies: Iterable[Body]) -> list[Any]:
    found: list[Any] = []
    for one in map(shape, bodies):
        if not found or found[-1] != one:
            found.append(one)
    return found


def reported(events: asyncio.Queue[Event], name: str) -> list[Body]:
    found = []
    while not events.empty():
        event = events.get_nowait()
        if event.object["metadata"]["name"] == name and event.type != "DELETED":
            found.append(event.object)
    return found


async def states_until_ready(home: Small, body: Body) -> list[Any]:
    with home.api.watch("pods") as events:
        await home.apply(body)
        await home.until(home.ready_pods)
        return distinct(reported(events, body["metadata"]["name"]))


@in_a_loop
async def test_a_plain_pod_goes_through_the_states_of_a_real_one(tmp_path: Path) -> None:
    real = distinct(one["object"] for one in recorded("plain-pods", "details"))
    async with small(tmp_path) as home:
        assert await states_until_ready(home, pod("details", DETAILS)) == real


@pytest.mark.parametrize(
    ("body", "streams"),
    [
        (NATIVE, ("inject-pods", "restart-bookinfons-pods")),
        (CLASSIC, ("classic-inject-pods",)),
    ],
    ids=["native", "classic"],
)
@in_a_loop
async def test_an_injected_pod_goes_through_the_states_of_a_real_one(
    tmp_path: Path, body: Body, streams: tuple[str, ...]
) -> None:
    # Different pods skipped different states: what ours goes through must be in one of them,
    # and none of what all of them went through may be missing.
    lives = [
        distinct(one["object"] for one in recorded(stream, name))
        for stream in streams
        for name in new_pods(stream)
    ]
    async with small(tmp_path) as home:
        ours = await states_until_ready(home, body)
    seen = [one for life in lives for one in life]
    assert [one for one in ours if one not in seen] == []
    common = [one for one in lives[0] if all(one in life for life in lives)]
    assert [one for one in common if one not in ours] == []
    order = [ours.index(one) for one in common]
    assert order == sorted(order)


def new_pods(stream: str) -> set[str]:
    """The details pods that were made while it was watched."""
    return {
        event["object"]["metadata"]["name"]
        for event in recorded(stream, "details")
        if not event["object"]["spec"].get("nodeName")
    }


@in_a_loop
async def test_an_application_starts_after_its_native_sidecar_is_ready(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        states = await states_until_ready(home, NATIVE)
    running = [
        {name: (ready, kind) for name, ready, _, kind, _ in containers}
        for _, _, containers, _, _ in states
        if containers
    ]
    first = next(one for one in running if one["details"][1] == "running")
    assert first["istio-proxy"] == (True, "running")
    assert first["istio-init"] == (True, "terminated")


@in_a_loop
async def test_a_pod_that_ignores_sigterm_ends_as_a_real_one(tmp_path: Path) -> None:
    real = [
        one
        for one in distinct(
            one["object"] for one in recorded("restart-bookinfons-pods", "details")
        )
        if one[-1]
    ]
    async with small(tmp_path) as home:
        with home.api.watch("pods") as events:
            await home.apply(NATIVE)
            await home.until(home.ready_pods)
            await home.api.delete("pods", "details", NAMESPACE)
            await home.until(lambda: not home.pods())
            ours = [one for one in distinct(reported(events, "details")) if one[-1]]
    assert ours == real


@in_a_loop
async def test_the_grace_period_is_kept_and_shortened_by_a_second_deletion(tmp_path: Path) -> None:
    async with small(tmp_path, termination=100) as home:
        await home.apply(pod("details", DETAILS))
        (body,) = await home.until(home.ready_pods)
        await home.api.delete("pods", "details", NAMESPACE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await home.until(lambda: not home.pods())
        # It serves until the end.
        _, writer = await home.kubelet.dial(body, 9080)
        writer.close()
        await home.api.delete("pods", "details", NAMESPACE, grace=0)
        await home.until(lambda: not home.pods())


@in_a_loop
async def test_an_unknown_image_is_not_pulled_and_says_so_as_the_kubelet_does(
    tmp_path: Path,
) -> None:
    async with small(tmp_path) as home:
        wrong = IMAGE.format("ratings-v1").replace("1.20.3", "nope")
        await home.apply(pod("ratings", {"name": "ratings", "image": wrong}))
        await home.until(lambda: "Error: ErrImagePull" in home.events("Failed"))
        await home.until(lambda: home.reason(home.pods()[0]) == "ImagePullBackOff")
        await home.until(lambda: home.events("BackOff"))
        assert home.events("BackOff") == [f'Back-off pulling image "{wrong}"']
        status = home.pods()[0]["status"]
        assert status["phase"] == "Pending"
        assert status["containerStatuses"][0]["imageID"] == ""


@in_a_loop
async def test_a_crashing_container_is_started_again_and_its_last_words_are_kept(
    tmp_path: Path,
) -> None:
    async with small(tmp_path) as home:
        crashes = DETAILS | {"command": ["sh", "-c", "echo boom >&2; exit 3"]}
        await home.apply(pod("details", crashes))
        await home.until(lambda: home.pods() and home.reason(home.pods()[0]) == "CrashLoopBackOff")
        (body,) = home.pods()
        (container,) = body["status"]["containerStatuses"]
        assert container["restartCount"] == 1
        assert container["lastState"]["terminated"]["exitCode"] == 3
        assert "back-off 10s restarting failed container=details" in str(container["state"])
        assert body["status"]["phase"] == "Running"
        for previous in (False, True):
            log = home.kubelet.log(body, "details", previous=previous)
            assert log
            assert [line.text for line in log.lines()] == ["boom"]


@in_a_loop
async def test_a_pod_that_is_not_restarted_ends_with_its_work_and_its_sidecar_after_it(
    tmp_path: Path,
) -> None:
    async with small(tmp_path) as home:
        works = DETAILS | {"command": ["sh", "-c", "echo done; exit 0"]}
        sidecar = PROXY | {"restartPolicy": "Always"}
        await home.apply(pod("once", works, initContainers=[sidecar], restartPolicy="Never"))
        await home.until(lambda: home.pods() and home.pods()[0]["status"]["phase"] == "Succeeded")
        status = home.pods()[0]["status"]
        (proxy,) = status["initContainerStatuses"]
        assert reason(proxy["state"]) == ("terminated", "Completed")


@in_a_loop
async def test_a_pod_waits_for_the_config_map_of_a_volume(tmp_path: Path) -> None:
    volume = {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}
    async with small(tmp_path) as home:
        await home.apply(pod("details", DETAILS, volumes=[volume]))
        await home.until(lambda: home.events("FailedMount"))
        (words,) = home.events("FailedMount")
        assert words.startswith('MountVolume.SetUp failed for volume "istiod-ca-cert" : ')
        assert words.endswith('configmap "istio-ca-root-cert" not found')
        assert home.reason(home.pods()[0]) == "ContainerCreating"
        root: Body = {"metadata": {"name": "istio-ca-root-cert"}}
        await home.api.create("configmaps", root, NAMESPACE)
        await home.until(home.ready_pods)


@in_a_loop
async def test_a_pod_that_no_node_fits_waits_for_one(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(pod("details", DETAILS, nodeSelector={"disk": "fast"}))
        await home.until(lambda: home.events("FailedScheduling"))
        (scheduled,) = home.pods()[0]["status"]["conditions"]
        assert scheduled["reason"] == "Unschedulable"
        assert scheduled["message"].startswith("0/1 nodes are available: 1 node(s) didn't match")
        label: Body = {"metadata": {"labels": {"disk": "fast"}}}
        await home.api.patch("nodes", home.cluster.node_name, "", label)
        await home.until(home.ready_pods)


@in_a_loop
async def test_readiness_is_what_the_probe_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "HASTE", 1000)
    probe = {"httpGet": {"path": "/nowhere", "port": "http"}, "periodSeconds": 1}
    container = DETAILS | {
        "ports": [{"name": "http", "containerPort": 9080}],
        "readinessProbe": probe,
    }
    async with small(tmp_path) as home:
        await home.apply(pod("details", container))
        await home.until(lambda: home.events("Unhealthy"))
        assert home.events("Unhealthy") == [
            "Readiness probe failed: HTTP probe failed with statuscode: 404"
        ]
        assert home.ready_pods() == []
        healthy = clone(container)
        healthy["readinessProbe"]["httpGet"]["path"] = "/health"
        await home.apply(pod("healthy", healthy))
        await home.until(lambda: home.ready_pods("app=healthy"))


@in_a_loop
async def test_six_pods_listen_on_one_port(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(*(pod(f"details-{number}", DETAILS) for number in range(6)))
        await home.until(lambda: len(home.ready_pods()) == 6)
        addresses = {one["status"]["podIP"] for one in home.pods()}
        assert len(addresses) == 6
        for one in home.pods():
            _, writer = await home.kubelet.dial(one, 9080)
            writer.close()


@in_a_loop
async def test_a_door_into_a_pod_leads_to_its_ports_alone(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(pod("details", DETAILS))
        (body,) = await home.until(home.ready_pods)
        with pytest.raises(ConnectionError):
            await home.kubelet.dial(body, 9999)
