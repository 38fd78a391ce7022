"""States of meshes that people have, by the names of the list they were reported on.

B is broken and must be noticed, H is healthy and must not be called broken. Each is built on a
recorded cluster, with the words that a real API server and a real kubelet say in it.
"""

# ruff: noqa: N802  # the rows have their names: B1, H13
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested, Observation, Observations, start_observing
from fixtures.claims.observations import observing
from fixtures.claims.waiting import wait_policy
from fixtures.k8s import Body
from tests.judge.replay import ISTIOD, Replay, page, replayed
from tests.judge.test_replayed import ambient, world
from tests.judge.world import World, access_of
from tests.unit.states import as_kube

DEPLOYMENTS = "deployments.apps"
INJECTORS = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
LONG_AGO = "2026-01-02T03:04:05Z"
UNREACHABLE = (
    'Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": '
    'failed to call webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": dial '
    "tcp 10.96.7.7:443: connect: connection refused"
)
FORBIDDEN = (
    'pods "ratings-v1-58c5b97b8c-x2x9z" is forbidden: violates PodSecurity "baseline:latest": '
    'non-default capabilities (container "istio-init" must not include "NET_ADMIN", "NET_RAW" in '
    "securityContext.capabilities.add)"
)
QUOTA = (
    'pods "ratings-v1-58c5b97b8c-x2x9z" is forbidden: exceeded quota: q, requested: pods=1, used: '
    "pods=6, limited: pods=6"
)


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


@pytest.fixture
def kube() -> Replay:
    """The recorded mesh, for a test to change."""
    return replayed("7-gateway", apart=True)


def fails(request: Callable[[], object]) -> str:
    """How a claim fails."""
    with pytest.raises(ClaimFailed) as caught:
        request()
    return str(caught.value)


def holds(request: Callable[[], object]) -> Observations:
    """What a claim that holds says of it."""
    with observing() as observations:
        request()
    assert observations.inspected, "it looked at nothing"
    return observations


def of(kube: Replay, noun: str) -> Any:
    """A noun of the changed mesh."""
    return getattr(world(broken=kube), noun)()


def refused(words: str, deployment: Body) -> None:
    """A Deployment that is refused a second pod."""
    deployment["spec"]["replicas"] = 2
    fields = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
    fields |= {"message": words, "lastTransitionTime": LONG_AGO}
    deployment["status"]["conditions"].append(fields)


def test_living_B1_the_api_server_cannot_reach_the_injector(kube: Replay) -> None:
    kube.change(DEPLOYMENTS, "ratings", partial(refused, UNREACHABLE))
    kube.change(DEPLOYMENTS, "reviews-v2", partial(refused, UNREACHABLE))
    message = fails(of(kube, "fleet").expect_created)
    assert "2 of 8 workloads of the mesh" in message
    assert "Deployment bookinfons/ratings-v1 (1 of 2 pods, for " in message
    assert message.count(UNREACHABLE) == 1, "the same words twice"


def test_living_B2_pod_security_refuses_injected_pods(kube: Replay) -> None:
    kube.change(DEPLOYMENTS, "ratings", partial(refused, FORBIDDEN))
    message = fails(of(kube, "fleet").expect_created)
    assert "since 2026-01-02 03:04:05 UTC" in message
    assert FORBIDDEN in message


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "Job"])
def test_living_B2_kinds_that_report_it_in_events_alone(kube: Replay, kind: str) -> None:
    meta = {"name": "db", "namespace": "bookinfons"}
    spec = {"replicas": 2, "template": {"metadata": {"labels": {}}, "spec": {"containers": []}}}
    counts = {"replicas": 1, "active": 0, "desiredNumberScheduled": 2, "currentNumberScheduled": 1}
    body = {"metadata": meta, "spec": spec, "status": counts}
    plural = {"StatefulSet": "statefulsets.apps", "DaemonSet": "daemonsets.apps"}
    kube.add(plural.get(kind, "jobs.batch"), body)
    holds(of(kube, "fleet").expect_created)
    event = {
        "metadata": {"name": "db.1", "namespace": "bookinfons"},
        "involvedObject": {"kind": kind, "namespace": "bookinfons", "name": "db"},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": f"create Pod db-1 in {kind} db failed error: {FORBIDDEN}",
        "firstTimestamp": LONG_AGO,
        "lastTimestamp": LONG_AGO,
    }
    kube.add("events", event)
    message = fails(of(kube, "fleet").expect_created)
    assert f"{kind} bookinfons/db" in message
    assert FORBIDDEN in message


def test_living_H13_a_quota_that_is_used_up_is_not_istios_doing(kube: Replay) -> None:
    kube.change(DEPLOYMENTS, "ratings", partial(refused, QUOTA))
    (reported,) = holds(of(kube, "fleet").expect_created).notes
    assert "not Istio's doing" in reported
    assert QUOTA in reported


