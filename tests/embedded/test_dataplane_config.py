"""What gateways are sent, rule by rule, and against what a real istiod sent a real gateway."""

from typing import Any

import pytest

from fixtures.providers.embedded.dataplane.gateway_config import for_gateway
from fixtures.providers.embedded.dataplane.mesh import Mesh, Proxy
from fixtures.providers.embedded.dataplane.routes import Asker, routes
from tests.embedded.small import recorded_mesh
from tests.recordings import ISTIO_1_29

Body = dict[str, Any]

INGRESS = Proxy("istio-system", {"app": "istio-ingressgateway", "istio": "ingressgateway"}, "::")
PAGE = "outbound|9080||productpage.bookinfons.svc.cluster.local"


def gateway(**server: Any) -> Body:
    fields = {
        "hosts": ["*"],
        "port": {"number": 8080, "protocol": "HTTP", "name": "http"},
    } | server
    return {
        "metadata": {"name": "bookinfo-gateway", "namespace": "bookinfons"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [fields]},
    }


def virtual_service(*rules: Body, **spec: Any) -> Body:
    return {
        "metadata": {"name": "bookinfo", "namespace": "bookinfons"},
        "spec": {
            "hosts": ["*"],
            "gateways": ["bookinfo-gateway"],
            "http": list(rules) or [to("productpage")],
            **spec,
        },
    }


def to(host: str, **rule: Any) -> Body:
    return {"route": [{"destination": {"host": host, "port": {"number": 9080}}}], **rule}


def service(name: str, namespace: str, selector: Body, **port: Any) -> Body:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": selector, "ports": [{"name": "http", "protocol": "TCP"} | port]},
    }


def reviews(*pods: tuple[str, bool]) -> Mesh:
    """A mesh with one Service whose pods are (address, ready)."""
    endpoints = [
        {"addresses": [address], "conditions": {"ready": ready}} for address, ready in pods
    ]
    labels = {"kubernetes.io/service-name": "reviews"}
    piece = {
        "metadata": {"namespace": "bookinfons", "labels": labels},
        "ports": [{"name": "http", "port": 9080}],
        "endpoints": endpoints,
    }
    return Mesh(
        services=[service("reviews", "bookinfons", {"app": "reviews"}, port=9080)], slices=[piece]
    )


def virtual_hosts(*services: Body, server: Body | None = None) -> dict[str, list[Body]]:
    mesh = Mesh(gateways=[gateway(**(server or {}))], virtual_services=list(services))
    (reported,) = for_gateway(mesh, INGRESS).config.routes
    return {host["name"]: host.get("routes", []) for host in reported["virtual_hosts"]}


def only_route(rule: Body) -> Body:
    (route,) = virtual_hosts(virtual_service(rule))["*:8080"]
    return route


def endpoints(mesh: Mesh) -> dict[str, list[str]]:
    return {
        cluster["name"]: [
            host["endpoint"]["address"]["socket_address"]["address"]
            for group in cluster["load_assignment"]["endpoints"]
            for host in group["lb_endpoints"]
        ]
        for cluster in for_gateway(mesh, INGRESS).config.clusters
    }


def test_a_gateway_that_no_gateway_object_selects_has_no_listener() -> None:
    elsewhere = gateway() | {"spec": {**gateway()["spec"], "selector": {"istio": "other"}}}
    assert for_gateway(Mesh(gateways=[elsewhere]), INGRESS).config.listeners == []


def test_a_server_port_of_the_service_is_bound_at_its_target_port() -> None:
    mesh = Mesh(
        gateways=[gateway(port={"number": 80, "protocol": "HTTP"})],
        services=[
            service("ingress", "istio-system", dict(INGRESS.labels), port=80, targetPort=8080)
        ],
    )
    (listener,) = for_gateway(mesh, INGRESS).config.listeners
    assert listener["address"]["socket_address"]["port_value"] == 8080


