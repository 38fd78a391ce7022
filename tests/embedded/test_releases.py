"""Where one release of Istio differs from the one before it: what was once simulated wrongly.

The rest is held against what upstream ships (`tests/fidelity`), for the releases that are at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fixtures.providers.embedded.istio.gateway_api import generated
from fixtures.providers.embedded.istio.install import definitions, objects
from fixtures.providers.embedded.istio.installation import (
    Installation,
    facts,
    installation,
    read,
    variables,
)
from tests.embedded.test_gateway_api import gateway

Body = dict[str, Any]

_CNI = ("components.cni.enabled=true",)


def _named(of: Installation, kind: str) -> dict[str, Body]:
    return {
        body["metadata"]["name"]: body for _, body in objects(of) if body["kind"].startswith(kind)
    }


def _injector(version: str, by: str = "istioctl", settings: Sequence[str] = ()) -> Body:
    found: Body = read("values.yaml", installation(version, by, settings))["injector"]
    return found


@pytest.mark.parametrize(
    ("version", "tag"),
    [
        ("1.13.4", "1.16.2"),
        ("1.13.5", "1.16.4"),
        ("1.15.0", "1.16.4"),
        ("1.15.1", "1.17.0"),
        ("1.18.7", "1.17.0"),
        ("1.19.0", "1.18.0"),
        ("1.21.6", "1.18.0"),
        ("1.22.0", "1.19.1"),
        ("1.23.0", "1.20.1"),
        ("1.24.0", "1.20.2"),
        ("1.25.5", "1.20.2"),
        ("1.26.0", "1.20.3"),
    ],
)
def test_the_samples_images_move_with_patches_too(version: str, tag: str) -> None:
    assert facts(installation(version))["sample"]["tag"] == tag


@pytest.mark.parametrize(
    ("version", "reported"),
    [
        ("1.20.7", False),
        ("1.20.8", True),
        ("1.21.3", False),
        ("1.21.4", True),
        ("1.22.1", False),
        ("1.22.2", True),
        ("1.23.0", True),
    ],
)
def test_injection_knows_of_gateways_since_patches_of_three_releases(
    version: str,
    reported: bool,  # noqa: FBT001 - a row's input
) -> None:
    assert ("securityContext" in _injector(version).get("gateways", {})) is reported


@pytest.mark.parametrize(
    ("version", "by", "older", "newer"),
    [
        ("1.21.6", "istioctl", True, None),
        ("1.22.8", "istioctl", True, False),
        ("1.23.6", "istioctl", True, False),
        ("1.23.6", "helm", None, True),
        ("1.24.0", "istioctl", None, True),
    ],
)
def test_the_plugin_is_switched_on_by_the_key_of_the_release(
    version: str, by: str, older: object, newer: object
) -> None:
    values = _injector(version, by, _CNI)
    assert values.get("istio_cni", {}).get("enabled") is older
    assert values.get("pilot", {}).get("cni", {}).get("enabled") is newer


def test_an_operators_state_is_a_column_while_there_is_its_kind() -> None:
    of = {one["spec"]["names"]["kind"]: one for one in definitions(installation("1.20.8"), {})}
    (version,) = of["IstioOperator"]["spec"]["versions"]
    columns = {one["name"]: one["jsonPath"] for one in version["additionalPrinterColumns"]}
    assert columns == {
        "Revision": ".spec.revision",
        "Status": ".status.status",
        "Age": ".metadata.creationTimestamp",
    }


@pytest.mark.parametrize(("version", "marked"), [("1.18.7", False), ("1.19.0", True)])
def test_what_the_default_tag_brings_is_istioctls_own_since_1_19(
    version: str,
    marked: bool,  # noqa: FBT001 - a row's input
) -> None:
    of = installation(version)
    made = _named(of, "Mutating") | _named(of, "Validating")
    managed = {
        name: "operator.istio.io/managed" in o["metadata"]["labels"] for name, o in made.items()
    }
    assert managed == {
        "istio-sidecar-injector": True,
        "istio-validator-istio-system": True,
        "istio-revision-tag-default": marked,
        "istiod-default-validator": marked,
    }


def test_the_filters_of_statistics_are_named_after_their_revision() -> None:
    filters = _named(installation("1.17.8", settings=["revision=canary"]), "EnvoyFilter")
    assert len(filters) == 10
    assert all(name.endswith("-canary") for name in filters)


@pytest.mark.parametrize(
    ("version", "by", "there"),
    [
        ("1.13.0", "istioctl", True),
        ("1.21.6", "helm", False),
        ("1.22.0", "helm", True),
        ("1.31.0", "helm", True),
    ],
)
def test_helms_validator_of_the_revision_came_late(
    version: str,
    by: str,
    there: bool,  # noqa: FBT001 - a row's input
) -> None:
    validators = _named(installation(version, by), "Validating")
    assert ("istio-validator-istio-system" in validators) is there
    assert "istiod-default-validator" in validators


@pytest.mark.parametrize(("version", "groups"), [("1.16.0", 2), ("1.16.1", 4), ("1.31.0", 4)])
def test_helms_default_validator_looked_at_less_at_first(version: str, groups: int) -> None:
    validator = _named(installation(version, "helm"), "Validating")["istiod-default-validator"]
    assert len(validator["webhooks"][0]["rules"][0]["apiGroups"]) == groups
    assert validator["metadata"]["labels"]["release"] == "istio-base"


@pytest.mark.parametrize(
    ("version", "by", "profile"),
    [("1.20.8", "istioctl", "demo"), ("1.20.8", "helm", "default"), ("1.21.0", "helm", "demo")],
)
def test_charts_know_no_profile_at_first(version: str, by: str, profile: str) -> None:
    of = installation(version, by)
    assert of.profile == profile
    assert "istio-egressgateway" in _named(of, "Deployment")
    mesh = _named(of, "ConfigMap")["istio"]["data"]["mesh"]
    assert ("accessLogFile" in mesh) is (profile == "demo")


@pytest.mark.parametrize(("version", "there"), [("1.31.4", True), ("1.32.0", False)])
def test_go_counts_its_threads_itself_since_1_32(
    version: str,
    there: bool,  # noqa: FBT001 - a row's outcome
) -> None:
    of = installation(version, settings=_CNI)
    istiod = _named(of, "Deployment")["istiod"]["spec"]["template"]["spec"]["containers"]
    agents = _named(of, "DaemonSet")["istio-cni-node"]["spec"]["template"]["spec"]["containers"]
    gateways = next(b for b in generated(of, gateway()) if b["kind"] == "Deployment")
    gateways = gateways["spec"]["template"]["spec"]
    entries = [one["env"] for one in (*istiod, *agents, *gateways["containers"])]
    entries.append(variables(read("sidecar.yaml", of)["environment"]))
    assert len(entries) == 4
    found = [any(one["name"] == "GOMAXPROCS" for one in environment) for environment in entries]
    assert found == [there] * 4


def test_a_gateways_pods_say_another_release_than_its_other_objects() -> None:
    gateway = _named(installation("1.31.0", "helm"), "Deployment")["istio-ingressgateway"]
    assert gateway["metadata"]["labels"]["release"] == "istio-ingressgateway"
    assert gateway["spec"]["template"]["metadata"]["labels"]["release"] == "istio"


def test_what_injection_knows_of_tracers_by_helm() -> None:
    assert "tracer" in _injector("1.19.10")["global"]
    assert "tracer" not in _injector("1.19.10", "helm")["global"]
    resources = [
        "resources" in _injector(version, by)["global"]["proxy_init"]
        for version, by in [("1.14.6", "helm"), ("1.15.0", "helm"), ("1.15.0", "istioctl")]
    ]
    assert resources == [True, False, True]