def in_init(container: str, pod: Body, **state: Any) -> None:
    """A pod whose init container does not get on."""
    status = pod["status"]
    status["phase"] = "Pending"
    names = [one["name"] for one in pod["spec"]["initContainers"]]
    waiting: Body = {"waiting": {"reason": "PodInitializing"}}
    after = {"state": waiting, "ready": False, "started": False, "restartCount": 0}
    status["initContainerStatuses"] = [
        {
            "name": name,
            **after,
            **({"state": state, "restartCount": 4} if name == container else {}),
        }
        for name in names
    ]
    for one in status["containerStatuses"]:
        one.update(after)


CRASHES = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed"}}


def test_living_B3_injected_pods_never_leave_init(kube: Replay) -> None:
    kube.change("pods", "ratings", partial(in_init, "istio-init", **CRASHES))
    kube.change("pods", "reviews-v1", partial(in_init, "istio-init", **CRASHES))
    message = fails(of(kube, "fleet").expect_started)
    assert "2 of 6 pods of the mesh" in message
    assert "Deployment bookinfons/ratings-v1 stays in Init, container istio-init, for " in message
    assert "CrashLoopBackOff: back-off 40s restarting failed" in message


def test_living_B3_a_sidecar_that_never_starts_keeps_its_pod_in_init(kube: Replay) -> None:
    def change(pod: Body) -> None:
        in_init("istio-proxy", pod, running={"startedAt": LONG_AGO})
        pod["status"]["initContainerStatuses"][0]["state"] = {"terminated": {"exitCode": 0}}

    kube.change("pods", "ratings", change)
    message = fails(of(kube, "fleet").expect_started)
    assert "stays in Init, container istio-proxy, " in message
    assert "since 2026-01-02 03:04:05 UTC: it runs and has not started" in message


def creating(pod: Body) -> None:
    """A pod that has no sandbox."""
    waiting: Body = {"waiting": {"reason": "PodInitializing"}}
    pod["status"].update(phase="Pending", podIP="")
    for key in ("initContainerStatuses", "containerStatuses"):
        for one in pod["status"].get(key) or ():
            one.update(state=waiting, ready=False, started=False)


def about(kube: Replay, pod: str, reason: str, message: str) -> None:
    """The kubelet says something of a pod whose name begins so."""
    (name,) = (
        b["metadata"]["name"]
        for b in kube.list("pods", "bookinfons")
        if b["metadata"]["name"].startswith(pod) and "deletionTimestamp" not in b["metadata"]
    )
    event = {
        "metadata": {"name": f"{name}.1", "namespace": "bookinfons"},
        "involvedObject": {"kind": "Pod", "namespace": "bookinfons", "name": name},
        "reason": reason,
        "message": message,
        "lastTimestamp": LONG_AGO,
    }
    kube.add("events", event)


NO_SANDBOX = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for "
    'sandbox "28c1": plugin type="istio-cni" name="istio-cni" failed (add): Unauthorized'
)
NO_ROOT = (
    'MountVolume.SetUp failed for volume "istiod-ca-cert" : configmap "istio-ca-root-cert" not '
    "found"
)


@pytest.mark.parametrize(
    ("reason", "words"),
    [("FailedCreatePodSandBox", NO_SANDBOX), ("FailedMount", NO_ROOT)],
    ids=["the CNI plugin", "the root certificate"],
)
def test_living_B6_pods_that_never_leave_container_creating(
    kube: Replay, reason: str, words: str
) -> None:
    kube.change("pods", "ratings", creating)
    about(kube, "ratings", reason, words)
    message = fails(of(kube, "fleet").expect_started)
    assert "Deployment bookinfons/ratings-v1 stays in ContainerCreating, for " in message
    assert f"{reason}: {words}" in message


@pytest.mark.parametrize(
    ("reason", "words"),
    [("FailedMount", 'secret "of-the-user" not found'), ("", "")],
    ids=["a volume of the user's", "nothing is said"],
)
def test_living_H13_a_pod_that_waits_for_something_else(
    kube: Replay, reason: str, words: str
) -> None:
    kube.change("pods", "ratings", creating)
    if reason:
        about(kube, "ratings", reason, words)
    (reported,) = holds(of(kube, "fleet").expect_started).notes
    assert reported.startswith(
        "of the mesh, but not Istio's doing: Deployment bookinfons/ratings-v1 stays in"
    )
    assert words in reported


def test_living_H13_an_image_of_the_users_that_cannot_be_pulled(kube: Replay) -> None:
    def change(pod: Body) -> None:
        waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nowhere/x"'}
        for one in pod["status"]["containerStatuses"]:
            one.update(state={"waiting": waiting}, ready=False)

    kube.change("pods", "ratings", change)
    (reported,) = holds(of(kube, "fleet").expect_started).notes
    assert "ratings-v1 does not start, container ratings, for 60 min" in reported
    assert 'ImagePullBackOff: Back-off pulling image "nowhere/x"' in reported