def test_a_server_that_passes_on_what_it_is_asked_for_is_named_as_left_out() -> None:
    port, tls = {"number": 15443, "protocol": "TLS"}, {"mode": "AUTO_PASSTHROUGH"}
    pushed = for_gateway(Mesh(gateways=[gateway(port=port, tls=tls)]), INGRESS)
    assert pushed.config.listeners == []
    words = "TLS server on port 15443 passes on whatever it is asked for"
    assert pushed.left_out == (f"bookinfons/bookinfo-gateway: {words}",)


def test_without_a_virtual_service_no_path_matches() -> None:
    assert virtual_hosts() == {"blackhole:8080": []}


def test_a_virtual_service_of_another_gateway_is_not_heard() -> None:
    assert virtual_hosts(virtual_service(gateways=["other"])) == {"blackhole:8080": []}


@pytest.mark.parametrize(
    ("server", "own", "met"),
    [
        pytest.param("*", "books.example", "books.example", id="server-takes-all"),
        pytest.param("books.example", "*", "books.example", id="service-takes-all"),
        pytest.param("*.example", "books.example", "books.example", id="wildcard"),
        pytest.param("bookinfons/*", "*", "*", id="its-namespace"),
        pytest.param("./*", "*", "*", id="same-namespace"),
        pytest.param("other/*", "*", None, id="other-namespace"),
        pytest.param("a.example", "b.example", None, id="different-hosts"),
    ],
)
def test_hosts_are_those_both_sides_speak_for(server: str, own: str, met: str | None) -> None:
    reported = virtual_hosts(virtual_service(hosts=[own]), server={"hosts": [server]})
    assert list(reported) == [f"{met}:8080" if met else "blackhole:8080"]


def test_a_short_host_is_of_the_rules_own_namespace_even_if_it_is_nowhere() -> None:
    route = only_route(to("nowhere"))["route"]
    assert route["cluster"] == "outbound|9080||nowhere.bookinfons.svc.cluster.local"


@pytest.mark.parametrize(
    ("match", "reported"),
    [
        pytest.param({"uri": {"exact": "/a"}}, {"path": "/a", "case_sensitive": True}, id="exact"),
        pytest.param(
            {"uri": {"prefix": "/a"}, "ignoreUriCase": True},
            {"prefix": "/a", "case_sensitive": False},
            id="prefix",
        ),
        pytest.param({"uri": {"regex": "/.*"}}, {"safe_regex": {"regex": "/.*"}}, id="regex"),
        pytest.param(
            {"headers": {"end-user": {"exact": "jason"}}, "method": {"exact": "GET"}},
            {
                "prefix": "/",
                "case_sensitive": True,
                "headers": [
                    {"name": ":method", "string_match": {"exact": "GET"}},
                    {"name": "end-user", "string_match": {"exact": "jason"}},
                ],
            },
            id="headers",
        ),
        pytest.param(
            {"headers": {"x": {}}, "queryParams": {"q": {"regex": "1+"}}},
            {
                "prefix": "/",
                "case_sensitive": True,
                "headers": [{"name": "x", "present_match": True}],
                "query_parameters": [
                    {"name": "q", "string_match": {"safe_regex": {"regex": "1+"}}}
                ],
            },
            id="present-header-and-query",
        ),
    ],
)
def test_matches(match: Body, reported: Body) -> None:
    assert only_route(to("productpage", match=[match]))["match"] == reported


def test_a_route_that_takes_everything_comes_last() -> None:
    reported = virtual_hosts(virtual_service(to("all"), to("a", match=[{"uri": {"exact": "/a"}}])))
    assert [route["match"].get("path", "/") for route in reported["*:8080"]] == ["/a", "/"]


