"""Which control planes a cluster has, and which is tested first: on recorded clusters, changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fixtures.k8s import Body, Forbidden
from fixtures.providers.base import ProvisioningFailed
from fixtures.providers.existing.planes import DEPLOYMENTS, INJECTORS, Plane, Planes, find_planes
from tests.recordings import state_of
from tests.unit.states import FakeKube, as_kube

ISTIO = "istio-system"
INSTALLED = "2-istio-installed"
ACTIVE = "istio-revision-tag-default"
PLAIN, OF_REVISION = "istiod", "istiod-canary"
URL = "https://istiod.example:15017/inject/cluster/remote"


def cluster(state: str = INSTALLED) -> FakeKube:
    return FakeKube(copy.deepcopy(state_of(state)))


def planes(kube: FakeKube) -> Planes:
    return find_planes(as_kube(kube))


def add_revision(kube: FakeKube, version: str = "1.30.1", namespace: str = ISTIO) -> None:
    """A second istiod beside the first, as a canary upgrade begins."""
    body = copy.deepcopy(kube.get(DEPLOYMENTS, PLAIN))
    body["metadata"] |= {"name": "istiod-blue", "namespace": namespace}
    body["metadata"]["labels"]["istio.io/rev"] = "blue"
    template = body["spec"]["template"]
    template["metadata"]["labels"]["istio.io/rev"] = "blue"
    template["spec"]["containers"][0]["image"] = f"docker.io/istio/pilot:{version}"
    kube.add(DEPLOYMENTS, body)


def point_at(revision: str, **client: Any) -> Any:
    """An injector's configuration of another revision, or called elsewhere."""

    def change(body: Body) -> None:
        body["metadata"]["labels"]["istio.io/rev"] = revision
        for entry in body["webhooks"]:
            entry["clientConfig"] = client or entry["clientConfig"]

    return change


def move(kube: FakeKube, namespace: str) -> None:
    """Have the whole installation stand in another namespace."""
    for kind in (DEPLOYMENTS, "services", "configmaps", "pods"):
        for body in kube.list(kind, ISTIO):
            body["metadata"]["namespace"] = namespace
    for body in kube.list(INJECTORS):
        for entry in body["webhooks"]:
            entry["clientConfig"]["service"]["namespace"] = namespace


def test_the_one_istiod_of_a_demo_profile() -> None:
    found = planes(cluster())
    assert (str(found.first), found.first.revision) == ("istio-system/istiod 1.29.6", "")
    assert (found.default, found.others) == (True, ())


@pytest.mark.parametrize("state", ["helm/injected", "revision/injected", "ambient/bookinfo"])
def test_any_other_installation_has_a_default_of_its_own(state: str) -> None:
    found = planes(cluster(state))
    assert found.default
    assert found.first.revision == ("canary" if state.startswith("revision") else "")
    assert found.first.version


def test_living_h2_a_canary_is_there_beside_the_default() -> None:
    kube = cluster()
    add_revision(kube)
    found = planes(kube)
    assert (found.first.revision, found.default) == ("", True)
    assert [str(one) for one in found.others] == ["istio-system/istiod-blue 1.30.1"]


def test_living_h2_the_tag_default_was_moved_to_the_canary() -> None:
    kube = cluster()
    add_revision(kube)
    kube.change(INJECTORS, ACTIVE, point_at("blue"))
    found = planes(kube)
    assert (found.first.revision, found.default) == ("blue", True)
    assert [one.revision for one in found.others] == [""]


def test_living_h2_without_any_default_the_newest_is_first() -> None:
    kube = cluster()
    add_revision(kube, "1.30.1")
    kube.remove(INJECTORS, ACTIVE)
    kube.change(DEPLOYMENTS, PLAIN, _named("1-29"))
    found = planes(kube)
    assert (found.first.revision, found.default) == ("blue", False)


def _named(revision: str) -> Any:
    def change(body: Body) -> None:
        if body["metadata"]["name"] == PLAIN:
            body["metadata"]["name"] = f"istiod-{revision}"
            body["metadata"]["labels"]["istio.io/rev"] = revision
            body["spec"]["template"]["metadata"]["labels"]["istio.io/rev"] = revision

    return change


@pytest.mark.parametrize("namespace", ["aks-istio-system", "mesh-system"])
def test_living_h9_a_control_plane_in_a_namespace_of_its_own(namespace: str) -> None:
    kube = cluster()
    move(kube, namespace)
    found = planes(kube)
    assert (found.first.namespace, found.first.revision) == (namespace, "")
    assert found.default


def test_living_h9_two_meshes_in_one_cluster() -> None:
    kube = cluster()
    add_revision(kube, namespace="team-b")
    found = planes(kube)
    assert [one.name for one in (found.first, *found.others)] == [
        "istio-system/istiod",
        "team-b/istiod-blue",
    ]


def test_living_h9_an_istiod_under_another_label_is_found_by_its_injectors_service() -> None:
    kube = cluster()
    for body in kube.list(DEPLOYMENTS, labels="app=istiod"):
        body["metadata"]["labels"].pop("app")
    assert planes(kube).first.name == "istio-system/istiod"


def without_istiod() -> FakeKube:
    kube = cluster()
    kube.remove(DEPLOYMENTS, PLAIN)
    return kube


def test_living_h9_an_injector_at_a_url_is_of_an_istiod_elsewhere() -> None:
    kube = without_istiod()
    for body in kube.list(INJECTORS):
        point_at("default", url=URL)(body)
    found = planes(kube)
    assert found.first.elsewhere == (
        f"istiod is no part of this cluster: its injector is called at {URL}"
    )
    assert (found.first.version, found.default) == ("1.29.6", True)  # of the injector's values


@pytest.mark.parametrize(
    ("name", "where"),
    [("istiod.example", "istiod.example"), ("", "an address that is no pod's")],
)
def test_living_h9_a_service_without_selector_leads_to_an_istiod_elsewhere(
    name: str, where: str
) -> None:
    kube = without_istiod()
    service = kube.get("services", PLAIN, ISTIO)
    service["spec"].pop("selector")
    service["spec"] |= {"externalName": name} if name else {}
    assert planes(kube).first.elsewhere.endswith(f"istio-system/istiod leads to {where}")


def test_living_b11_an_istiod_that_is_gone_is_missed_and_not_taken_for_no_mesh() -> None:
    found = planes(without_istiod())
    assert found.first == Plane(ISTIO, "", version="1.29.6")
    assert not found.first.elsewhere


def test_without_any_trace_there_is_no_istio() -> None:
    with pytest.raises(ProvisioningFailed, match="Istio is absent"):
        planes(cluster("1-fresh-cluster"))


def test_who_may_look_in_one_namespace_alone_finds_what_is_there() -> None:
    kube = cluster()
    everywhere = kube.list

    def listed(kind: str, namespace: str | None = None, **how: str) -> list[Body]:
        if kind == DEPLOYMENTS and not namespace:
            raise Forbidden(403, message="may not list deployments everywhere")
        return everywhere(kind, namespace, **how)

    kube.list = listed  # type: ignore[method-assign]  # a user with one Role
    assert planes(kube).first.name == "istio-system/istiod"