def test_living_H13_unschedulable_ended_and_evicted_pods(kube: Replay) -> None:
    def unschedulable(pod: Body) -> None:
        pod["spec"].pop("nodeName")
        why = {
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
        }
        fields = {"type": "PodScheduled", "status": "False", "lastTransitionTime": LONG_AGO, **why}
        pod["status"] = {"phase": "Pending", "conditions": [fields]}

    kube.change("pods", "ratings", unschedulable)
    kube.change("pods", "reviews-v1", lambda pod: pod["status"].update(phase="Succeeded"))
    kube.change(
        "pods",
        "reviews-v2",
        lambda pod: pod.update(status={"phase": "Failed", "reason": "Evicted"}),
    )
    (fields,) = holds(of(kube, "fleet").expect_started).notes
    assert "ratings-v1 fits no node" in fields
    assert "Insufficient cpu" in fields
    assert not holds(of(kube, "fleet").expect_proxies_ready).notes


def unready(pod: Body, **changes: Any) -> None:
    """A pod whose proxy runs and is not ready."""
    status = pod["status"]
    for key in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(key) or ():
            if one["name"] == "istio-proxy":
                one.update(ready=False, **changes)
    for one in status["conditions"]:
        if one["type"] in {"Ready", "ContainersReady"}:
            words = "containers with unready status: [istio-proxy]"
            one.update(status="False", message=words, lastTransitionTime=LONG_AGO)


def test_pods_without_sidecar_are_summed_up_by_workload_with_what_gives_them_one(
    kube: Replay,
) -> None:
    def without(pod: Body) -> None:
        for key in ("initContainers", "containers"):
            left = [one for one in pod["spec"].get(key) or () if one["name"] != "istio-proxy"]
            pod["spec"][key] = left

    kube.change("pods", "ratings", without)
    kube.change("pods", "details", without)
    caught = failure(of(kube, "workloads").expect_sidecars)
    assert "no sidecar in Deployment bookinfons/ratings-v1" in str(caught)
    assert caught.next_steps[:2] == (
        "kubectl -n bookinfons rollout restart deployment details-v1",
        "kubectl -n bookinfons rollout restart deployment ratings-v1",
    )


def test_a_proxy_that_is_not_ready_is_named_with_its_workload(kube: Replay) -> None:
    kube.change("pods", "ratings", unready)
    message = fails(of(kube, "fleet").expect_proxies_ready)
    assert "ratings-v1 runs and is not ready, container istio-proxy" in message
    assert "containers with unready status: [istio-proxy]" in message


