"""Images from registries that end: whose they are, and how they are named to a reader."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.registries import expect_lasting, injected_images
from fixtures.istio.releases import expected
from fixtures.istio.workloads import Workloads
from fixtures.k8s import Body
from fixtures.k8s.pod import Pod
from tests.unit.states import FakeKube, as_kube

DAY = date(2026, 11, 27)
OLD, NEW = "registry.istio.io/release/proxyv2:1.30.3", "docker.io/istio/proxyv2:1.30.3"
APP = "gcr.io/my-project/shop:1"
ENDS = "registry.istio.io ends on 2026-12-01: take docker.io/istio"


def pod(
    name: str,
    *images: str,
    namespace: str = "shop",
    first: Sequence[str] = (),
    **more: Any,
) -> Body:
    """A pod of a Deployment whose first container is a sidecar, unless it is named otherwise."""
    names = more.pop("names", ["istio-proxy", "app"])
    args = more.pop("args", ["proxy", "sidecar"])
    owner = {"kind": "ReplicaSet", "name": f"{name}-6b7c", "controller": True}
    return {
        "metadata": {
            "name": f"{name}-6b7c-x1",
            "namespace": namespace,
            "labels": {"pod-template-hash": "6b7c"},
            "annotations": more.pop("annotations", {}),
            "ownerReferences": [owner],
        },
        "spec": {
            "initContainers": [
                {"name": f"first-{n}", "image": image} for n, image in enumerate(first)
            ],
            "containers": [
                {"name": names[n], "image": image, "args": args} for n, image in enumerate(images)
            ],
            "ephemeralContainers": [
                {"name": f"debug-{n}", "image": image}
                for n, image in enumerate(more.pop("debug", ()))
            ],
        },
        "status": {"phase": more.pop("phase", "Running")},
    }


def mesh(*pods: Body, injector: str = "", day: date = DAY, templates: str = "") -> ControlPlane:
    values = f"global: {{hub: {injector}, tag: 1.30.3, proxy: {{image: proxyv2}}}}"
    meta = {"name": "istio-sidecar-injector", "namespace": "istio-system"}
    config = {"metadata": meta, "data": {"values": values, "config": templates}}
    kube = FakeKube({"v1/pods": list(pods), "v1/configmaps": [config] if injector else []})
    return ControlPlane(as_kube(kube), expected("1.30.3", "1.35", ["1.35"], day=day))


def workloads(*pods: Body, day: date = DAY) -> Workloads:
    return Workloads(mesh(*pods, day=day))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(pod("web", OLD, APP), id="a sidecar"),
        pytest.param(pod("web", NEW, APP, first=[OLD]), id="an init container"),
        pytest.param(pod("web", NEW, OLD), id="the application's own"),
        pytest.param(pod("web", NEW, OLD, phase="Pending"), id="a pod that does not start"),
        pytest.param(
            pod(
                "web",
                OLD,
                names=["app"],
                annotations={"ambient.istio.io/redirection": "enabled"},
            ),
            id="a pod of ambient",
        ),
    ],
)
def test_living_b10_an_image_of_a_pod_in_the_mesh_counts(body: Body) -> None:
    with pytest.raises(ClaimFailed, match=rf"{OLD} \(.*\) in Deployment shop/web \({ENDS}\)"):
        workloads(body).expect_lasting_registries()
    workloads(body, day=date(2026, 10, 31)).expect_lasting_registries()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(pod("web", NEW, APP), id="of another project at the same host"),
        pytest.param(pod("web", NEW, APP, debug=[OLD]), id="an ephemeral container"),
        pytest.param(pod("web", NEW, "mirror/registry.istio.io/release/x:1"), id="a mirror"),
    ],
)
def test_what_stays_or_goes_with_its_pod_does_not_count(body: Body) -> None:
    workloads(body).expect_lasting_registries()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(pod("web", OLD, names=["app"]), id="a pod outside the mesh"),
        pytest.param(pod("web", OLD, APP, phase="Succeeded"), id="a pod that is over"),
        pytest.param(pod("gw", OLD, args=["proxy", "router"]), id="a gateway is the mesh's"),
    ],
)
def test_others_are_not_tested(body: Body) -> None:
    with pytest.raises(NotTested, match="no pod of this cluster is in the mesh"):
        workloads(body).expect_lasting_registries()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            pod("istiod", OLD, namespace="istio-system", names=["discovery"]), id="istiod"
        ),
        pytest.param(pod("kiali", OLD, namespace="istio-system", names=["kiali"]), id="an add-on"),
        pytest.param(pod("gw", OLD, args=["proxy", "router"]), id="a gateway elsewhere"),
        pytest.param(pod("way", OLD, args=["proxy", "waypoint"]), id="a waypoint"),
        pytest.param(
            pod("zt", OLD, namespace="kube-system", args=["proxy", "ztunnel"]), id="ztunnel"
        ),
        pytest.param(
            pod("cni", OLD, namespace="kube-system", names=["install-cni"]), id="the plugin"
        ),
    ],
)
def test_the_meshs_own_pods_are_distinguished_from_others(body: Body) -> None:
    with pytest.raises(ClaimFailed, match=r"images of 1 of 1 workloads of the mesh: .* in Deploy"):
        mesh(body, injector="docker.io/istio").expect_lasting_registries()


def test_what_the_injector_still_names_is_noticed_before_a_pod_has_it() -> None:
    still = mesh(
        pod("istiod", NEW, namespace="istio-system"), injector="registry.istio.io/release"
    )
    words = f"got registry.istio.io/release/proxyv2 in what the injector adds .{ENDS}"
    with pytest.raises(ClaimFailed, match=words):
        still.expect_lasting_registries()


def test_a_mesh_that_is_not_to_be_seen_is_not_judged() -> None:
    with pytest.raises(NotTested, match="neither pods of the mesh"):
        mesh().expect_lasting_registries()


@pytest.mark.parametrize(
    ("values", "templates", "found"),
    [
        ({"global": {"hub": "a/b", "proxy": {"image": "proxyv2"}}}, "", ["a/b/proxyv2"]),
        ({"global": {"hub": "a/b", "proxy": {"image": "c/d:1"}}}, "", ["c/d:1"]),
        (
            {"global": {"hub": "a", "proxy": {"image": "p"}, "proxy_init": {"image": "i"}}},
            "",
            ["a/p", "a/i"],
        ),
        ({}, '    image: "{{ .ProxyImage }}"\n  - image: "e/f:2"\n    image: g\n', ["e/f:2", "g"]),
        ({}, "", []),
    ],
)
def test_what_is_injected_follows_from_values_and_templates(
    values: dict[str, Any], templates: str, found: list[str]
) -> None:
    assert injected_images(values, templates) == found


def test_many_are_reported_in_short_and_listed_in_the_evidence() -> None:
    bodies = [pod(f"web-{n}", OLD, APP, first=[OLD]) for n in range(60)]
    bodies += [pod(f"web-{n}", OLD, APP) for n in range(60)]  # a second replica of each
    with pytest.raises(ClaimFailed) as raised:
        expect_lasting("workloads in the mesh", map(Pod.of, bodies), DAY)
    reported = raised.value
    assert reported.message == (
        "images of 60 of 60 workloads in the mesh: "
        "expected from registries that stay until 2026-12-27 at least, "
        f"got {OLD} (first-0, istio-proxy) in Deployment shop/web-0, Deployment shop/web-1, "
        f"Deployment shop/web-2 and 57 more ({ENDS})"
    )
    listed = reported.evidence.splitlines()
    assert listed[49:] == [f"{OLD}: Deployment shop/web-49", "and 10 more"]
    assert reported.next_steps[0].endswith("| grep registry.istio.io/")


def test_a_registry_that_is_gone_is_reported_so() -> None:
    with pytest.raises(ClaimFailed, match=r"registry\.istio\.io ended on 2026-12-01"):
        workloads(pod("web", OLD, APP), day=date(2026, 12, 1)).expect_lasting_registries()