def test_weights_share_the_requests() -> None:
    rule = {
        "route": [
            {"destination": {"host": "one.here", "port": {"number": 1}}, "weight": 75},
            {"destination": {"host": "two.here", "port": {"number": 2}}, "weight": 25},
        ]
    }
    clusters = only_route(rule)["route"]["weighted_clusters"]["clusters"]
    assert [(one["name"], one["weight"]) for one in clusters] == [
        ("outbound|1||one.here", 75),
        ("outbound|2||two.here", 25),
    ]


def test_rewrites() -> None:
    rule = to("ratings", rewrite={"uri": "/other", "authority": "else"})
    forward = only_route(rule)["route"]
    assert (forward["prefix_rewrite"], forward["host_rewrite_literal"]) == ("/other", "else")


@pytest.mark.parametrize(
    "rule",
    [
        to("ratings", mirror={"host": "reviews"}),
        to("ratings", corsPolicy={"allowOrigins": [{"exact": "*"}]}),
        {"delegate": {"name": "other"}},
    ],
    ids=["mirror", "cors", "delegate"],
)
def test_a_rule_with_what_is_not_served_answers_so(rule: Body) -> None:
    answer = only_route(rule)["direct_response"]
    assert answer["status"] == 501
    assert "does not serve" in answer["body"]["inline_string"]


def test_a_match_for_another_gateway_makes_no_route() -> None:
    rule = to("productpage", match=[{"gateways": ["other"]}])
    found = routes(virtual_service(), rule, Asker("bookinfons/it", 8080), to=str)
    assert list(found) == []


def test_only_ready_endpoints_get_requests() -> None:
    mesh = reviews(("10.0.0.1", True), ("10.0.0.2", True), ("10.0.0.3", False))
    name = "outbound|9080||reviews.bookinfons.svc.cluster.local"
    assert endpoints(mesh) == {name: ["10.0.0.1", "10.0.0.2"]}


# Against a real gateway's configuration


@pytest.fixture(scope="module")
def recorded() -> Mesh:
    return recorded_mesh()


def real(kind: str, items: str) -> list[Body]:
    dump = ISTIO_1_29.json("istio/gateway-config_dump.json")
    (part,) = [one for one in dump["configs"] if one["@type"].endswith(f".{kind}")]
    return list(part[items])


def test_routes_are_those_of_a_real_gateway(recorded: Mesh) -> None:
    (reported,) = for_gateway(recorded, INGRESS).config.routes
    (dumped,) = real("RoutesConfigDump", "dynamic_route_configs")
    wanted = dumped["route_config"]
    del wanted["@type"]
    for host in wanted["virtual_hosts"]:
        for route in host["routes"]:
            del route["decorator"]  # names spans; nothing here traces
    assert reported == wanted


def test_clusters_and_endpoints_are_those_of_a_real_gateway(recorded: Mesh) -> None:
    names = {
        one["cluster"]["name"] for one in real("ClustersConfigDump", "dynamic_active_clusters")
    }
    found = endpoints(recorded)
    assert set(found) == names - {"BlackHoleCluster"}
    lines = ISTIO_1_29.text("istio/gateway-clusters.txt").splitlines()
    page = {line.split("::")[1] for line in lines if line.startswith(f"{PAGE}::10.")}
    assert {f"{address}:9080" for address in found[PAGE]} == page


def test_the_access_log_is_a_real_gateways(recorded: Mesh) -> None:
    (reported,) = for_gateway(recorded, INGRESS).config.listeners
    (dumped,) = real("ListenersConfigDump", "dynamic_listeners")
    wanted = dumped["active_state"]["listener"]
    assert (reported["name"], reported["access_log"]) == (wanted["name"], wanted["access_log"])
    ours, theirs = (
        one["filter_chains"][0]["filters"][0]["typed_config"] for one in (reported, wanted)
    )
    assert ours["access_log"][:-1] == theirs["access_log"]  # by the last one requests are counted
    for field in ("server_name", "use_remote_address", "normalize_path"):
        assert ours[field] == theirs[field]
