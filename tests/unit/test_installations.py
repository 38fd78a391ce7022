"""Installations other than the unnamed demo profile: a revision with its tag, Helm's charts."""

from __future__ import annotations

from typing import cast

import pytest

from fixtures.claims import ClaimFailed, NotApplicable
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.releases import Expected, expected
from fixtures.istio.webhooks import Webhooks
from fixtures.k8s import Kube
from tests.unit.states import recorded

BY_ISTIOCTL = expected("1.29.6", "1.34.4", ["1.34.4"])
CANARY = BY_ISTIOCTL.revised("canary")
BY_HELM = BY_ISTIOCTL.without(frozenset({"istio-egressgateway", "istiod-revision-tag-default"}))

INSTALLATIONS = [
    pytest.param("revision/injected", CANARY, id="a revision"),
    pytest.param("helm/injected", BY_HELM, id="Helm"),
]


def plane(state: str, rows: Expected) -> ControlPlane:
    return ControlPlane(cast("Kube", recorded(state)), rows)


@pytest.mark.parametrize(("state", "rows"), INSTALLATIONS)
def test_istiod_is_found_and_whole(state: str, rows: Expected) -> None:
    mesh = plane(state, rows)
    mesh.expect_rolled_out("istiod")
    mesh.expect_services_of("istiod")
    mesh.expect_images()
    assert mesh.pods(mesh.component("istiod"))
    assert len(mesh.restarts()) == len(rows.components)


def test_the_version_label_is_istioctls() -> None:
    plane("revision/injected", CANARY).expect_version_labels()
    with pytest.raises(NotApplicable, match="not installed by istioctl"):
        plane("helm/injected", BY_HELM).expect_version_labels()


@pytest.mark.parametrize(("state", "rows"), INSTALLATIONS)
def test_its_webhooks_lead_to_it(state: str, rows: Expected) -> None:
    webhooks = Webhooks(cast("Kube", recorded(state)), rows, "x", {"istio-injection": "enabled"})
    webhooks.expect_one_match()
    webhooks.expect_target("mutating")
    webhooks.expect_target("validating")
    webhooks.expect_endpoints()
    webhooks.expect_bundle("validating")


def test_the_configurations_of_a_revision_carry_its_name() -> None:
    webhooks = Webhooks(cast("Kube", recorded("revision/injected")), CANARY, "x")
    webhooks.expect_configurations("mutating")
    webhooks.expect_configurations("validating")


def test_webhooks_of_another_revision_are_not_its_own() -> None:
    kube = cast("Kube", recorded("revision/injected"))
    with pytest.raises(ClaimFailed, match="none in any configuration"):
        Webhooks(kube, BY_ISTIOCTL.revised("stable"), "x").registered("mutating")


def test_pods_are_expected_to_name_the_revision() -> None:
    assert CANARY.annotations_left({}, ["app"])["istio.io/rev"] == "canary"
    assert BY_ISTIOCTL.annotations_left({}, ["app"])["istio.io/rev"] == "default"
