"""The Gateway API as the embedded cluster serves it: what is bound, made, said, and answered."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from fixtures.istio.bundles import Installed
from fixtures.istio.releases.gateway_api import WATCHED
from fixtures.istio.releases.rows import all_for
from fixtures.k8s import Kube, shapes
from fixtures.k8s.picture import Picture
from fixtures.providers.embedded import addresses
from fixtures.providers.embedded.dataplane.gateway_api import World, as_istio_kinds, bindings
from fixtures.providers.embedded.dataplane.gateway_config import for_gateway
from fixtures.providers.embedded.dataplane.mesh import Mesh, Proxy
from fixtures.providers.embedded.istio import gateway_api
from fixtures.providers.embedded.istio.gateway_api import definitions, generated
from fixtures.providers.embedded.istio.installation import Installation, installation
from fixtures.providers.existing.finding import find_out
from tests.embedded.conftest import VERSIONS, EmbeddedCluster, started

Body = dict[str, Any]

NEW, OLD = installation("1.31.0"), installation("1.30.3")
NOW = "2026-01-02T03:04:05Z"
LABEL = "gateway.networking.k8s.io/gateway-name"
BUNDLE = "gateway.networking.k8s.io/bundle-version"


def gateway(*listeners: Body, **annotations: str) -> Body:
    named = {key.replace("_", "-"): value for key, value in annotations.items()}
    return {
        "metadata": {
            "name": "door",
            "namespace": "shop",
            "uid": "1",
            "generation": 1,
            "annotations": {f"networking.istio.io/{key}": to for key, to in named.items()},
        },
        "spec": {"gatewayClassName": "istio", "listeners": list(listeners) or [listener()]},
    }


def listener(name: str = "http", port: int = 80, **more: Any) -> Body:
    return {"name": name, "port": port, "protocol": "HTTP", **more}


def route(*rules: Body, namespace: str = "shop", hosts: tuple[str, ...] = (), **ref: Any) -> Body:
    return {
        "metadata": {"name": "way", "namespace": namespace, "generation": 1},
        "spec": {
            "parentRefs": [{"name": "door", "namespace": "shop", **ref}],
            "hostnames": list(hosts),
            "rules": list(rules) or [rule()],
        },
    }


def rule(*paths: tuple[str, str], **backend: Any) -> Body:
    matches = [{"path": {"type": kind, "value": value}} for kind, value in paths]
    return {"matches": matches, "backendRefs": [{"name": "page", "port": 9080, **backend}]}


def service(name: str, **spec: Any) -> Body:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {LABEL: "door"}, "ports": [{"port": 9080}], **spec},
    }


def world(*routes: Body, door: Body | None = None, **made: Any) -> World:
    return World(
        gateways=[door or gateway()],
        routes=list(routes),
        services=[service("page"), service("door-istio", **made)],
        namespaces={"shop": {}, "other": {"team": "b"}},
    )


# What is bound to what


@pytest.mark.parametrize(
    ("one", "door", "reason"),
    [
        (route(), gateway(), ""),
        (route(sectionName="https"), gateway(), "NoMatchingParent"),
        (route(port=81), gateway(), "NoMatchingParent"),
        (route(namespace="other"), gateway(), "NotAllowedByListeners"),
        (
            route(namespace="other"),
            gateway(listener(allowedRoutes={"namespaces": {"from": "All"}})),
            "",
        ),
        (
            route(namespace="other"),
            gateway(
                listener(
                    allowedRoutes={
                        "namespaces": {
                            "from": "Selector",
                            "selector": {"matchLabels": {"team": "b"}},
                        }
                    }
                )
            ),
            "",
        ),
        (
            route(hosts=("a.example",)),
            gateway(listener(hostname="*.test")),
            "NoMatchingListenerHostname",
        ),
        (route(hosts=("a.test",)), gateway(listener(hostname="*.test")), ""),
    ],
)
def test_a_route_is_taken_or_refused_with_the_apis_own_reason(
    one: Body, door: Body, reason: str
) -> None:
    (found,) = bindings(world(one, door=door), one)
    assert (found.reason, found.listeners) == (reason, () if reason else ("http",))


def test_a_gateway_of_another_controller_is_left_to_it() -> None:
    theirs = {"metadata": {"name": "istio"}, "spec": {"controllerName": "example.com/other"}}
    mine = World([theirs], [gateway()], [route()], [service("door-istio")], {"shop": {}})
    assert list(bindings(mine, route())) == []
    assert as_istio_kinds(mine)[0] == []


# What the proxies are sent


def routes_of(found: World, namespace: str = "shop") -> list[Body]:
    gateways, services = as_istio_kinds(found)
    mesh = Mesh(gateways=gateways, virtual_services=services, services=found.services)
    config = for_gateway(mesh, Proxy(namespace, {LABEL: "door"}, "127.9.9.9")).config
    hosts = [host for reported in config.routes for host in reported["virtual_hosts"]]
    return [one for host in hosts for one in host.get("routes", ())]


def test_matches_go_in_the_order_of_the_api_and_prefixes_end_at_a_slash() -> None:
    wide, long = rule(("PathPrefix", "/"), name="wide"), rule(("PathPrefix", "/a/b/"), name="long")
    exact = rule(("Exact", "/a/b"), name="exact")
    found = world(route(wide, long, exact))
    found.services.extend(service(name) for name in ("wide", "long", "exact"))
    matches = [one["match"] for one in routes_of(found)]
    for match in matches:
        del match["case_sensitive"]
    assert matches == [{"path": "/a/b"}, {"path_separated_prefix": "/a/b"}, {"prefix": "/"}]


def test_headers_queries_and_methods_are_matched() -> None:
    match = {
        "headers": [{"name": "x-who", "value": "a.*", "type": "RegularExpression"}],
        "queryParams": [{"name": "q", "value": "1"}],
        "method": "POST",
    }
    (found,) = routes_of(world(route({**rule(), "matches": [match]})))
    message = json.dumps(found["match"])
    assert all(word in message for word in ("x-who", "a.*", '"q"', ":method", "POST"))


def test_only_pods_of_the_gateways_own_namespace_are_configured() -> None:
    assert routes_of(world(route()))
    assert not routes_of(world(route()), namespace="other")


def test_weights_are_kept_and_a_missing_backend_is_500() -> None:
    shared = rule()
    shared["backendRefs"] = [
        {"name": "page", "port": 9080, "weight": 9},
        {"name": "page", "port": 9081, "weight": 1},
    ]
    (found,) = routes_of(world(route(shared)))
    weights = [one["weight"] for one in found["route"]["weighted_clusters"]["clusters"]]
    assert weights == [9, 1]
    (found,) = routes_of(world(route(rule(name="nowhere"))))
    assert found["route"]["cluster_not_found_response_code"] == "INTERNAL_SERVER_ERROR"
    (found,) = routes_of(world(route({"backendRefs": []})))
    assert found["direct_response"] == {"status": 500}


def test_a_port_that_this_user_may_not_bind_is_moved_for_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "lowest_port", lambda: 1024)
    gateways, services = as_istio_kinds(world(route()))
    mesh = Mesh(gateways=gateways, virtual_services=services)
    (found,) = for_gateway(mesh, Proxy("shop", {LABEL: "door"}, "127.9.9.9")).config.listeners
    assert found["name"] == "0.0.0.0_80"
    assert found["address"]["socket_address"]["port_value"] == addresses.bound_at(80) != 80
    assert addresses.bound_at(8080) == 8080


# What istiod says


def conditions(reported: Body) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in reported["conditions"]}


def test_a_gateway_is_programmed_when_its_service_has_somebody_behind_it() -> None:
    found = world(route())
    waiting = gateway_api.of_gateway(NEW, found, found.gateways[0], [], NOW)
    assert conditions(waiting)["Programmed"] == ("False", "AddressNotAssigned")
    served = gateway_api.of_gateway(NEW, found, found.gateways[0], [80, 15021], NOW)
    assert conditions(served)["Programmed"] == ("True", "Programmed")
    assert served["addresses"] == [
        {"type": "Hostname", "value": "door-istio.shop.svc.cluster.local"}
    ]
    assert [one["attachedRoutes"] for one in served["listeners"]] == [1]


def test_that_its_pods_went_is_no_news_to_istiod() -> None:
    found = world(route())
    door = found.gateways[0]
    door["status"] = gateway_api.of_gateway(NEW, found, door, [80], NOW)
    assert (
        gateway_api.of_gateway(NEW, found, door, [], NOW)["conditions"]
        == door["status"]["conditions"]
    )
    door["metadata"]["generation"] = 2
    assert (
        conditions(gateway_api.of_gateway(NEW, found, door, [], NOW))["Programmed"][0] == "False"
    )


def test_a_load_balancer_without_an_address_is_waited_for() -> None:
    found = world(route(), type="LoadBalancer")
    reported = gateway_api.of_gateway(NEW, found, found.gateways[0], [80], NOW)
    assert conditions(reported)["Programmed"] == ("False", "AddressNotAssigned")
    assert "address pending" in reported["conditions"][1]["message"]
    found.services[1]["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    reported = gateway_api.of_gateway(NEW, found, found.gateways[0], [80], NOW)
    assert reported["addresses"] == [{"type": "IPAddress", "value": "192.0.2.1"}]


@pytest.mark.parametrize(
    ("of", "protocols", "accepted"),
    [
        (OLD, ("HTTP", "UDP"), ("True", "Accepted")),
        (NEW, ("HTTP", "HTTPS"), ("True", "Accepted")),
        (NEW, ("HTTP", "UDP"), ("True", "ListenersNotValid")),
        (NEW, ("UDP",), ("False", "ListenersNotValid")),
    ],
)
def test_a_newer_istiod_says_of_a_gateway_what_its_listeners_are(
    of: Installation, protocols: tuple[str, ...], accepted: tuple[str, str]
) -> None:
    door = gateway(*(listener(one.lower(), protocol=one) for one in protocols))
    reported = conditions(gateway_api.of_gateway(of, world(route()), door, [80], NOW))
    assert reported["Accepted"] == accepted
    assert ("ResolvedRefs" in reported) == (of is NEW)


def test_the_time_of_a_condition_is_that_of_its_change() -> None:
    found = world(route())
    door = found.gateways[0]
    door["status"] = gateway_api.of_gateway(NEW, found, door, [80], NOW)
    again = gateway_api.of_gateway(NEW, found, door, [80], "2027-01-02T03:04:05Z")
    assert again == door["status"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (rule(name="nowhere"), "BackendNotFound"),
        (rule(kind="Secret"), "InvalidKind"),
        (rule(namespace="other"), "InvalidKind"),
        (rule(port=None), "InvalidKind"),
        ({**rule(), "filters": [{"type": "RequestMirror"}]}, "InvalidFilter"),
    ],
)
def test_a_route_that_cannot_be_led_says_why(bad: Body, reason: str) -> None:
    one = route(bad)
    (reported,) = gateway_api.of_route(world(one), one, NOW)["parents"]
    assert conditions(reported) == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("False", reason),
    }


def test_what_other_controllers_say_of_a_route_is_kept() -> None:
    one = route()
    theirs = {"controllerName": "example.com/other", "parentRef": {"name": "x"}}
    one["status"] = {"parents": [theirs]}
    reported = gateway_api.of_route(world(one), one, NOW)
    assert [parent["controllerName"] for parent in reported["parents"]] == [
        "example.com/other",
        "istio.io/gateway-controller",
    ]


# What istiod makes, by release


BOTH = {LABEL, "istio.io/gateway-name"}
CLASS = "gateway.networking.k8s.io/gateway-class-name"


@pytest.mark.parametrize(
    ("version", "selector", "named"),
    [
        ("1.18.7", "istio.io/gateway-name", set[str]()),
        ("1.20.8", "istio.io/gateway-name", set[str]()),
        ("1.21.0", LABEL, BOTH),
        ("1.23.2", LABEL, BOTH),
        ("1.24.0", LABEL, {LABEL}),
        ("1.28.0", LABEL, {LABEL, CLASS}),
    ],
)
def test_the_labels_of_what_is_made_differ_by_release(
    version: str, selector: str, named: set[str]
) -> None:
    _, deployment, made = generated(installation(version), gateway(service_type="ClusterIP"))
    assert set(deployment["metadata"]["labels"]) == named | {"gateway.istio.io/managed"}
    assert deployment["spec"]["selector"]["matchLabels"] == {selector: "door"}
    assert deployment["spec"]["template"]["metadata"]["labels"][selector] == "door"
    assert made["spec"]["selector"] == {selector: "door"}


@pytest.mark.parametrize(
    ("version", "ports", "owned", "families"),
    [
        ("1.20.8", [15021, 15090], "no", None),
        ("1.22.8", [15021, 15090], "yes", None),
        ("1.23.2", [15021, 15090], "yes", None),
        ("1.23.3", [15020, 15021, 15090], "yes", None),
        ("1.24.0", [15020, 15021, 15090], "yes", "PreferDualStack"),
    ],
)
def test_what_is_made_of_a_gateway_differs_by_release(
    version: str, ports: list[int], owned: str, families: str | None
) -> None:
    account, deployment, made = generated(installation(version), gateway(service_type="ClusterIP"))
    assert {one["metadata"]["name"] for one in (account, deployment, made)} == {"door-istio"}
    (proxy,) = deployment["spec"]["template"]["spec"]["containers"]
    assert [one["containerPort"] for one in proxy["ports"]] == ports
    assert proxy["image"].endswith(f"/proxyv2:{version}")
    assert ("ownerReferences" in account["metadata"]) == (owned == "yes")
    assert made["spec"].get("ipFamilyPolicy") == families
    assert made["spec"]["type"] == "ClusterIP"


def test_the_service_has_each_port_once_after_that_of_health() -> None:
    door = gateway(listener("a.b"), listener("again"), listener("c", 8443))
    made = generated(installation("1.31.0"), door)[2]
    assert [(one["name"], one["port"]) for one in made["spec"]["ports"]] == [
        ("status-port", 15021),
        ("a-b", 80),
        ("c", 8443),
    ]
    assert made["spec"]["type"] == "LoadBalancer"


@pytest.mark.parametrize(
    ("version", "served", "stored", "bundle"),
    [
        ("1.18.0", ["v1beta1"], "v1beta1", "v0.6.2"),
        ("1.20.8", ["v1", "v1beta1"], "v1beta1", "v1.0.0"),
        ("1.29.6", ["v1", "v1beta1"], "v1", "v1.4.0"),
        ("1.31.0", ["v1", "v1beta1"], "v1", "v1.6.0"),
    ],
)
def test_the_definitions_are_those_of_the_bundle_of_a_release(
    version: str, served: list[str], stored: str, bundle: str
) -> None:
    made = definitions(installation(version))
    for one in made[:3]:
        versions = one["spec"]["versions"]
        assert [v["name"] for v in versions] == served
        assert [v["name"] for v in versions if v["storage"]] == [stored]
    for one in made[3:]:
        assert [v["name"] for v in one["spec"]["versions"] if v["storage"]] == ["v1"]
    assert {one["metadata"]["annotations"][BUNDLE] for one in made} == {bundle}


def test_the_definitions_can_be_of_another_bundle() -> None:
    made = definitions(installation("1.31.0"), "1.4.1")
    assert {one["metadata"]["annotations"][BUNDLE] for one in made} == {"v1.4.1"}


@pytest.mark.parametrize("release", ["1.22.0", "1.27.9", "1.28.0", "1.29.6", "1.30.3", "1.31.0"])
def test_the_bundle_of_a_release_is_one_that_its_istiod_watches(release: str) -> None:
    watched = {one.plural: one for one in all_for(WATCHED, release)}
    for body in definitions(installation(release)):
        one = Installed.of(msgspec.convert(body, shapes.Definition))
        if how := watched.get(one.plural):
            assert one.ignored(how, {}) is None


# As kubectl sees it


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    home = tmp_path_factory.mktemp("served")
    with started(home, *VERSIONS, "--state", "installed", "--gateway-api") as cluster:
        yield cluster


def kubectl(cluster: EmbeddedCluster, *words: str, given: str = "") -> str:
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(cluster.kubeconfig), *words],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


APPLIED = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: door, annotations: {networking.istio.io/service-type: ClusterIP}}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP}]
"""


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on the PATH")
def test_kubectl_sees_a_gateway_become_a_deployment_and_go_with_it(
    served: EmbeddedCluster,
) -> None:
    assert "istio.io/gateway-controller" in kubectl(served, "get", "gatewayclass", "istio")
    assert "created" in kubectl(served, "apply", "-f", "-", given=APPLIED)
    programmed = ("wait", "--for=condition=Programmed", "gtw/door", "--timeout=30s")
    assert "condition met" in kubectl(served, *programmed)
    assert "door-istio.default.svc.cluster.local" in kubectl(served, "get", "gtw", "door")
    assert "successfully rolled out" in kubectl(served, "rollout", "status", "deploy/door-istio")
    listed = kubectl(served, "get", "deployment,service,serviceaccount", "door-istio")
    assert listed.count("door-istio") == 3
    kubectl(served, "delete", "deployment", "door-istio")
    assert "successfully rolled out" in kubectl(served, "rollout", "status", "deploy/door-istio")
    kubectl(served, "delete", "gtw", "door", "--wait")
    gone = ("wait", "--for=delete", "deployment/door-istio", "--timeout=30s")
    kubectl(served, *gone)
    assert "NotFound" in kubectl(served, "get", "service", "door-istio")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on the PATH")
