"""Ambient mode as the embedded cluster shows it: capture, ztunnel's pages, waypoints."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import SETTLED
from fixtures.claims.waiting import eventually
from fixtures.k8s import Kube
from fixtures.providers.base import Access
from fixtures.providers.embedded.istio.install import objects
from fixtures.providers.embedded.istio.installation import CannotSimulate, installation
from tests.embedded.conftest import started
from tests.recordings import BY_HAND, state_of

Body = dict[str, Any]
VERSIONS = ("--istio-version", "1.31.0", "--kube-version", "1.36.0")
MESH, MODE, REDIRECTION = (
    *("istio-system", "istio.io/dataplane-mode"),
    "ambient.istio.io/redirection",
)
NOWHERE = {"spec": {"template": {"spec": {"nodeSelector": {"none": "x"}}}}}
EVERYWHERE = {"spec": {"template": {"spec": {"nodeSelector": {"none": None}}}}}
REAL = BY_HAND["ambient"]


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """A mesh in ambient mode."""
    home = tmp_path_factory.mktemp("ambient")
    options = (*VERSIONS, "--mesh", "ambient", "--gateway-api", "--termination-seconds", "0.1")
    with started(home, *options) as cluster:
        where = cluster.kubeconfig, cluster.ready["context"], None
        versions = VERSIONS[1], VERSIONS[3]
        access = Access(*where, "rehearsal", "embedded", *versions, hooks=True)
        with contextlib.closing(Kube.connect(access)) as kube:
            yield kube


@contextlib.contextmanager
def namespace(kube: Kube, name: str, **labels: str) -> Iterator[str]:
    labels = {key.replace("_", "-"): value for key, value in labels.items()}
    marks = {f"istio.io/{key}": value for key, value in labels.items()}
    kube.create("namespaces", {"metadata": {"name": name, "labels": marks}})
    eventually(lambda: kube.get("serviceaccounts", "default", name), within=SETTLED)
    try:
        yield name
    finally:
        kube.delete("namespaces", name)


def pod(kube: Kube, where: str, name: str = "one", mode: str = "", **spec: Any) -> None:
    waits = {"name": "app", "image": "registry.k8s.io/pause:3.10"}
    metadata = {"name": name, "labels": {MODE: mode} if mode else {}}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    kube.create("pods", {**body, "spec": {"containers": [waits], **spec}}, where)


def noted(kube: Kube, where: str, name: str = "one") -> tuple[str, str]:
    """A pod's phase, and how far its capture is."""
    body = kube.get("pods", name, where)
    annotations = body["metadata"].get("annotations") or {}
    return body["status"]["phase"], annotations.get(REDIRECTION, "")


def becomes(wanted: object, probe: Callable[[], object]) -> None:
    def must() -> None:
        if (got := probe()) != wanted:
            raise ClaimFailed("it", expected=wanted, got=got)

    eventually(must, within=SETTLED)


def page(kube: Kube, port: int, path: str) -> Any:
    """A page of the newest ztunnel."""
    pods = kube.list("pods", MESH, labels="app=ztunnel")
    name = max(pods, key=lambda one: one["metadata"]["creationTimestamp"])["metadata"]["name"]
    with kube.forward(name, MESH, port) as opened:
        return opened.get(path)


def dump(kube: Kube) -> Body:
    found: Body = page(kube, 15000, "/config_dump").json
    return found


def served(kube: Kube, where: str) -> set[str]:
    """The pods of a namespace that ztunnel serves, by its own dump."""
    infos = [one["info"] for one in dump(kube)["workloadState"].values()]
    return {one["name"] for one in infos if one["namespace"] == where}


def test_a_pod_that_asks_is_captured_and_no_other(kube: Kube) -> None:
    with namespace(kube, "asks", dataplane_mode="ambient") as where:
        pod(kube, where)
        pod(kube, where, "not", mode="none")
        pod(kube, where, "host", hostNetwork=True)
        becomes(("Running", "enabled"), lambda: noted(kube, where))
        becomes(("Running", ""), lambda: noted(kube, where, "not"))
        becomes(("Running", ""), lambda: noted(kube, where, "host"))
        becomes({"one"}, lambda: served(kube, where))
        protocols = {w["name"]: w["protocol"] for w in dump(kube)["workloads"]}
        assert [protocols[name] for name in ("one", "not", "host")] == ["HBONE", "TCP", "TCP"]


