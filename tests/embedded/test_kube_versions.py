"""What a client sees of the Kubernetes version that is simulated."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from fixtures.providers.embedded import bootstrap
from fixtures.providers.embedded.apiserver import discovery
from fixtures.providers.embedded.apiserver.api import Api
from fixtures.providers.embedded.apiserver.resources import Registry


@pytest.mark.parametrize(
    ("minor", "served"),
    [
        (20, "policy/v1beta1 autoscaling/v1 batch/v1beta1 discovery.k8s.io/v1beta1"),
        (23, "policy/v1 policy/v1beta1 autoscaling/v2 autoscaling/v2beta2 discovery.k8s.io/v1"),
        (24, "discovery.k8s.io/v1beta1 batch/v1beta1 storage.k8s.io/v1beta1"),
        (28, "flowcontrol.apiserver.k8s.io/v1beta3 policy/v1"),
        (35, "resource.k8s.io/v1 flowcontrol.apiserver.k8s.io/v1 networking.k8s.io/v1"),
    ],
)
def test_a_minor_serves_its_groups_in_its_versions(minor: int, served: str) -> None:
    assert set(served.split()) <= _served(minor)


@pytest.mark.parametrize(
    ("minor", "gone"),
    [
        (20, "policy/v1 discovery.k8s.io/v1 autoscaling/v2"),
        (25, "policy/v1beta1 discovery.k8s.io/v1beta1 batch/v1beta1 autoscaling/v2beta1"),
        (26, "autoscaling/v2beta2"),
        (33, "resource.k8s.io/v1 flowcontrol.apiserver.k8s.io/v1beta3"),
        (36, "storagemigration.k8s.io/v1"),
    ],
)
def test_and_none_that_came_later_or_is_gone(minor: int, gone: str) -> None:
    assert not set(gone.split()) & _served(minor)


def _served(minor: int) -> set[str]:
    groups = Registry(minor).groups()
    return {f"{group}/{one}" for group, versions in groups.items() for one in versions}


def test_kinds_come_and_go_with_their_versions() -> None:
    older, newer = Registry(24), Registry(35)
    assert older.get("podsecuritypolicies.policy")
    assert newer.get("podsecuritypolicies.policy") is None
    assert older.get("servicecidrs.networking.k8s.io") is None
    assert newer.get("servicecidrs.networking.k8s.io")
    assert newer.get("mutatingadmissionpolicies.admissionregistration.k8s.io") is None
    assert Registry(36).get("mutatingadmissionpolicies.admissionregistration.k8s.io")
    assert Registry(36).get("mutatingadmissionpolicybindings.admissionregistration.k8s.io")
    pods = [registry.get("pods") for registry in (Registry(32), newer)]
    assert ["resize" in one.subresources for one in pods if one] == [False, True]


def test_an_older_servers_objects_are_read_in_either_version() -> None:
    registry = Registry(23)
    found = [registry.of_kind(f"policy/{one}", "PodDisruptionBudget") for one in ("v1", "v1beta1")]
    assert found[0] is found[1]
    assert [one.versions for one in found if one] == [("v1", "v1beta1")] * 2


@pytest.mark.parametrize(("minor", "kept"), [(28, False), (29, True)])
def test_native_sidecars_are_known_since_1_29(
    minor: int,
    kept: bool,  # noqa: FBT001 - a row's outcome
) -> None:
    async def make() -> dict[str, Any]:
        api = Api(minor=minor)
        await api.create("namespaces", {"metadata": {"name": "shop"}})
        await api.create("serviceaccounts", {"metadata": {"name": "default"}}, "shop")
        spec = {
            "initContainers": [{"name": "proxy", "image": "p:1", "restartPolicy": "Always"}],
            "containers": [{"name": "web", "image": "w:1"}],
        }
        return await api.create("pods", {"metadata": {"name": "web"}, "spec": spec}, "shop")

    proxy = asyncio.run(make())["spec"]["initContainers"][0]
    assert ("restartPolicy" in proxy) is kept


def test_the_server_names_its_version_as_that_minor_does() -> None:
    assert discovery.version("1.23.17")["gitVersion"] == "v1.23.17"
    assert "emulationMinor" not in discovery.version("1.23.17")
    assert discovery.version("1.35.0")["minCompatibilityMinor"] == "34"


@pytest.mark.parametrize("minor", range(20, 38))
def test_every_minor_has_the_kinds_that_a_new_cluster_holds(minor: int) -> None:
    registry = Registry(minor)
    text = Path(bootstrap.__file__).with_suffix(".yaml").read_text("utf-8")
    made = set(re.findall(r"apiVersion: ([\w./]+)\n? *,? *kind: (\w+)", text))
    assert ("discovery.k8s.io/v1", "EndpointSlice") in made
    assert [one for one in made if registry.of_kind(*one) is None] == []
