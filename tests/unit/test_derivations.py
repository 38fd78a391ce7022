"""What follows from versions, kubelets and settings, and the sentence that says from what."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from fixtures.istio.options import options_of
from fixtures.istio.releases import expected, images, overrides
from fixtures.istio.releases.injection import NATIVE_OVERRIDE, Order, order, sidecar_place
from fixtures.istio.releases.options import MeshOptions, Resources, Traffic, canonical
from fixtures.setup.sample import documents

ROOT = Path(__file__).parents[2]
NEW, OLD = ["v1.33.1", "v1.34.0"], ["v1.34.0", "v1.32.9"]
ON, OFF = MeshOptions(native="true"), MeshOptions(native="false")
PLAIN = MeshOptions()

PLACES = [
    ("1.13.1", NEW, PLAIN, {}, "classic", "Istio 1.13 makes classic sidecars by default"),
    ("1.18.7", NEW, ON, {}, "classic", "Istio 1.18 makes classic sidecars by default"),
    ("1.19.0", NEW, ON, {}, "native", "istiod's ENABLE_NATIVE_SIDECARS is true"),
    ("1.26.8", NEW, PLAIN, {}, "classic", "Istio 1.26 makes classic sidecars by default"),
    ("1.23.6", NEW, PLAIN, {NATIVE_OVERRIDE: "true"}, "classic", "Istio 1.23 makes classic"),
    ("1.24.0", OLD, PLAIN, {NATIVE_OVERRIDE: "true"}, "native", "the pod is annotated"),
    ("1.26.8", NEW, PLAIN, {NATIVE_OVERRIDE: "yes"}, "classic", "nativeSidecar: yes"),
    ("1.27.9", OLD, PLAIN, {NATIVE_OVERRIDE: "yes"}, "native", "nativeSidecar: yes"),
    ("1.27.9", NEW, PLAIN, {}, "native", "Istio 1.27 and every kubelet is 1.33 or newer"),
    ("1.27.9", OLD, PLAIN, {}, "classic", "a kubelet is v1.32.9, older than 1.33"),
    ("1.28.10", NEW, OFF, {}, "classic", "istiod's ENABLE_NATIVE_SIDECARS is false"),
    ("1.31.0", OLD, ON, {}, "native", "istiod's ENABLE_NATIVE_SIDECARS is true"),
    ("1.31.0", NEW, ON, {NATIVE_OVERRIDE: "false"}, "classic", "the pod is annotated"),
    ("1.45.0", NEW, PLAIN, {}, "native", "Istio 1.45 and every kubelet is 1.33 or newer"),
]


@pytest.mark.parametrize(("istio", "kubelets", "options", "own", "place", "why"), PLACES)
def test_the_place_of_the_sidecar_is_derived_and_reported(
    istio: str,
    kubelets: list[str],
    options: MeshOptions,
    own: dict[str, str],
    place: str,
    why: str,
) -> None:
    found = sidecar_place(istio, kubelets, options, own)
    assert found.place == place
    assert why in found.because
    heading = "initContainers" if place == "native" else "containers"
    assert found.because.startswith(f"istio-proxy is expected in {heading} because ")


POD = Order(("migrate",), ("shop",))
ORDERS = [
    ("classic", PLAIN, "", "migrate, istio-init before shop, istio-proxy"),
    ("classic", MeshOptions(hold=True), "", "migrate, istio-init before istio-proxy, shop"),
    ("classic", MeshOptions(cni=True), "", "istio-validation, migrate before shop, istio-proxy"),
    ("classic", PLAIN, "NONE", "migrate before shop, istio-proxy"),
    ("native", PLAIN, "", "istio-init, istio-proxy, migrate before shop"),
    ("native", MeshOptions(hold=True), "", "istio-init, istio-proxy, migrate before shop"),
    ("native", MeshOptions(cni=True), "", "istio-validation, istio-proxy, migrate before shop"),
    ("native", PLAIN, "NONE", "istio-proxy, migrate before shop"),
]


@pytest.mark.parametrize(("place", "options", "mode", "wanted"), ORDERS)
def test_the_injectors_containers_stand_among_the_pods_own(
    place: str, options: MeshOptions, mode: str, wanted: str
) -> None:
    assert place in ("native", "classic")
    found = order("native" if place == "native" else "classic", options, POD, mode)
    assert str(found) == wanted


OVERRIDES = [
    ("1.26.8", {}, {"sidecar.istio.io/inject": "No"}, False),
    ("1.26.8", {"sidecar.istio.io/inject": "ON"}, {}, True),
    ("1.26.8", {"sidecar.istio.io/inject": "perhaps"}, {}, False),
    ("1.27.0", {}, {"sidecar.istio.io/inject": "no"}, None),
    ("1.27.0", {}, {"sidecar.istio.io/inject": "True"}, None),
    ("1.27.0", {}, {"sidecar.istio.io/inject": "false"}, False),
    ("1.31.0", {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}, True),
    ("1.31.0", {}, {}, None),
]


@pytest.mark.parametrize(("istio", "labels", "annotations", "wanted"), OVERRIDES)
def test_a_pods_override_is_read_as_its_release_reads_it(
    istio: str,
    labels: dict[str, str],
    annotations: dict[str, str],
    wanted: bool | None,  # noqa: FBT001  # a row of the table
) -> None:
    assert overrides.requested(istio, labels, annotations) is wanted
    assert overrides.injected(istio, labels, annotations) is (wanted is not False)
    assert not overrides.injected(istio, labels, annotations, host_network=True)
    assert not overrides.injected(istio, labels, annotations, namespace="kube-system")


MESH = {"accessLogFile": "/dev/stdout", "defaultConfig": {"interceptionMode": "TPROXY"}}
PROXY = {"includeIPRanges": "10.0.0.0/8", "excludeOutboundPorts": 3306, "resources": {}}


def test_settings_are_read_from_where_each_release_keeps_them() -> None:
    for cni in ({"pilot": {"cni": {"enabled": True}}}, {"istio_cni": {"enabled": True}}):
        values = {"global": {"proxy": {**PROXY, "holdApplicationUntilProxyStarts": True}}, **cni}
        assert options_of(MESH, values, {"ENABLE_NATIVE_SIDECARS": "False"}) == MeshOptions(
            native="false",
            cni=True,
            hold=True,
            interception="TPROXY",
            traffic=Traffic(include_ranges="10.0.0.0/8", exclude_outbound="3306"),
            resources=Resources(),
        )


def test_a_pods_overrides_count_before_the_meshs_settings() -> None:
    rows = expected("1.31.0", "1.35", ["1.35"]).set_to(
        MeshOptions(traffic=Traffic(exclude_inbound="22", exclude_outbound="3306"))
    )
    assert rows.flags()["-d"].value == "15090,15021,22,15020"
    assert rows.flags()["-o"].value == "3306"
    own = {
        "traffic.sidecar.istio.io/excludeOutboundPorts": "5432",
        "traffic.sidecar.istio.io/includeOutboundPorts": "80",
    }
    assert (rows.flags(own)["-o"].value, rows.flags(own)["-q"].value) == ("5432", "80")


@pytest.mark.parametrize(
    ("version", "flags"),
    [("1.14.6", {}), ("1.15.0", {"-c": "eth1"}), ("1.25.0", {"-c": "eth1", "-k": "net1"})],
)
def test_a_pod_brings_the_flags_that_its_release_knows(
    version: str, flags: dict[str, str]
) -> None:
    own = {
        "traffic.sidecar.istio.io/excludeInterfaces": "eth1",
        "istio.io/reroute-virtual-interfaces": "net1",
    }
    rows = expected(version, "1.30", ["1.30"])
    found = {name: flag.value for name, flag in rows.flags(own).items()}
    assert {name: found[name] for name in found.keys() - rows.flags().keys()} == flags


@pytest.mark.parametrize(
    ("quantity", "kept"),
    [
        ("2000m", "2"),
        ("1024Mi", "1Gi"),
        ("1500m", "1500m"),
        ("40Mi", "40Mi"),
        ("1048576Ki", "1Gi"),
        ("0.5", "500m"),
        ("1.5Gi", "1536Mi"),
        ("2", "2"),
        ("1000", "1k"),
        ("0", "0"),
        ("0Mi", "0"),
        ("a lot", "a lot"),
    ],
)
def test_quantities_are_compared_as_the_api_server_keeps_them(quantity: str, kept: str) -> None:
    assert canonical(quantity) == kept


OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 31), date(2026, 11, 1), date(2026, 12, 1)


@pytest.mark.parametrize(
    ("istio", "day", "mesh", "samples"),
    [
        ("1.29.6", OCTOBER, images.DOCKER, images.DOCKER),
        ("1.30.3", OCTOBER, images.REGISTRY, images.REGISTRY),
        ("1.30.3", NOVEMBER, images.DOCKER, images.DOCKER),
        ("1.31.0", OCTOBER, images.DOCKER, images.REGISTRY),
        ("1.31.0", NOVEMBER, images.DOCKER, images.DOCKER),
        ("1.31.0", DECEMBER, images.DOCKER, images.DOCKER),
    ],
)
def test_the_hub_follows_from_the_release_and_the_day(
    istio: str, day: date, mesh: str, samples: str
) -> None:
    assert images.hub_of(istio, day) == images.Hub(mesh, samples)
    assert images.hub_of(istio, day, "mirror:5000/istio") == images.Hub(
        "mirror:5000/istio", "mirror:5000/istio"
    )


def test_a_hub_that_is_set_is_that_of_the_samples_images() -> None:
    rows = expected("1.30.3", "1.35", ["1.35"], hub="mirror:5000/istio")
    pods = [b["spec"]["template"]["spec"] for b in documents(rows) if b["kind"] == "Deployment"]
    found = {c["image"].rpartition("/")[0] for pod in pods for c in pod["containers"]}
    assert found == {"mirror:5000/istio"}


@pytest.mark.parametrize(
    ("istio", "day", "reported"),
    [
        ("1.30.3", OCTOBER, ""),
        ("1.30.3", NOVEMBER, images.DOCKER),
        ("1.31.0", DECEMBER, ""),
    ],
)
def test_an_installation_is_given_a_hub_only_where_its_own_one_ends(
    istio: str, day: date, reported: str
) -> None:
    assert images.moved(istio, day) == reported


@pytest.mark.parametrize(
    ("image", "prefix"),
    [
        ("registry.istio.io/release/proxyv2:1.30.3", "registry.istio.io"),
        ("registry.istio.io", "registry.istio.io"),
        ("registry.istio.io.example/release/proxyv2:1.30.3", ""),
        ("gcr.io/istio-release/pilot:1.29.6@sha256:aa", "gcr.io/istio-release"),
        ("gcr.io/istio-testing/pilot:latest", "gcr.io/istio-testing"),
        ("gcr.io/istio-release-of-mine/app:1", ""),
        ("gcr.io/my-project/app:1", ""),
        ("mirror.example/gcr.io/istio-release/pilot:1.29.6", ""),
    ],
)
def test_others_images_at_the_same_host_stay(image: str, prefix: str) -> None:
    found = images.ending(image)
    assert (found.prefix if found else "") == prefix


def test_a_registry_is_left_thirty_days_before_its_end() -> None:
    assert images.leaving(images.REGISTRY, OCTOBER) is None
    assert images.leaving(images.REGISTRY, NOVEMBER)
    assert images.leaving(images.REGISTRY, DECEMBER)


def test_an_announced_end_is_reported_with_what_to_do() -> None:
    (message,) = images.announced(
        [images.REGISTRY, images.DOCKER, images.REGISTRY], date(2026, 11, 25)
    )
    assert message.startswith(
        "registry.istio.io ends (out on 2026-12-08, 2026-12-09, end December"
    )
    assert message.endswith("with --istio-set hub=docker.io/istio")
    assert "has ended" in images.announced([images.REGISTRY], DECEMBER)[0]


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("docker.io/istio", "docker.io"),
        ("kindest/node:v1.35.0", "docker.io"),
        ("localhost:5000/istio", "localhost:5000"),
        ("quay.io/kiali/kiali:v2.27", "quay.io"),
    ],
)
def test_a_registry_is_distinguished_from_an_image(image: str, host: str) -> None:
    assert images.host(image) == host


COST = """
import importlib, pkgutil, time
began = time.process_time()
import fixtures.istio.releases as package
for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"{package.__name__}.{module.name}")
rows = package.expected("1.31.0", "1.35.0", ["v1.35.0"])
rows.sidecar, rows.flags()
print(time.process_time() - began)
"""
CLIENT = """
import time
began = time.process_time()
import kubernetes.client
print(time.process_time() - began)
"""


def test_loading_and_choosing_costs_a_fraction_of_loading_the_client() -> None:
    """A ratio, so that a busy or slow machine says the same."""

    def cost(code: str) -> float:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return float(done.stdout)

    ratios = [cost(COST) / cost(CLIENT) for _ in range(3)]
    assert min(ratios) < 0.5, ratios