def test_a_running_pod_is_taken_in_and_let_go_with_its_namespaces_label(kube: Kube) -> None:
    with namespace(kube, "joins") as where:
        pod(kube, where)
        becomes(("Running", ""), lambda: noted(kube, where))
        before = kube.get("pods", "one", where)["status"]["containerStatuses"]
        for mode, word in (("ambient", "enabled"), (None, "")):
            kube.patch("namespaces", where, None, {"metadata": {"labels": {MODE: mode}}})
            becomes(("Running", word), lambda: noted(kube, where))  # used at once
            becomes({"one"} if word else set(), lambda: served(kube, where))
        assert kube.get("pods", "one", where)["status"]["containerStatuses"] == before


@pytest.mark.parametrize(
    ("lacking", "word", "why"),
    [("ztunnel", "pending", "no ztunnel connection"), ("istio-cni-node", "", "Unauthorized")],
)
def test_a_pod_that_begins_waits_for_both(kube: Kube, lacking: str, word: str, why: str) -> None:
    with namespace(kube, f"waits-{lacking}", dataplane_mode="ambient") as where:
        pod(kube, where, "old")
        becomes(("Running", "enabled"), lambda: noted(kube, where, "old"))
        kube.patch("daemonsets.apps", lacking, MESH, NOWHERE)
        try:
            label = "app=ztunnel" if lacking == "ztunnel" else "k8s-app=istio-cni-node"
            becomes([], lambda: kube.list("pods", MESH, labels=label))
            pod(kube, where)
            becomes(("Pending", word), lambda: noted(kube, where))
            events = kube.list("events", where)
            [said] = [e["message"] for e in events if e["reason"] == "FailedCreatePodSandBox"]
            assert why in said
            assert noted(kube, where, "old") == ("Running", "enabled")
        finally:
            kube.patch("daemonsets.apps", lacking, MESH, EVERYWHERE)
        becomes(("Running", "enabled"), lambda: noted(kube, where))
        becomes({"old", "one"}, lambda: served(kube, where))


def test_ztunnels_pages_have_no_field_that_a_real_one_has_not(kube: Kube) -> None:
    with namespace(kube, "pages", dataplane_mode="ambient") as where:
        pod(kube, where)
        becomes({"one"}, lambda: served(kube, where))
        ours, real = dump(kube), REAL.json("istio/ztunnel-config_dump.json")
        assert set(ours) <= set(real)
        for part in ("workloads", "certificates"):
            [first, *_] = [one for one in real[part] if one.get("protocol", "HBONE") == "HBONE"]
            assert [set(one) - set(first) for one in ours[part]] == [set()] * len(ours[part])
        states = [next(iter(one["workloadState"].values())) for one in (ours, real)]
        assert set(states[0]) == set(states[1])
        assert set(ours["certificates"][0]["certChain"][0]) == set(
            real["certificates"][0]["certChain"][0]
        )
        names = {line.split(" ")[0] for line in page(kube, 15020, "/metrics").body.splitlines()}
        known = REAL.text("istio/ztunnel-metrics.txt").replace("unknown", "1.31.0")
        assert names <= {line.split(" ")[0] for line in known.splitlines()}
        assert not [name for name in names if "connections" in name]
        assert page(kube, 15021, "/healthz/ready").body == "ready\n"


def test_istiod_lists_a_ztunnel_as_a_real_one_does(kube: Kube) -> None:
    [istiod] = kube.list("pods", MESH, labels="app=istiod")
    with kube.forward(istiod["metadata"]["name"], MESH, 15014) as port:
        [ours] = [e for e in port.get("/debug/syncz").json if e["proxy_type"] == "ztunnel"]
    [real] = REAL.json("istio/istiod-syncz.json")
    assert set(ours) == set(real)
    assert set(ours["resources"]) == set(real["resources"])


def test_a_certificate_is_renewed_when_half_of_its_life_is_over(kube: Kube) -> None:
    with namespace(kube, "ends", dataplane_mode="ambient") as where:
        pod(kube, where)
        becomes({"one"}, lambda: served(kube, where))
        for hook, most in ((True, timedelta(hours=1)), (False, timedelta(hours=24))):
            kube.hook("workload-certificate-ends", on=hook)
            [one] = [c for c in dump(kube)["certificates"] if f"/ns/{where}/" in c["identity"]]
            ends = datetime.fromisoformat(one["certChain"][0]["expirationTime"])
            assert most / 2 < ends - datetime.now(UTC) <= most