def test_a_proxy_that_goes_on_restarting_is_noticed_and_one_that_did_is_not(kube: Replay) -> None:
    lately = kube.now() - 60

    def change(pod: Body, at: float, times: int) -> None:
        ended = datetime.fromtimestamp(at, UTC).isoformat()
        last = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ended}}
        for one in (*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"]):
            if one["name"] == "istio-proxy":
                one.update(restartCount=times, lastState=last)

    kube.change("pods", "ratings", partial(change, at=lately - 7200, times=9))
    kube.change("pods", "reviews-v1", partial(change, at=lately, times=1))
    holds(of(kube, "fleet").expect_proxies_ready)
    kube.change("pods", "ratings", partial(change, at=lately, times=9))
    message = fails(of(kube, "fleet").expect_proxies_ready)
    assert "ratings-v1 restarts again and again, container istio-proxy" in message
    assert "9 restarts" in message
    assert "exit code 137, OOMKilled" in message


def labelled(labels: dict[str, str], namespace: Body) -> None:
    namespace["metadata"]["labels"] = labels


def left_out(configuration: Body) -> None:
    """What a platform does to every webhook: namespaces of its own are left out."""
    for entry in configuration["webhooks"]:
        selector = entry.setdefault("namespaceSelector", {})
        selector.setdefault("matchExpressions", []).append(
            {"key": "control-plane", "operator": "DoesNotExist"}
        )


def test_living_B4_no_injector_chooses_a_namespace_that_requests_it(kube: Replay) -> None:
    kube.change(INJECTORS, "istio", left_out)
    holds(of(kube, "fleet").expect_chosen)
    asks = {"istio-injection": "enabled", "control-plane": "x"}
    kube.change("namespaces", "bookinfons", partial(labelled, asks))
    message = fails(of(kube, "fleet").expect_chosen)
    assert "namespace bookinfons (istio-injection=enabled): no injector: " in message
    assert "requires of the namespace control-plane DoesNotExist" in message


def test_living_B4_the_tag_that_selects_by_the_namespaces_label_is_gone(kube: Replay) -> None:
    kube.remove(INJECTORS, "istio-revision-tag-default")
    message = fails(of(kube, "fleet").expect_chosen)
    assert "(istio-injection=enabled): no injector selects istio-injection=enabled, nor" in message


@pytest.mark.parametrize("revision", ["nope", "default-2"])
def test_living_B4_a_revision_that_is_gone(kube: Replay, revision: str) -> None:
    kube.change("namespaces", "bookinfons", partial(labelled, {"istio.io/rev": revision}))
    message = fails(of(kube, "fleet").expect_chosen)
    assert f"no injector of revision or tag {revision} (there are: default)" in message


def test_living_B4_a_workload_that_requests_another_revision_than_there_is(kube: Replay) -> None:
    kube.change("namespaces", "bookinfons", partial(labelled, {}))

    def change(deployment: Body) -> None:
        deployment["spec"]["template"]["metadata"]["labels"]["istio.io/rev"] = "blue"

    kube.change(DEPLOYMENTS, "ratings", change)
    message = fails(of(kube, "fleet").expect_chosen)
    assert (
        "Deployment bookinfons/ratings-v1 (istio.io/rev=blue): no injector of revision" in message
    )


def test_living_B4_an_injector_whose_istiod_is_gone(kube: Replay) -> None:
    kube.remove("services", "istiod")
    message = fails(of(kube, "fleet").expect_chosen)
    assert "Service istio-system/istiod of an injector that pods ask for" in message


def test_two_injectors_for_one_namespace_are_one_too_many(kube: Replay) -> None:
    def change(configuration: Body) -> None:
        for entry in configuration["webhooks"]:
            if entry["name"].startswith("namespace."):
                entry["namespaceSelector"] = {"matchLabels": {"istio-injection": "enabled"}}
                entry["objectSelector"] = {}

    kube.change(INJECTORS, "istio", change)
    assert "2 injectors: namespace.sidecar" in fails(of(kube, "fleet").expect_chosen)


def test_match_conditions_are_reported_to_be_beyond_us(kube: Replay) -> None:
    def change(configuration: Body) -> None:
        for entry in configuration["webhooks"]:
            entry["matchConditions"] = [{"name": "x", "expression": "object.spec.y != 'z'"}]

    kube.change(INJECTORS, "istio-revision-tag-default", change)
    notes = holds(of(kube, "fleet").expect_chosen).notes
    assert all("matchConditions, which were not evaluated: object.spec.y" in n for n in notes)
    assert notes


def test_living_H1_ztunnel_is_a_part_of_the_mesh_without_a_sidecar() -> None:
    with pytest.raises(NotTested, match="asks for sidecars"):
        ambient().fleet().expect_chosen()
    assert not holds(ambient().fleet().expect_started).notes
    assert not holds(ambient().fleet().expect_proxies_ready).notes


# Gateways


def router(kube: Replay, *, replicas: int = 1, ready: int = 1) -> None:
    """A gateway of the chart `gateway` in a namespace of its own, injected."""
    labels = {"app": "edge", "istio": "edge", "sidecar.istio.io/inject": "true"}
    meta = {"labels": labels, "annotations": {"inject.istio.io/templates": "gateway"}}
    containers = [{"name": "istio-proxy", "image": "auto"}]
    counts = {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready}
    spec = {"selector": {"matchLabels": {"app": "edge"}}, "replicas": replicas}
    spec |= {"template": {"metadata": meta, "spec": {"containers": containers}}}
    where = {"name": "edge", "namespace": "edge"}
    kube.add(DEPLOYMENTS, {"metadata": where, "spec": spec, "status": counts})


def service(kube: Replay) -> None:
    """Its Service."""
    ports = [{"name": "status-port", "port": 15021}, {"name": "http2", "port": 80}]
    where = {"name": "edge", "namespace": "edge"}
    kube.add(
        "services", {"metadata": where, "spec": {"selector": {"app": "edge"}, "ports": ports}}
    )


def test_living_H10_a_gateway_elsewhere_that_nobody_uses_is_idle(kube: Replay) -> None:
    router(kube)
    assert not holds(of(kube, "gateways").expect_pods).notes
    holds(of(kube, "gateways").expect_selected)


def test_living_H10_a_gateway_that_nobody_uses_may_be_scaled_to_zero(kube: Replay) -> None:
    router(kube, replicas=0, ready=0)
    (reported,) = holds(of(kube, "gateways").expect_pods).notes
    assert "edge/edge is scaled to 0, and neither a Service nor a Gateway selects it" in reported


def test_living_B8_a_gateway_elsewhere_is_scaled_to_zero_and_has_a_service(kube: Replay) -> None:
    router(kube, replicas=0, ready=0)
    service(kube)
    message = fails(of(kube, "gateways").expect_pods)
    assert "Deployment edge/edge: expected pods" in message
    assert "selected by Service edge/edge" in message


def test_living_B8_a_gateway_elsewhere_wants_pods_and_has_none(kube: Replay) -> None:
    router(kube, ready=0)
    message = fails(of(kube, "gateways").expect_pods)
    assert "rollout of Deployment edge/edge: expected each of its pods is ready" in message
    assert "0 of 1 ready" in message


def test_living_B8_a_gateway_says_why_it_has_no_pods(kube: Replay) -> None:
    router(kube, ready=0)
    kube.change(DEPLOYMENTS, "edge", lambda d: refused_for_good(d, FORBIDDEN))
    assert FORBIDDEN in fails(of(kube, "gateways").expect_pods)


def refused_for_good(deployment: Body, words: str) -> None:
    fields = {"type": "ReplicaFailure", "status": "True", "message": words}
    deployment["status"]["conditions"] = [fields]


def test_living_B11_the_gateway_is_gone_and_its_service_is_left(kube: Replay) -> None:
    service(kube)
    message = fails(of(kube, "gateways").expect_selected)
    assert "Service edge/edge selects app=edge: no pod and no workload has these labels" in message


def failure(request: Callable[[], object]) -> ClaimFailed:
    with pytest.raises(ClaimFailed) as caught:
        request()
    return caught.value


def causes(*requests: Callable[[], object]) -> list[tuple[str, ...]]:
    """What several claims fail of."""
    return [failure(request).causes for request in requests]


@pytest.mark.parametrize("left", ["Service", "Gateway"])
def test_living_B11_a_gateway_that_is_gone_is_one_cause(kube: Replay, left: str) -> None:
    for kind in (DEPLOYMENTS, "pods"):
        kube.remove(kind, "istio-ingressgateway")
    if left == "Gateway":
        kube.remove("services", "istio-ingressgateway")
    kube.change("endpointslices.discovery.k8s.io", "istio-ingressgateway", empty)
    plane = of(kube, "control_plane")
    requests = [partial(plane.expect_rolled_out, "istio-ingressgateway"), plane.expect_images]
    requests += [plane.expect_endpoints] if left == "Service" else []
    requests += [of(kube, "gateways").expect_selected]
    assert set(causes(*requests)) == {("Deployment istio-system/istio-ingressgateway is not up",)}
    assert "Install it again" in failure(requests[0]).hint


def test_pods_that_are_refused_because_nobody_serves_the_injector_fail_of_istiod(
    kube: Replay,
) -> None:
    words = UNREACHABLE.replace(
        "dial tcp 10.96.7.7:443: connect: connection refused", "no endpoints"
    )
    kube.change(DEPLOYMENTS, "ratings", partial(refused, words))
    kube.change(DEPLOYMENTS, "istio-ingressgateway", partial(refused, words))
    plane = of(kube, "control_plane")
    claims = (
        of(kube, "fleet").expect_created,
        partial(plane.expect_rolled_out, "istio-ingressgateway"),
        of(kube, "gateways").expect_pods,
    )
    (alone,) = set(causes(*claims))
    assert alone[0].startswith("pods are refused: Internal error occurred")
    kube.change("endpointslices.discovery.k8s.io", "istiod", empty)
    assert set(causes(*claims)) == {("Deployment istio-system/istiod is not up",)}


def empty(endpoint_slice: Body) -> None:
    endpoint_slice["endpoints"] = []


def test_a_gateway_that_does_not_start_is_one_cause(kube: Replay) -> None:
    def crashing(pod: Body) -> None:
        for one in pod["status"]["containerStatuses"]:
            one.update(state=CRASHES, ready=False, restartCount=7)
        for one in pod["status"]["conditions"]:
            one["status"] = "False"

    kube.change("pods", "istio-ingressgateway", crashing)
    kube.change(DEPLOYMENTS, "istio-ingressgateway", partial(counts, ready=0))
    kube.change("endpointslices.discovery.k8s.io", "istio-ingressgateway", empty)
    plane = of(kube, "control_plane")
    found = causes(
        partial(plane.expect_rolled_out, "istio-ingressgateway"),
        plane.expect_endpoints,
        of(kube, "gateways").expect_pods,
    )
    assert set(found) == {("Deployment istio-system/istio-ingressgateway is not up",)}


def counts(deployment: Body, ready: int) -> None:
    deployment["status"].update(readyReplicas=ready, availableReplicas=ready)


def test_a_workload_whose_proxy_crashes_is_one_cause(kube: Replay) -> None:
    def crashing(pod: Body) -> None:
        for one in pod["status"]["initContainerStatuses"] + pod["status"]["containerStatuses"]:
            if one["name"] == "istio-proxy":
                one.update(state=CRASHES, ready=False, restartCount=7)
        for one in pod["status"]["conditions"]:
            one["status"] = "False" if one["type"] in {"Ready", "ContainersReady"} else "True"

    kube.change("pods", "ratings", crashing)
    kube.replies[ISTIOD, "/debug/syncz"] = page("[]")
    fleet = of(kube, "fleet")
    started = failure(fleet.expect_started)
    assert started.causes == ("Deployment bookinfons/ratings-v1 is not up",)
    assert started.causes[0] in failure(of(kube, "workloads").expect_in_sync).causes


def test_living_B11_the_gateway_is_gone_and_its_gateway_object_is_left(kube: Replay) -> None:
    kube.remove(DEPLOYMENTS, "istio-ingressgateway")
    kube.remove("pods", "istio-ingressgateway")
    message = fails(of(kube, "gateways").expect_selected)
    assert "Gateway bookinfons/bookinfo-gateway selects istio=ingressgateway" in message
    assert "Service istio-system/istio-ingressgateway selects" in message


API_GATEWAYS = "gateways.gateway.networking.k8s.io"
HTTP_ROUTES = "httproutes.gateway.networking.k8s.io"


def condition(kind: str, status: str, reason: str = "X", message: str = "words") -> Body:
    return {"type": kind, "status": status, "reason": reason, "message": message}


FINE = [condition("Accepted", "True"), condition("Programmed", "True")]
# What the API itself writes, until a controller does.
PENDING = [
    condition(kind, "Unknown", "Pending", "Waiting for controller")
    for kind in ("Accepted", "Programmed")
]


def api_gateway(kube: Replay, conditions: list[Body], **meta: Any) -> None:
    """A Gateway resource of class `istio`, and of a foreign one with the same status."""
    for name, controller in (("istio", "istio.io/gateway-controller"), ("foreign", "example/x")):
        spec: Body = {"controllerName": controller}
        kube.add(
            "gatewayclasses.gateway.networking.k8s.io", {"metadata": {"name": name}, "spec": spec}
        )
        where = {"name": f"of-{name}", "namespace": "edge", "generation": 1, **meta}
        listeners = [{"name": "http", "conditions": []}]
        fields = {"conditions": conditions, "listeners": listeners}
        kube.add(
            API_GATEWAYS,
            {"metadata": where, "spec": {"gatewayClassName": name}, "status": fields},
        )


def test_living_B8_a_gateway_resource_of_nobodys_revision_is_never_programmed(
    kube: Replay,
) -> None:
    api_gateway(kube, PENDING, labels={"istio.io/rev": "nobody"})
    message = fails(of(kube, "api_gateways").expect_programmed)
    assert "1 of 1 Gateways of Istio's classes" in message, "the foreign one is nobody's business"
    assert "Gateway edge/of-istio: its istio.io/rev=nobody names no revision or tag" in message


def test_living_B8_a_gateway_resource_that_is_not_programmed_says_why(kube: Replay) -> None:
    api_gateway(kube, [FINE[0], condition("Programmed", "False", "Invalid", "not a proxy")])
    message = fails(of(kube, "api_gateways").expect_programmed)
    assert "Programmed is False, Invalid: not a proxy" in message


def test_living_H12_an_address_is_the_platforms_to_give(kube: Replay) -> None:
    pending = condition("Programmed", "False", "AddressNotAssigned", "address pending for x")
    api_gateway(kube, [FINE[0], pending])
    (reported,) = holds(of(kube, "api_gateways").expect_programmed).notes
    assert "waits for an address" in reported
    assert "address pending for x" in reported


def test_a_status_of_an_earlier_generation_is_not_the_last_word(kube: Replay) -> None:
    old = [one | {"observedGeneration": 1} for one in FINE]
    api_gateway(kube, old, generation=2)
    assert "Accepted is of generation 1" in fails(of(kube, "api_gateways").expect_programmed)


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("Conflicted", "True", "Conflicted is True, X: words"),
        ("ResolvedRefs", "False", "ResolvedRefs is False, X: words"),
    ],
)
def test_a_listener_that_is_not_in_order_is_named(
    kube: Replay, kind: str, status: str, words: str
) -> None:
    api_gateway(kube, FINE)
    holds(of(kube, "api_gateways").expect_listeners)
    entries = [condition(kind, status)]
    kube.change(
        API_GATEWAYS, "of-", lambda g: g["status"]["listeners"][0].update(conditions=entries)
    )
    message = fails(of(kube, "api_gateways").expect_listeners)
    assert f"Gateway edge/of-istio: listener http: {words}" in message