def test_a_misspelt_field_is_noticed_and_defaults_are_filled_in(served: EmbeddedCluster) -> None:
    wrong = APPLIED.replace("protocol:", "protocoll:").replace("door", "wrong")
    message = kubectl(served, "apply", "-f", "-", given=wrong)
    assert 'unknown field "spec.listeners[0].protocoll"' in message
    nobody = APPLIED.replace("door", "idle").replace(": istio\n", ": nobodys\n")
    kubectl(served, "apply", "-f", "-", given=nobody)
    body = json.loads(kubectl(served, "get", "gtw", "idle", "-o", "json"))
    assert body["spec"]["listeners"][0]["allowedRoutes"] == {"namespaces": {"from": "Same"}}
    assert body["status"]["conditions"][0]["message"] == "Waiting for controller"


def test_the_feature_is_declared_only_where_it_is(
    embedded: EmbeddedCluster, served: EmbeddedCluster
) -> None:
    assert "gateway-api" in served.ready["features"]
    assert "gateway-api" not in embedded.ready["features"]


@pytest.mark.parametrize(("which", "there"), [("embedded", False), ("served", True)])
def test_whoever_takes_a_cluster_finds_out(
    request: pytest.FixtureRequest,
    which: str,
    there: bool,  # noqa: FBT001 - a row's input
) -> None:
    cluster: EmbeddedCluster = request.getfixturevalue(which)
    with closing(Kube.of_context(cluster.kubeconfig, cluster.ready["context"])) as kube:
        found = find_out(kube, Picture(kube).nodes(), read_only=True, wanted="")
    assert ("gateway-api" in found.features) == there