def test_a_waypoint_is_made_and_bound_as_a_real_one_is(kube: Kube) -> None:
    real = state_of("ambient/waypoint-crashes")
    recorded = next(iter(real["gateway.networking.k8s.io/v1/gateways"]))
    wanted = {"metadata": {"name": "waypoint"}, "spec": recorded["spec"]}
    with namespace(kube, "flat", use_waypoint="waypoint") as where:
        port = {"port": 9080, "name": "http"}
        kube.create(
            "services", {"metadata": {"name": "details"}, "spec": {"ports": [port]}}, where
        )

        def bound() -> tuple[str, str, str]:
            conditions = kube.get("services", "details", where)["status"].get("conditions") or [{}]
            found: tuple[str, str, str] = tuple(
                conditions[0].get(key, "") for key in ("status", "reason", "message")
            )
            return found

        becomes(("False", "WaypointIsNotReady", 'waypoint "flat/waypoint" is not ready'), bound)
        gateways = "gateways.gateway.networking.k8s.io"
        kube.create(gateways, {"apiVersion": "gateway.networking.k8s.io/v1", **wanted}, where)
        attached = "Successfully attached to waypoint flat/waypoint"
        becomes(("True", "WaypointAccepted", attached), bound)
        ours = kube.get(gateways, "waypoint", where)["status"]
        assert kinds(ours["conditions"]) == kinds(recorded["status"]["conditions"])
        assert [one["type"] for one in ours["addresses"]] == ["IPAddress", "Hostname"]
        [listener], [theirs] = ours["listeners"], recorded["status"]["listeners"]
        assert kinds(listener["conditions"]) == kinds(theirs["conditions"])
        assert listener["supportedKinds"] == theirs["supportedKinds"] == []
        for plural in ("apps/v1/deployments", "v1/services", "v1/serviceaccounts"):
            [model] = [one for one in real[plural] if one["metadata"]["name"] == "waypoint"]
            body = kube.get(
                plural.rpartition("/")[2] + ".apps" * plural.startswith("apps"), "waypoint", where
            )
            assert body["metadata"]["labels"] == model["metadata"]["labels"]
            if plural == "apps/v1/deployments":
                assert args(body) == args(model)
                assert template(body)["labels"] == template(model)["labels"]
        becomes(
            1,
            lambda: kube.get("deployments.apps", "waypoint", where)["status"].get("readyReplicas"),
        )


def kinds(conditions: list[Body]) -> list[tuple[str, ...]]:
    return sorted((c["type"], c["status"], c["reason"], c["message"]) for c in conditions)


def args(deployment: Body) -> list[str]:
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    found: list[str] = container["args"]
    return found


def template(deployment: Body) -> Body:
    found: Body = deployment["spec"]["template"]["metadata"]
    return found


@pytest.mark.parametrize("minor", range(24, 33))
@pytest.mark.parametrize("by", ["istioctl", "helm"])
def test_each_release_installs_it_whole(minor: int, by: str) -> None:
    made = [body for _, body in objects(installation(f"1.{minor}.0", by, ["profile=ambient"]))]
    [values] = [
        m["data"]["values"]
        for m in made
        if "sidecar-injector" in m["metadata"]["name"] and m["kind"] == "ConfigMap"
    ]
    assert json.loads(values)["pilot"]["cni"]["enabled"] is (by == "istioctl")
    sets = {one["metadata"]["name"] for one in made if one["kind"] == "DaemonSet"}
    deployments = {one["metadata"]["name"] for one in made if one["kind"] == "Deployment"}
    assert (sets, deployments) == ({"istio-cni-node", "ztunnel"}, {"istiod"})


def test_a_release_before_it_was_stable_is_refused() -> None:
    with pytest.raises(CannotSimulate, match=r"ambient mode since Istio 1\.24, not 1\.23\.6"):
        installation("1.23.6", settings=["profile=ambient"])


def test_with_a_gateway_of_istios_own_there_is_one() -> None:
    asked = ["profile=ambient", "components.ingressGateways[0].enabled=true"]
    of = installation("1.31.0", settings=asked)
    assert "ingress-gateway" in of.features
    assert of.absent == {"istio-egressgateway"}