def route(kube: Replay, gateway: str, parents: list[Body]) -> None:
    """An HTTPRoute to one of the Gateways."""
    meta = {"name": f"to-{gateway}", "namespace": "edge", "generation": 1}
    spec = {"parentRefs": [{"name": gateway}]}
    kube.add(HTTP_ROUTES, {"metadata": meta, "spec": spec, "status": {"parents": parents}})


def heard(gateway: str, *conditions: Body) -> Body:
    return {
        "controllerName": "istio.io/gateway-controller",
        "parentRef": {"name": gateway},
        "conditions": list(conditions),
    }


RESOLVED = condition("ResolvedRefs", "True")


def test_a_route_that_nobody_accepted_and_one_that_leads_nowhere(kube: Replay) -> None:
    api_gateway(kube, FINE)
    route(kube, "of-foreign", [])
    with pytest.raises(NotTested, match="no routes"):
        of(kube, "api_gateways").expect_routes()
    route(kube, "of-istio", [])
    message = fails(of(kube, "api_gateways").expect_routes)
    assert "HTTPRoute edge/to-of-istio: nobody accepted it at Gateway edge/of-istio" in message
    good = (condition("Accepted", "True"), condition("ResolvedRefs", "True"))
    kube.change(
        HTTP_ROUTES, "to-", lambda r: r["status"].update(parents=[heard("of-istio", *good)])
    )
    holds(of(kube, "api_gateways").expect_routes)
    bad = condition("ResolvedRefs", "False", "BackendNotFound", "backend(nowhere) not found")
    kube.change(
        HTTP_ROUTES, "to-", lambda r: r["status"].update(parents=[heard("of-istio", good[0], bad)])
    )
    message = fails(of(kube, "api_gateways").expect_routes)
    assert (
        "at of-istio ResolvedRefs is False, BackendNotFound: backend(nowhere) not found" in message
    )


