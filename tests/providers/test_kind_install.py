"""Istio is installed as the documentation says, and a failure names who is not ready, and why."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.version import Version

from fixtures.providers.base import MESH, HostNotFit, ProvisioningFailed
from fixtures.providers.existing.planes import Plane, Planes
from fixtures.providers.kind import Kind
from fixtures.providers.kind.installing import (
    AMBIENT_CHARTS,
    CHARTS,
    Installation,
    _as_helm,
    install,
)
from tests.providers.fake_tools import INSTALL, KUBE, FakeTools
from tests.providers.kinds import found, left, machine, provider

__all__ = ["machine"]
PODS = KUBE + r"--namespace=istio-system get pods --output=json"
ROLLED_OUT = KUBE + r"--namespace=istio-system rollout status deployment/istio-\w+ --timeout=300s"
EVENTS = KUBE + r"--namespace=istio-system get events --output=json"


def pod(name: str, **status: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "status": status}


def waiting(reason: str, message: str = "") -> list[dict[str, object]]:
    return [{"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}]


UNREADY = [
    pytest.param(
        pod("istiod-1", containerStatuses=waiting("ImagePullBackOff", "Back-off pulling x")),
        "istiod-1: ImagePullBackOff: Back-off pulling x",
        id="image",
    ),
    pytest.param(
        pod("istiod-1", containerStatuses=waiting("CrashLoopBackOff")),
        "istiod-1: CrashLoopBackOff: error: no certificate",
        id="crash",
    ),
    pytest.param(
        pod(
            "istiod-1",
            conditions=[
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes: 1 Insufficient cpu.",
                }
            ],
        ),
        "istiod-1: Unschedulable: 0/1 nodes: 1 Insufficient cpu.",
        id="no room",
    ),
    pytest.param(
        pod("istiod-1", phase="Pending", containerStatuses=waiting("ContainerCreating")),
        "istiod-1: FailedMount: no such volume",
        id="event",
    ),
]


@pytest.mark.parametrize(("body", "words"), UNREADY)
def test_a_failure_names_the_component_and_the_cause(
    machine: FakeTools, body: dict[str, object], words: str
) -> None:
    event = {
        "type": "Warning",
        "reason": "FailedMount",
        "message": "no such volume",
        "involvedObject": {"kind": "Pod", "name": "istiod-1"},
    }
    machine.answer(
        (INSTALL, {"code": 1, "says": "Error: failed to install manifests"}),
        (PODS, {"says": json.dumps({"items": [body]})}),
        (EVENTS, {"says": json.dumps({"items": [event]})}),
        (KUBE + r".* logs istiod-1 .*", {"says": "error: no certificate"}),
        (KUBE + r"--namespace=istio-system logs .*", {"says": "error: no certificate"}),
    )
    with pytest.raises(ProvisioningFailed, match=words) as raised, provider(machine).provide():
        pass
    assert "istioctl-install.log" in str(raised.value)
    assert machine.clusters == {}
    assert left(machine) == []


def test_where_no_pod_reports_istioctl_does(machine: FakeTools) -> None:
    machine.answer(
        (INSTALL, {"code": 1, "says": "Error: unknown field hubb"}),
        (PODS, {"says": "garbage"}),
        (EVENTS, {"code": 1}),
    )
    with (
        pytest.raises(ProvisioningFailed, match="Error: unknown field hubb"),
        provider(machine).provide(),
    ):
        pass


def test_the_users_settings_are_passed_on(machine: FakeTools, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("global: {hub: private.example/istio}\n")
    how = Installation(settings=("hub=private.example", "tag=x"), values=values)
    with provider(machine, how=how).provide() as access:
        wrapped = (access.kubeconfig.parent / "istio-operator.yaml").read_text()
    [call] = machine.calls("istioctl install")
    assert call.endswith("--set hub=private.example --set tag=x")
    assert "-f " in call
    assert "kind: IstioOperator" in wrapped
    assert "hub: private.example/istio" in wrapped


def test_values_that_are_no_yaml_are_refused_before_anything_is_made(
    machine: FakeTools, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("a: [")
    how = Installation(values=values)
    with pytest.raises(HostNotFit, match="cannot be read"), provider(machine, how=how).provide():
        pass
    assert not machine.calls("kind create")


def test_a_revision_of_the_users_is_reported(
    machine: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = replace(found(hidden=False), planes=Planes(Plane(MESH, "canary"), default=True))
    monkeypatch.setattr(Kind, "_found", lambda *_, hidden: canary)
    how = Installation(settings=("revision=canary",))
    with provider(machine, how=how).provide() as access:
        assert access.revision == "canary"


def have_helm(machine: FakeTools) -> None:
    helm = machine.home / "bin" / "helm"
    helm.write_bytes((machine.home / "script").read_bytes())
    helm.chmod(0o755)
    for _, chart in {*CHARTS, *AMBIENT_CHARTS}:
        (machine.istio / "manifests" / "charts" / chart).mkdir(parents=True)


def test_helm_installs_the_four_charts_in_their_order(machine: FakeTools) -> None:
    have_helm(machine)
    machine.answer((r"helm upgrade --install .*", {}), (ROLLED_OUT, {}))
    how = Installation(by="helm", settings=("hub=private.example", "values.pilot.x=1"))
    with provider(machine, how=how).provide() as access:
        assert "egress-gateway" in access.features
        assert "default-tag" not in access.features
    calls = machine.calls("helm")
    assert [call.split()[3] for call in calls] == [release for release, _ in CHARTS]
    end = "--set profile=demo --set global.hub=private.example --set pilot.x=1"
    assert all(call.endswith(end) for call in calls)
    # A load balancer's address never comes in kind, and Helm would wait for it.
    assert ["--wait" in call for call in calls] == [True, True, False, False]
    waited = [call.split("deployment/")[1].split()[0] for call in machine.calls("kubectl -")[1:3]]
    assert waited == ["istio-ingressgateway", "istio-egressgateway"]


def test_ambient_mode_is_installed_by_its_profile_and_then_expected(machine: FakeTools) -> None:
    machine.answer((INSTALL.replace("demo", "ambient"), {}))
    with provider(machine, how=Installation(profile="ambient")).provide() as access:
        assert access.data_plane == "ambient"
        assert access.has("ambient")
        assert access.has("ambient-traffic")
        assert not access.has("sidecars")
    [call] = machine.calls("istioctl install")
    assert "--set profile=ambient -y" in call


def test_helm_installs_ambient_mode_without_gateways(machine: FakeTools) -> None:
    have_helm(machine)
    machine.answer((r"helm upgrade --install .*", {}))
    how = Installation(by="helm", profile="ambient")
    with provider(machine, how=how).provide():
        pass
    calls = machine.calls("helm")
    assert [call.split()[3] for call in calls] == ["istio-base", "istiod", "istio-cni", "ztunnel"]
    assert all("--set profile=ambient" in call and "--wait" in call for call in calls)
    assert not [call for call in machine.calls("kubectl -") if "rollout" in call]


@pytest.mark.parametrize(("istio", "reported"), [("1.20.8", False), ("1.21.0", True)])
def test_helm_is_given_a_profile_where_the_charts_know_one(
    istio: str,
    reported: bool,  # noqa: FBT001 - a row's input
) -> None:
    typed: list[str] = []

    def run(_: str, command: list[Any], **__: float) -> SimpleNamespace:
        typed.append(" ".join(map(str, command)))
        return SimpleNamespace(code=0)

    runner: Any = SimpleNamespace(run=run)
    tools: Any = SimpleNamespace(istio_version=istio, istio=Path("istio"), kubectl="kubectl")
    mine: Any = SimpleNamespace(kubeconfig="here", context="kind", kubectl=lambda tool: [tool])
    install(Installation(by="helm"), runner, tools, mine)
    charts = [line for line in typed if line.startswith("helm")]
    assert ["profile=demo" in line for line in charts] == [reported] * len(CHARTS)


def test_with_cni_helm_is_configured_so_and_installs_its_chart(machine: FakeTools) -> None:
    have_helm(machine)
    machine.answer((r"helm upgrade --install .*", {}), (ROLLED_OUT, {}))
    how = Installation(by="helm", settings=("components.cni.enabled=true",))
    with provider(machine, how=how).provide():
        pass
    calls = machine.calls("helm")
    made = [call.split()[3] for call in calls]
    gateways = ["istio-ingressgateway", "istio-egressgateway"]
    assert made == ["istio-base", "istiod", "istio-cni", *gateways]
    assert all(call.endswith("--set pilot.cni.enabled=true") for call in calls)
    assert "--wait" in calls[2]


def test_before_the_chart_of_cni_is_made_it_is_looked_for(machine: FakeTools) -> None:
    have_helm(machine)
    (machine.istio / "manifests" / "charts" / "istio-cni").rmdir()
    how = Installation(by="helm", settings=("components.cni.enabled=true",))
    with (
        pytest.raises(HostNotFit, match="there is no chart manifests/charts/istio-cni"),
        provider(machine, how=how).provide(),
    ):
        pass
    assert not machine.calls("kind create")


@pytest.mark.parametrize(
    ("setting", "version", "printed"),
    [
        ("components.cni.enabled=true", "1.22", "pilot.cni.enabled=true"),
        ("components.cni.enabled=true", "1.21", "istio_cni.enabled=true"),
        ("values.pilot.cni.enabled=true", "1.31", "pilot.cni.enabled=true"),
        ("values.istio_cni.enabled=true", "1.20", "istio_cni.enabled=true"),
    ],
    ids=["component", "older-component", "value", "older-value"],
)
def test_cni_is_reported_in_helms_words(setting: str, version: str, printed: str) -> None:
    assert _as_helm(setting, Version(version)) == printed


@pytest.mark.parametrize(
    ("settings", "text", "charts"),
    [
        ((), "pilot: {cni: {enabled: true}}", 5),
        ((), "istio_cni: {enabled: true}", 5),
        ((), "pilot: {cni: {enabled: false}}", 4),
        (("components.cni.enabled=false",), "pilot: {cni: {enabled: true}}", 4),
        (("values.istio_cni.enabled=true",), "", 5),
        ((), "pilot: here", 4),
    ],
    ids=["newer-value", "older-value", "off", "a-setting-counts-more", "setting", "no-mapping"],
)
def test_the_chart_of_cni_is_there_where_it_is_requested(
    tmp_path: Path, settings: tuple[str, ...], text: str, charts: int
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(text)
    how = Installation(by="helm", settings=settings, values=values)
    assert len(how.charts) == charts


def test_a_gateway_that_helm_made_and_that_does_not_start_is_named(machine: FakeTools) -> None:
    have_helm(machine)
    unready = pod("istio-ingressgateway-1", containerStatuses=waiting("ErrImagePull", "no such"))
    machine.answer(
        (r"helm upgrade --install .*", {}),
        (ROLLED_OUT, {"code": 1, "says": "error: timed out waiting for the condition"}),
        (PODS, {"says": json.dumps({"items": [unready]})}),
        (EVENTS, {"says": "{}"}),
    )
    with (
        pytest.raises(ProvisioningFailed, match="istio-ingressgateway-1: ErrImagePull: no such"),
        provider(machine, how=Installation(by="helm")).provide(),
    ):
        pass
    assert left(machine) == []


def test_without_helm_it_is_reported_before_anything_is_made(machine: FakeTools) -> None:
    how = Installation(by="helm")
    with (
        pytest.raises(HostNotFit, match="no helm on the PATH"),
        provider(machine, how=how).provide(),
    ):
        pass
    assert not machine.calls("kind create")
