"""The node agent of Istio's CNI plugin: what is installed of it, and what pods are without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.providers.embedded.istio.install import objects
from fixtures.providers.embedded.istio.installation import Installation, installation
from tests.embedded.small import NAMESPACE, Body, Small, in_a_loop, small

CNI = "components.cni.enabled=true"
NAMES = {
    *(("ServiceAccount", "istio-cni"), ("ConfigMap", "istio-cni-config")),
    *(("ClusterRole", "istio-cni"), ("ClusterRoleBinding", "istio-cni")),
    *(("ClusterRole", "istio-cni-repair-role"), ("DaemonSet", "istio-cni-node")),
    ("ClusterRoleBinding", "istio-cni-repair-rolebinding"),
}


def of_cni(of: Installation) -> dict[tuple[str, str], Body]:
    made = (body for _, body in objects(of))
    return {
        (body["kind"], body["metadata"]["name"]): body
        for body in made
        if "istio-cni" in body["metadata"]["name"]
    }


def node_agent(version: str, by: str = "istioctl") -> Body:
    body = of_cni(installation(version, by, [CNI]))["DaemonSet", "istio-cni-node"]
    spec: Body = body["spec"]["template"]["spec"]
    return spec


def agent(version: str, by: str = "istioctl") -> Body:
    [container] = node_agent(version, by)["containers"]
    made: Body = container
    return made


@pytest.mark.parametrize("minor", range(13, 33))
@pytest.mark.parametrize("by", ["istioctl", "helm"])
def test_with_cni_its_agent_is_installed_and_else_nothing_of_it(minor: int, by: str) -> None:
    version = f"1.{minor}.0"
    found = of_cni(installation(version, by, [CNI]))
    assert set(found) == NAMES
    assert of_cni(installation(version, by)) == {}
    assert not [text for text in map(json.dumps, found.values()) if "$" in text]
    made = found["DaemonSet", "istio-cni-node"]
    assert made["metadata"]["namespace"] == "istio-system"
    labels = made["metadata"]["labels"]
    assert labels["release"] == ("istio" if by == "istioctl" else "istio-cni")
    assert ("operator.istio.io/version" in labels) == (by == "istioctl")
    annotations = made["metadata"].get("annotations", {})
    assert annotations.get("meta.helm.sh/release-name") == ("istio-cni" if by == "helm" else None)
    assert agent(version, by)["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8000}


# What the chart of each release renders, where one differs from that before.
@pytest.mark.parametrize(
    ("version", "seen"),
    [
        ("1.13.9", {"probed": True, "args": [], "privileged": False, "added": 0, "grace": 5}),
        ("1.14.0", {"probed": False, "args": [], "privileged": False, "added": 0, "grace": 5}),
        ("1.20.8", {"args": ["default:info"], "privileged": False, "added": 0, "grace": 5}),
        ("1.21.0", {"args": ["default:info,cni:info"], "privileged": True, "added": 0}),
        ("1.22.0", {"args": ["default:info,cni:info"], "privileged": True, "added": 3}),
        ("1.24.0", {"args": ["info"], "privileged": False, "added": 4, "grace": 5}),
        ("1.24.2", {"added": 5, "grace": 5}),
        ("1.29.0", {"added": 5, "grace": 30, "args": ["info"], "probed": False}),
    ],
)
def test_the_agent_is_that_of_the_release(version: str, seen: dict[str, Any]) -> None:
    container, spec = agent(version), node_agent(version)
    security = container["securityContext"]
    known = {
        "probed": "livenessProbe" in container,
        "args": [one.partition("=")[2] for one in container.get("args", ())],
        "privileged": security["privileged"],
        "added": len(security.get("capabilities", {}).get("add", ())),
        "grace": spec["terminationGracePeriodSeconds"],
    }
    assert {name: known[name] for name in seen} == seen


def test_by_helm_it_logs_more_until_istioctl_leaves_it_alone() -> None:
    assert agent("1.20.8", "helm")["args"] == ["--log_output_level=default:info,cni:info"]
    assert agent("1.23.0", "helm")["args"] == agent("1.23.0")["args"]


@pytest.mark.parametrize(
    ("version", "excluded", "level", "address"),
    [
        ("1.14.6", ["istio-system", "kube-system"], "info", None),
        ("1.20.8", ["istio-system", "kube-system"], "debug", None),
        ("1.22.1", ["kube-system"], "debug", "__CNI_EVENT_ADDRESS__"),
    ],
)
def test_older_plugins_are_given_a_file(
    version: str, excluded: list[str], level: str, address: str | None
) -> None:
    found = of_cni(installation(version, settings=[CNI]))["ConfigMap", "istio-cni-config"]
    reported = json.loads(found["data"]["cni_network_config"])
    assert reported["kubernetes"]["exclude_namespaces"] == excluded
    assert (reported["log_level"], reported.get("cni_event_address")) == (level, address)
    given = {one["name"]: one for one in agent(version)["env"]}["CNI_NETWORK_CONFIG"]
    key = {"name": "istio-cni-config", "key": "cni_network_config"}
    assert given["valueFrom"] == {"configMapKeyRef": key}


def test_newer_agents_are_given_their_environment() -> None:
    found = of_cni(installation("1.31.0", settings=[CNI]))["ConfigMap", "istio-cni-config"]
    assert found["data"]["CURRENT_AGENT_VERSION"] == "1.31.0"
    assert set(map(type, found["data"].values())) == {str}
    assert agent("1.31.0")["envFrom"] == [{"configMapRef": {"name": "istio-cni-config"}}]


def test_what_is_not_done_of_it_is_reported() -> None:
    [reported] = installation("1.31.0", settings=[CNI]).simulated
    assert reported.startswith("istio-cni-node: ")
    assert "no CNI configuration" in reported
    assert installation("1.31.0").simulated == ()


# What it does


def daemon() -> Body:
    labels = {"k8s-app": "istio-cni-node"}
    container = {
        "name": "install-cni",
        "image": "docker.io/istio/install-cni:1.31.0",
        "command": ["install-cni"],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8000}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "istio-cni-node"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def injected(name: str) -> Body:
    looks = {
        "name": "istio-validation",
        "image": "docker.io/istio/proxyv2:1.31.0",
        "args": ["istio-iptables", "--run-validation", "--skip-rule-apply"],
    }
    waits = {"name": "one", "image": "registry.k8s.io/pause:3.10"}
    metadata = {"name": name, "labels": {"app": name}}
    spec = {"initContainers": [looks], "containers": [waits]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def validation(home: Small, name: str) -> Body:
    status = home.api.get("pods", name, NAMESPACE).get("status", {})
    statuses = status.get("initContainerStatuses") or [{}]
    state: Body = statuses[0].get("state", {}) | statuses[0].get("lastState", {})
    return state


@in_a_loop
async def test_a_pod_starts_where_the_agent_runs(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(daemon())
        await home.until(lambda: home.ready_pods("k8s-app=istio-cni-node"))
        await home.apply(injected("one"))
        await home.until(lambda: home.ready_pods("app=one"))
        assert validation(home, "one")["terminated"]["exitCode"] == 0


@in_a_loop
async def test_without_the_agent_no_injected_pod_starts_until_it_is_there(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(injected("one"))
        failed = await home.until(lambda: validation(home, "one").get("terminated"))
        assert failed["exitCode"] == 126
        pod = home.api.get("pods", "one", NAMESPACE)
        log = home.kubelet.log(pod, "istio-validation", previous=False)
        assert log
        assert "no agent of Istio's CNI plugin" in "".join(line.text for line in log.lines())
        await home.apply(daemon())
        await home.until(lambda: home.ready_pods("app=one"))


@in_a_loop
async def test_an_agent_that_has_gone_prepares_nothing_any_more(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(daemon())
        await home.until(lambda: home.ready_pods("k8s-app=istio-cni-node"))
        await home.api.delete("daemonsets.apps", "istio-cni-node", NAMESPACE)
        await home.until(lambda: not home.pods("k8s-app=istio-cni-node"))
        await home.apply(injected("one"))
        failed = await home.until(lambda: validation(home, "one").get("terminated"))
        assert failed["exitCode"] == 126


@in_a_loop
async def test_it_answers_its_probes_and_nothing_else(tmp_path: Path) -> None:
    body = daemon()
    [container] = body["spec"]["template"]["spec"]["containers"]
    container["readinessProbe"]["httpGet"]["path"] = "/nobody"
    async with small(tmp_path) as home:
        await home.apply(body)
        reported = await home.until(lambda: home.events("Unhealthy"))
    assert "statuscode: 404" in reported[0]