def test_a_route_to_a_gateway_that_does_not_exist_is_noted(kube: Replay) -> None:
    api_gateway(kube, FINE)
    route(kube, "of-istio", [heard("of-istio", condition("Accepted", "True"), RESOLVED)])
    assert not holds(of(kube, "api_gateways").expect_routes).notes
    route(kube, "gone", [])
    (told,) = holds(of(kube, "api_gateways").expect_routes).notes
    assert "does not exist: HTTPRoute edge/to-gone (edge/gone)" in told


def test_a_gateway_of_a_class_that_does_not_exist_is_noted(kube: Replay) -> None:
    api_gateway(kube, FINE)
    assert not holds(of(kube, "api_gateways").expect_programmed).notes
    kube.change(
        API_GATEWAYS, "of-foreign", lambda one: one["spec"].update(gatewayClassName="nobodys")
    )
    (told,) = holds(of(kube, "api_gateways").expect_programmed).notes
    assert "does not exist: Gateway edge/of-foreign (nobodys)" in told


# Ambient mode


def flat(state: str = "ambient/bookinfo") -> Replay:
    """The recorded mesh in ambient mode, for a test to change."""
    return Replay(state, apart=True, kubernetes="v1.37.2")


def in_ambient(kube: Replay, noun: str) -> Any:
    return getattr(World(lambda _: as_kube(kube), access_of("1.31.0", "v1.37.2")), noun)()


