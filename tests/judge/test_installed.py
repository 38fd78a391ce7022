"""What is expected of an installation, against what upstream's charts render for each release."""

from __future__ import annotations

import pytest

from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.options import read_options
from fixtures.istio.releases import Expected, expected, images, installation
from fixtures.istio.releases.options import MeshOptions
from fixtures.istio.releases.rows import one_for
from fixtures.istio.releases.telemetry import DEFAULT_TRACING, TRACING_PROVIDERS
from fixtures.istio.webhook import KINDS
from fixtures.istio.webhooks import Webhooks
from tests.judge import upstream
from tests.unit.states import FakeKube, as_kube

EACH = pytest.mark.parametrize("version", upstream.VERSIONS)


def rows(version: str) -> Expected:
    """What is expected of a release on a Kubernetes that it supports."""
    kube = str(expected(version, "1.30", ["1.30"]).kubernetes.last)
    return expected(version, kube, [kube])


def plane(version: str) -> tuple[FakeKube, ControlPlane]:
    kube = upstream.installed(version)
    return kube, ControlPlane(as_kube(kube), rows(version))


def webhooks(version: str) -> Webhooks:
    kube = as_kube(upstream.installed(version))
    return Webhooks(kube, rows(version), "x", {"istio-injection": "enabled"})


@EACH
def test_the_workloads_are_those_that_are_rendered(version: str) -> None:
    kube, mesh = plane(version)
    found = {body["metadata"]["name"]: body for body in kube.list("deployments.apps")}
    assert set(mesh.deployments()) == set(found)
    for component in mesh.expected.components:
        labels = found[component.deployment]["spec"]["template"]["metadata"]["labels"]
        chosen = dict(pair.split("=") for pair in component.selector.split(","))
        assert chosen.items() <= labels.items()
    mesh.expect_images()


@EACH
def test_the_hub_is_that_of_the_images(version: str) -> None:
    kube, _ = plane(version)
    hub = one_for(images.HUBS, version).mesh
    for body in kube.list("deployments.apps"):
        for container in body["spec"]["template"]["spec"]["containers"]:
            assert container["image"].rpartition("/")[0] == hub


@EACH
def test_the_services_are_those_that_are_rendered(version: str) -> None:
    kube, mesh = plane(version)
    names = {body["metadata"]["name"] for body in kube.list("services")}
    assert {table.name for table in mesh.expected.services} == names
    for name in ("istiod", "istio-ingressgateway", "istio-egressgateway"):
        mesh.expect_services_of(name)


@EACH
def test_the_disruption_budgets_are_those_that_are_rendered(version: str) -> None:
    plane(version)[1].expect_budgets()


@EACH
def test_the_configurations_and_their_entries_are_those_that_are_rendered(version: str) -> None:
    found = webhooks(version)
    found.expect_configurations("mutating")
    found.expect_configurations("validating")
    kube = upstream.installed(version)
    for work in ("mutating", "validating"):
        there = {body["metadata"]["name"] for body in kube.list(KINDS[work])}
        assert there == {e.configuration for e in found.registered(work)}


@EACH
def test_the_webhooks_are_called_as_expected(version: str) -> None:
    found = webhooks(version)
    found.expect_called_for_pods()
    found.expect_one_match()
    found.expect_failure_policy("mutating")
    found.expect_side_effects("mutating")
    found.expect_target("mutating")
    found.expect_target("validating")


@EACH
def test_the_demo_profile_sets_what_is_taken_for_granted(version: str) -> None:
    read = read_options(as_kube(upstream.installed(version)))
    # Istio 1.13 names no root namespace, and istiod then takes its own.
    assert read == MeshOptions(root_namespace="" if version == "1.13.1" else "istio-system")


@EACH
def test_traces_go_where_they_are_expected_to(version: str) -> None:
    mesh = upstream.facts(version)["mesh_config"]
    zipkin = (mesh["defaultConfig"].get("tracing") or {}).get("zipkin") or {}
    assert one_for(DEFAULT_TRACING, version) == zipkin.get("address", "")
    providers = {provider["name"] for provider in mesh.get("extensionProviders", ())}
    wanted = one_for(TRACING_PROVIDERS, version)
    assert not wanted or wanted in providers
    assert ("jaeger" in providers) == bool(wanted)


def test_a_release_that_serves_another_port_would_be_noticed() -> None:
    kube, mesh = plane("1.27.9")
    kube.change("services", "istiod", lambda s: s["spec"]["ports"][2].update(targetPort=15018))
    with pytest.raises(AssertionError, match="https-webhook 443->15018"):
        mesh.expect_services_of("istiod")


def test_the_names_of_the_demo_profile_are_its_own() -> None:
    deployments = {row.value.deployment for row in installation.COMPONENTS}
    assert deployments == set(upstream.facts("1.31.0-rc.0")["deployments"])
