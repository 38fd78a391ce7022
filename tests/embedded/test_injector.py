"""What the injector decides about a pod, and what it makes of the pod's own overrides."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fixtures.providers.embedded.apiserver.defaults import canonical
from fixtures.providers.embedded.istio import faults
from fixtures.providers.embedded.istio.injection_context import Settings
from fixtures.providers.embedded.istio.injector import (
    Refused,
    inject,
    is_wanted,
    kubelets_run_native,
    review,
    set_variables,
    variables_of,
)
from fixtures.providers.embedded.istio.installation import installation, read

Body = dict[str, Any]

_TRAFFIC = "traffic.sidecar.istio.io"


def _settings(version: str = "1.30.3", *, native: bool = True) -> Settings:
    of = installation(version)
    found = read("values.yaml", of)
    return Settings(of, found["injector"], found["mesh"], native=native)


def _pod(*containers: str, annotations: Body | None = None, **labels: str) -> Body:
    names = containers or ("web",)
    return {
        "metadata": {"name": "web", "labels": labels, "annotations": annotations or {}},
        "spec": {"containers": [{"name": name, "image": f"{name}:1"} for name in names]},
    }


def _injected(pod: Body, version: str = "1.30.3", *, native: bool = True) -> Body:
    return inject(pod, _settings(version, native=native), namespace="shop")


def _named(pod: Body, name: str) -> Body:
    spec = pod["spec"]
    both = [*spec.get("initContainers", ()), *spec["containers"]]
    found: Body = next(one for one in both if one["name"] == name)
    return found


def _names(pod: Body) -> tuple[list[str], list[str]]:
    spec = pod["spec"]
    inits = [one["name"] for one in spec.get("initContainers", ())]
    return inits, [one["name"] for one in spec["containers"]]


def _env(pod: Body) -> Body:
    return {one["name"]: one.get("value") for one in _named(pod, "istio-proxy")["env"]}


@pytest.mark.parametrize(
    ("version", "word", "wanted"),
    [
        ("1.13.1", "yes", True),
        ("1.13.1", "On", True),
        ("1.26.8", "Y", True),
        ("1.26.8", "enabled", False),
        ("1.26.8", "no", False),
        ("1.27.0", "yes", True),  # which says nothing any more, so the policy decides
        ("1.27.0", "no", True),
        ("1.31.0", "false", False),
    ],
)
def test_how_a_pod_may_override_injection_depends_on_the_release(
    version: str,
    word: str,
    wanted: bool,  # noqa: FBT001 - a row's outcome
) -> None:
    pod = _pod(annotations={"sidecar.istio.io/inject": word})
    assert is_wanted(pod, "shop", _settings(version)) is wanted


@pytest.mark.parametrize(
    ("version", "native", "reported", "place"),
    [
        ("1.20.8", False, "true", "containers"),  # the annotation came with 1.24
        ("1.24.6", False, "true", "initContainers"),
        ("1.26.8", True, "maybe", "containers"),  # only `true` was a yes
        ("1.27.9", True, "false", "containers"),
        ("1.27.9", True, "maybe", "initContainers"),
    ],
)
def test_a_pod_may_choose_its_kind_of_sidecar_where_the_release_lets_it(
    version: str,
    native: bool,  # noqa: FBT001 - a row's input
    reported: str,
    place: str,
) -> None:
    pod = _pod(annotations={"sidecar.istio.io/nativeSidecar": reported})
    made = _injected(pod, version, native=native)
    assert "istio-proxy" in [one["name"] for one in made["spec"][place]]


def test_an_image_of_the_pods_own_is_that_of_both_containers() -> None:
    pod = _injected(_pod(annotations={"sidecar.istio.io/proxyImage": "here/proxy:1"}))
    assert [_named(pod, name)["image"] for name in ("istio-init", "istio-proxy")] == [
        "here/proxy:1",
        "here/proxy:1",
    ]
    without_registry = _injected(_pod(annotations={"sidecar.istio.io/proxyImage": "distroless"}))
    assert _named(without_registry, "istio-proxy")["image"].endswith("/proxyv2:1.30.3")


def test_a_revision_is_named_in_the_pod_and_requested_for_its_configuration() -> None:
    of = installation("1.31.0", settings=["revision=canary"])
    found = read("values.yaml", of)
    settings = Settings(of, found["injector"], found["mesh"], native=True)
    pod = inject(_pod(), settings, namespace="shop")
    assert pod["metadata"]["annotations"]["istio.io/rev"] == "canary"
    assert _env(pod)["CA_ADDR"] == "istiod-canary.istio-system.svc:15012"
    assert "istiod-canary" in _env(pod)["PROXY_CONFIG"]


@pytest.mark.parametrize(
    ("labels", "annotations", "wanted"),
    [
        ({}, {}, True),
        ({"sidecar.istio.io/inject": "false"}, {}, False),
        ({}, {"sidecar.istio.io/inject": "false"}, False),
        ({"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}, True),
        ({}, {"sidecar.istio.io/inject": "no"}, True),
    ],
)
def test_label_beats_annotation_beats_policy(
    labels: Body,
    annotations: Body,
    wanted: bool,  # noqa: FBT001 - a row's outcome
) -> None:
    assert is_wanted(_pod(annotations=annotations, **labels), "shop", _settings()) is wanted


def test_pods_of_the_host_network_and_of_system_namespaces_are_left_alone() -> None:
    hosted = _pod()
    hosted["spec"]["hostNetwork"] = True
    assert not is_wanted(hosted, "shop", _settings())
    assert not is_wanted(_pod(), "kube-system", _settings())


def test_native_proxies_start_before_the_users_own_init_containers() -> None:
    pod = _pod()
    pod["spec"]["initContainers"] = [{"name": "migrate", "image": "m:1"}]
    assert _names(_injected(pod)) == (["istio-init", "istio-proxy", "migrate"], ["web"])
    assert _names(_injected(pod, native=False)) == (
        ["migrate", "istio-init"],
        ["web", "istio-proxy"],
    )


def test_a_held_application_comes_after_its_proxy() -> None:
    held = {"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}
    injected = _injected(_pod(annotations=held), native=False)
    assert _names(injected)[1] == ["istio-proxy", "web"]
    assert _named(injected, "istio-proxy")["lifecycle"] == {
        "postStart": {"exec": {"command": ["pilot-agent", "wait"]}}
    }


def test_the_first_native_sidecars_were_waited_for_where_that_was_set() -> None:
    pod = _pod(annotations={"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"})
    entries = [
        list(_named(_injected(pod, version), "istio-proxy").get("lifecycle", {}))
        for version in ("1.20.8", "1.21.0")
    ]
    assert entries == [["postStart"], ["preStop"]]


@pytest.mark.parametrize(
    ("version", "native", "requested"),
    [
        ("1.18.7", False, {"readinessProbe": 2}),
        ("1.19.10", False, {"readinessProbe": 2}),
        ("1.19.10", True, {"startupProbe": 2}),
        ("1.20.0", False, {"readinessProbe": 15, "startupProbe": 1}),
        ("1.20.0", True, {"readinessProbe": 15, "startupProbe": 1}),
    ],
)
def test_a_sidecar_is_configured_as_its_release_configures_it(
    version: str,
    native: bool,  # noqa: FBT001 - a row's input
    requested: dict[str, int],
) -> None:
    proxy = _named(_injected(_pod(), version, native=native), "istio-proxy")
    probes = {name: probe["periodSeconds"] for name, probe in proxy.items() if "Probe" in name}
    assert probes == requested


def test_interception_can_be_left_to_nobody() -> None:
    none = {"sidecar.istio.io/interceptionMode": "NONE"}
    assert _names(_injected(_pod(annotations=none))) == (["istio-proxy"], ["web"])


def test_several_applications_are_all_named() -> None:
    injected = _injected(_pod("web", "cache"))
    assert _env(injected)["ISTIO_META_APP_CONTAINERS"] == "web,cache"
    reported = injected["metadata"]["annotations"]
    assert reported["kubectl.kubernetes.io/default-container"] == "web"


def test_probes_go_through_the_agent() -> None:
    pod = _pod()
    web = pod["spec"]["containers"][0]
    web["ports"] = [{"name": "http", "containerPort": 8080}]
    web["livenessProbe"] = {"tcpSocket": {"port": "http"}, "timeoutSeconds": 2}
    web["startupProbe"] = {"exec": {"command": ["true"]}}
    injected = _injected(pod)
    rewritten = {"httpGet": {"path": "/app-health/web/livez", "port": 15020}, "timeoutSeconds": 2}
    assert _named(injected, "web")["livenessProbe"] == rewritten
    assert _named(injected, "web")["startupProbe"] == web["startupProbe"]
    assert json.loads(_env(injected)["ISTIO_KUBE_APP_PROBERS"]) == {
        "/app-health/web/livez": {"tcpSocket": {"port": 8080}, "timeoutSeconds": 2}
    }


def test_the_applications_metrics_are_merged() -> None:
    own = {"prometheus.io/scrape": "true", "prometheus.io/port": "9080"}
    injected = _injected(_pod(annotations=own))
    assert injected["metadata"]["annotations"]["prometheus.io/port"] == "15020"
    assert json.loads(_env(injected)["ISTIO_PROMETHEUS_ANNOTATIONS"]) == {
        "scrape": "true",
        "path": "",
        "port": "9080",
    }


@pytest.mark.parametrize(
    ("port", "reported"),
    [
        *((str(port), f"port {port} is reserved for Istio") for port in (15000, 15001, 15004)),
        *((str(port), f"port {port} is reserved for Istio") for port in (15006, 15008, 15021)),
        *((str(port), f"port {port} is reserved for Istio") for port in (15053, 15090)),
        ("015090", "port 015090 is reserved for Istio"),
        ("015020", "port 015020 conflicts with agent port"),
        *((port, f'invalid port "{port}"') for port in ("http", "0", "-1", "65536", " 80")),
    ],
)
def test_a_metrics_port_that_cannot_be_scraped_is_refused_from_1_31_on(
    port: str, reported: str
) -> None:
    pod = _pod(annotations={"prometheus.io/port": port})
    _injected(pod, "1.30.3")
    with pytest.raises(Refused) as refused:
        _injected(pod, "1.31.0")
    assert f"invalid prometheus scrape configuration: {reported}" in str(refused.value)


def test_a_template_that_is_not_there_is_refused_in_istiods_words() -> None:
    assert _injected(_pod(annotations={"inject.istio.io/templates": "sidecar"}))
    for named in ("gateway", "sidecar,gateway"):
        with pytest.raises(Refused) as refused:
            _injected(_pod(annotations={"inject.istio.io/templates": named}))
        told = 'failed to run injection template: requested template "gateway" not found'
        assert str(refused.value) == f"{told}; have sidecar"


@pytest.mark.parametrize(
    "annotations",
    [
        {"prometheus.io/port": "9080"},
        {"prometheus.io/port": "65535"},
        {"prometheus.io/port": ""},
        {"prometheus.io/port": "15020"},  # taken as injected already
        {"prometheus.io/port": "15090", "prometheus.io/scrape": "false"},
        {"prometheus.io/port": "15090", "prometheus.istio.io/merge-metrics": "false"},
    ],
)
def test_other_metrics_ports_are_taken(annotations: Body) -> None:
    assert "istio-proxy" in _names(_injected(_pod(annotations=annotations), "1.31.0"))[0]


@pytest.mark.parametrize(
    ("name", "value", "reported"),
    [
        (f"{_TRAFFIC}/includeInboundPorts", "80,x", "failed parsing port 'x'"),
        (f"{_TRAFFIC}/excludeInboundPorts", "70000", "value out of range"),
    ],
)
def test_an_annotation_that_cannot_be_used_is_refused(
    name: str, value: str, reported: str
) -> None:
    request = {"uid": "u", "namespace": "shop", "object": _pod(annotations={name: value})}
    answer = review({"request": request}, _settings())["response"]
    assert not answer["allowed"]
    assert f"invalid value '{value}' for annotation '{name}'" in answer["status"]["message"]
    assert reported in answer["status"]["message"]


def test_native_sidecars_need_every_kubelet_to_know_them() -> None:
    nodes = [
        {"status": {"nodeInfo": {"kubeletVersion": f"v1.{minor}.1"}}} for minor in (33, 34, 32)
    ]
    assert kubelets_run_native(nodes[:2], 33)
    assert not kubelets_run_native(nodes, 33)


@pytest.mark.parametrize(
    ("written", "kept"),
    [("2000m", "2"), ("100m", "100m"), ("1024Mi", "1Gi"), ("40Mi", "40Mi"), ("1048576Ki", "1Gi")],
)
def test_quantities_are_written_as_the_api_writes_them(written: str, kept: str) -> None:
    assert canonical(written) == kept


def test_each_hook_spoils_what_its_name_says() -> None:
    pod = _pod(app="web")
    right = _injected(pod)
    for name, (_, change) in faults.SPOILED.items():
        wrong = _injected(pod)
        change(wrong)
        assert wrong != right, name


def test_the_answer_carries_a_patch() -> None:
    request = {"uid": "u", "namespace": "shop", "object": _pod()}
    answer = review({"request": request}, _settings())["response"]
    patch = json.loads(base64.b64decode(answer["patch"]))
    assert answer["patchType"] == "JSONPatch"
    assert {one["op"] for one in patch} <= {"add", "replace", "remove"}


@pytest.mark.parametrize(
    ("path", "variables"),
    [
        ("", {}),
        ("/", {}),
        (
            "/cluster/east/net/one/",
            {"ISTIO_META_CLUSTER_ID": "east", "ISTIO_META_NETWORK": "one"},
        ),
        ("/more/x/cluster", {"MORE": "x"}),
    ],
)
def test_the_path_at_which_it_is_called_sets_variables(
    path: str, variables: dict[str, str]
) -> None:
    pod = _injected(_pod())
    before = _env(pod)
    assert variables_of(path) == variables
    set_variables(pod, variables_of(path))
    assert _env(pod) == before | variables
    network = pod["metadata"]["labels"].get("topology.istio.io/network")
    assert network == variables.get("ISTIO_META_NETWORK")