def test_living_H1_an_ambient_mesh_is_whole() -> None:
    for request in ("expect_ztunnel", "expect_agent", "expect_captured"):
        assert not holds(getattr(in_ambient(flat(), "ambient"), request)).notes
    for request in ("expect_endpoints", "expect_named", "expect_policies"):
        with pytest.raises(NotTested):
            getattr(in_ambient(flat(), "waypoints"), request)()


@pytest.mark.parametrize(
    ("state", "nodes", "pods", "captured"),
    [
        ("ambient/bookinfo", "1 of 1", "1 of 1", "7 of 7"),
        ("ambient/ztunnel-unscheduled", "0 of 1", "0 of 0", "7 of 8"),
    ],
)
def test_living_H1_how_far_ambient_mode_reaches_is_recorded(
    state: str, nodes: str, pods: str, captured: str
) -> None:
    observed = start_observing()
    for request in ("expect_ztunnel", "expect_captured"):
        with suppress(ClaimFailed):
            getattr(in_ambient(flat(state), "ambient"), request)()
    assert observed.values == [
        Observation("ambient", "nodes with a ready ztunnel", nodes),
        Observation("ambient", "ready pods of ztunnel", pods),
        Observation("ambient", "captured pods", captured),
    ]


def test_living_H1_a_mesh_of_sidecars_is_not_requested_ztunnel(kube: Replay) -> None:
    with pytest.raises(NotTested, match="asks for ambient mode"):
        in_ambient(kube, "ambient").expect_ztunnel()


def test_living_H1_a_pod_that_opts_out_is_not_requested() -> None:
    kube = flat()
    out = {"istio.io/dataplane-mode": "none"}

    def change(pod: Body) -> None:
        pod["metadata"]["labels"] |= out
        pod["metadata"]["annotations"] = {}

    kube.change("pods", "ratings", change)
    assert holds(in_ambient(kube, "ambient").expect_captured).inspected == 6


def test_living_H1_a_mesh_that_nobody_is_in_yet_is_not_requested() -> None:
    kube = flat()
    kube.change("namespaces", "flat", lambda one: one["metadata"].update(labels={}))
    with pytest.raises(NotTested, match="ztunnel is there, and no pod asks"):
        in_ambient(kube, "ambient").expect_captured()


def test_living_B6_ztunnel_is_on_no_node() -> None:
    kube = flat("ambient/ztunnel-unscheduled")
    message = fails(in_ambient(kube, "ambient").expect_ztunnel)
    assert "expected a ready one on each of 1, got none on node-1" in message
    assert "DaemonSet istio-system/ztunnel has 0 ready of 0 desired" in message
    holds(in_ambient(kube, "ambient").expect_agent)
    message = fails(in_ambient(kube, "ambient").expect_captured)
    assert "1 of 8 pods that ask for ambient mode" in message
    assert "Deployment flat/late is pending, for 60 min" in message


def test_living_B6_the_cni_agent_is_on_no_node() -> None:
    kube = flat()
    counts = {"desiredNumberScheduled": 0, "currentNumberScheduled": 0, "numberReady": 0}
    kube.change("daemonsets.apps", "istio-cni-node", lambda d: d["status"].update(counts))
    kube.remove("pods", "istio-cni-node")
    message = fails(in_ambient(kube, "ambient").expect_agent)
    assert "the CNI plugin's agent on nodes with pods that ask for ambient mode" in message
    assert "DaemonSet istio-system/istio-cni-node has 0 ready of 0 desired" in message
    holds(in_ambient(kube, "ambient").expect_ztunnel)


def test_living_B6_a_ztunnel_that_crashes_says_so() -> None:
    def change(pod: Body) -> None:
        for one in pod["status"]["containerStatuses"]:
            one.update(state=CRASHES, ready=False)
        pod["status"]["conditions"] = [
            one | {"status": "False"} if one["type"] == "Ready" else one
            for one in pod["status"]["conditions"]
        ]

    kube = flat()
    kube.change("pods", "ztunnel", change)
    message = fails(in_ambient(kube, "ambient").expect_ztunnel)
    assert "does not start" in message
    assert "CrashLoopBackOff: back-off 40s" in message


def test_living_B6_pods_that_are_not_captured_are_named_by_workload() -> None:
    kube = flat()
    kube.change("pods", "reviews-v1", lambda pod: pod["metadata"].update(annotations={}))
    message = fails(in_ambient(kube, "ambient").expect_captured)
    assert "1 of 7 pods that ask for ambient mode" in message
    assert "Deployment flat/reviews-v1 has no such annotation, for " in message


def test_a_waypoint_whose_pods_crash_is_noticed_although_it_is_programmed() -> None:
    kube = flat("ambient/waypoint-crashes")
    holds(in_ambient(kube, "waypoints").expect_named)
    message = fails(in_ambient(kube, "waypoints").expect_endpoints)
    assert "endpoints of waypoint flat/waypoint: expected at least one ready" in message
    assert "pod flat/waypoint-" in message


@pytest.mark.parametrize("kind", ["namespaces", "services", "pods"])
def test_a_waypoint_that_is_named_and_not_there_is_noticed(kind: str) -> None:
    kube, name = flat(), "flat" if kind == "namespaces" else "ratings"

    def change(body: Body) -> None:
        body["metadata"].setdefault("labels", {})["istio.io/use-waypoint"] = "nowhere"

    kube.change(kind, name, change)
    message = fails(in_ambient(kube, "waypoints").expect_named)
    assert "names flat/nowhere: no such Gateway" in message


def policy(kube: Replay, namespace: str = "flat", **body: Any) -> None:
    meta = {"name": "p", "namespace": namespace}
    kube.add("authorizationpolicies.security.istio.io", {"metadata": meta, **body})


GET_ONLY = {"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}
AT_RATINGS = {"targetRefs": [{"kind": "Service", "group": "", "name": "ratings"}]}


def test_a_policy_that_needs_a_waypoint_and_has_none_is_noticed() -> None:
    kube = flat()
    policy(kube, spec=AT_RATINGS | GET_ONLY)
    message = fails(in_ambient(kube, "waypoints").expect_policies)
    assert (
        "AuthorizationPolicy flat/p: it is for Service ratings, which uses no waypoint" in message
    )
    kube.change("namespaces", "flat", lambda n: n["metadata"]["labels"].update(USES))
    holds(in_ambient(kube, "waypoints").expect_policies)


USES = {"istio.io/use-waypoint": "waypoint"}


def test_a_policy_about_http_is_not_ztunnels() -> None:
    kube = flat()
    policy(kube, spec=GET_ONLY)
    message = fails(in_ambient(kube, "waypoints").expect_policies)
    assert "ztunnel knows nothing of HTTP (methods)" in message


def test_what_istiod_says_of_a_policy_is_believed() -> None:
    kube, words = flat(), "ztunnel does not support HTTP attributes (found: methods)"
    entries = [condition("ZtunnelAccepted", "False", "UnsupportedValue", words)]
    policy(kube, spec=GET_ONLY, status={"conditions": entries})
    message = fails(in_ambient(kube, "waypoints").expect_policies)
    assert (
        f"ZtunnelAccepted is False, it lets nobody in by them, UnsupportedValue: {words}"
        in message
    )


@pytest.mark.parametrize(
    ("action", "effect"), [("ALLOW", "it lets nobody in by them"), ("DENY", "it denies nothing")]
)
def test_a_condition_that_is_true_of_something_else_is_no_pass(action: str, effect: str) -> None:
    kube, words = flat(), "ztunnel does not support HTTP attributes (found: methods)"
    entries = [condition("ZtunnelAccepted", "True", "UnsupportedValue", words)]
    policy(kube, spec={"action": action, **GET_ONLY}, status={"conditions": entries})
    message = fails(in_ambient(kube, "waypoints").expect_policies)
    assert f"ZtunnelAccepted is True, {effect}, UnsupportedValue: {words}" in message


def test_a_policy_for_sidecars_is_nobodys_business_here() -> None:
    kube = flat()
    entries = [condition("ZtunnelAccepted", "False")]
    policy(kube, "plain", spec=GET_ONLY, status={"conditions": entries})
    with pytest.raises(NotTested, match="no policy"):
        in_ambient(kube, "waypoints").expect_policies()
    policy(kube, spec={"rules": [{"from": [{"source": {"namespaces": ["flat"]}}]}]})
    holds(in_ambient(kube, "waypoints").expect_policies)
