"""A client outside judges answers, finds its own line in the log, and explains what failed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, start_observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.gateway import Gateway
from fixtures.istio.releases import expected
from fixtures.istio.releases.bookinfo import TITLE
from fixtures.k8s import Body, Unreachable
from fixtures.traffic.client import ROUTES, Client
from fixtures.traffic.gateway_access import AccessPath
from tests.unit.states import FakeKube

UPSTREAM = "outbound|9080||productpage.bookinfons.svc.cluster.local"
PRODUCTS = '[{"id": 0, "title": "The Comedy of Errors"}]'
GOOD = {
    "/productpage": (200, f"{TITLE} Book Details"),
    "/static/tailwind/tailwind.css": (200, "css"),
    "/login": (405, ""),
    "/logout": (302, ""),
    "/api/v1/products": (200, PRODUCTS),
}


@dataclass
class Mesh:
    """A gateway with an application behind it, of one process."""

    answers: dict[str, tuple[int, str]] = field(default_factory=lambda: dict(GOOD))
    flags: str = "NR route_not_found"
    silent: bool = False
    log: list[str] = field(default_factory=list)
    pods: list[str] = field(default_factory=lambda: ["istio-ingressgateway-1"])
    ready: bool = True

    def answer(self, target: str) -> tuple[int, str, bool]:
        path = target.partition("?")[0]
        found = self.answers.get(path)
        status, body = found or (404 if self.flags.startswith("NR") else 503, "")
        cluster = UPSTREAM if found else "-"
        if not self.silent:
            flags = "- via_upstream" if found else self.flags
            self.log.append(
                f'[2026-01-02T03:04:05.678Z] "GET {target} HTTP/1.1" {status} {flags} - "-" 0 0 1 '
                f'1 "10.1.0.1" "x" "id" "host" "-" {cluster} - 10.1.0.24:8080 10.1.0.1:4861 - -'
            )
        return status, body, bool(found)


class MeshKube(FakeKube):
    """What of it the API would tell."""

    def __init__(self, mesh: Mesh, port: int) -> None:
        ports = [{"name": "http2", "port": 80, "targetPort": 8080, "nodePort": port}]
        service = a_body("istio-ingressgateway", spec={"type": "LoadBalancer", "ports": ports})
        super().__init__({"v1/services": [service]})
        self.mesh = mesh
        self.listening = {8080, 9080}

    def list(self, kind: str, namespace: str | None = None, **how: str) -> list[Body]:
        if kind == "pods":
            return [a_body(name, spec={"containers": []}) for name in self.mesh.pods]
        if kind == "endpointslices.discovery.k8s.io":
            endpoint = {"addresses": ["10.1.0.24"], "conditions": {"ready": self.mesh.ready}}
            return [{"endpoints": [endpoint], "ports": [{"port": 8080}]}]
        return super().list(kind, namespace, **how)

    def logs(self, *_: object, **__: object) -> str:
        return "\n".join(["info\tEnvoy proxy is ready", *self.mesh.log])

    @contextmanager
    def forward(self, pod: str, namespace: str, port: int) -> Iterator[Any]:
        if port not in self.listening:
            raise Unreachable(f"port {port} of pod {namespace}/{pod}: connection refused")
        yield self

    def get(self, *_: object, **__: object) -> Body:
        return {}


def a_body(name: str, spec: Body) -> Body:
    return {"metadata": {"name": name, "namespace": "istio-system"}, "spec": spec, "status": {}}


@contextmanager
def serving(mesh: Mesh) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server calls it so
            status, body, upstream = mesh.answer(self.path)
            self.send_response(status)
            if upstream:
                self.send_header("x-envoy-upstream-service-time", "1")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.01):
        yield


@pytest.fixture
def mesh() -> Mesh:
    return Mesh()


@pytest.fixture
def port(mesh: Mesh) -> Iterator[int]:
    with serving(mesh) as port:
        yield port


@pytest.fixture
def kube(mesh: Mesh, port: int) -> Any:
    return MeshKube(mesh, port)


@pytest.fixture
def client(kube: Any) -> Client:
    rows = expected("1.31.0", "v1.35.0", ["v1.35.0"])
    return Client(
        Gateway(kube, rows, AccessPath("node-port", "127.0.0.1"), ControlPlane(kube, rows))
    )


def seen(request: Callable[[], object]) -> str:
    with pytest.raises(ClaimFailed) as caught:
        request()
    return str(caught.value)


def test_a_good_mesh_holds(client: Client) -> None:
    client.expect_routes()
    client.expect_unrouted()
    client.expect_products()
    client.expect_whole_page()
    client.expect_steady(samples=3)
    client.expect_upstream()
    client.expect_unrouted_logged()


def test_requests_are_reported_as_they_went(client: Client) -> None:
    reported = start_observing()
    client.expect_whole_page()
    client.expect_unrouted()
    client.expect_upstream()
    edges = {(c.source, c.target, c.outcome, c.answered, c.tls) for c in reported.calls}
    assert edges == {
        ("client", "istio-ingressgateway", "200", True, ""),
        ("client", "istio-ingressgateway", "404", True, ""),
        ("client", "istio-ingressgateway", "200", True, "plain text"),
        ("istio-ingressgateway", "productpage", "200", True, ""),
        ("productpage", "details", "shown", True, ""),
        ("productpage", "reviews", "shown", True, ""),
    }


def test_a_request_that_nobody_answers_is_reported_so(client: Client, mesh: Mesh) -> None:
    mesh.answers.clear()
    mesh.flags = "UH no_healthy_upstream"
    reported = start_observing()
    seen(lambda: client.expect_route("productpage"))
    assert {(c.target, c.answered) for c in reported.calls} == {("istio-ingressgateway", False)}


def test_request_answer_and_log_line_are_the_evidence(client: Client, mesh: Mesh) -> None:
    mesh.answers["/login"] = (200, "not a login")
    with pytest.raises(ClaimFailed) as caught:
        client.expect_route("login")
    evidence = caught.value.evidence
    assert evidence.startswith("GET http://127.0.0.1:")
    assert "HTTP 200\n" in evidence
    assert "x-envoy-upstream-service-time: 1" in evidence
    assert "not a login" in evidence
    assert "The gateway's access log:\n[2026-01-02" in evidence


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_that_is_missing_is_explained_by_the_log(
    client: Client, mesh: Mesh, route: str
) -> None:
    mesh.answers.clear()
    message = seen(lambda: client.expect_route(route))
    assert "from the application" in message
    assert "got 404 (no body) from the gateway itself" in message
    assert "NR: no route matches" in message
    assert "details route_not_found" in message
    assert "first broken hop" not in message
    assert "next: curl -i http://127.0.0.1" in message


def test_an_endpoint_less_route_is_explained_by_the_log(client: Client, mesh: Mesh) -> None:
    mesh.answers.clear()
    mesh.flags = "UH no_healthy_upstream"
    message = seen(lambda: client.expect_route("productpage"))
    assert "UH: no healthy endpoint" in message


def test_a_route_too_many_is_noticed(client: Client, mesh: Mesh) -> None:
    mesh.answers["/health"] = (200, "well")
    message = seen(client.expect_unrouted)
    assert "expected 404 from the gateway itself, got 200 (well) from the application" in message


def test_an_answer_that_changes_is_noticed(client: Client, mesh: Mesh) -> None:
    """One good answer is no proof: the same is asked again for a moment."""
    requested = 0
    good = mesh.answer

    def flap(target: str) -> tuple[int, str, bool]:
        nonlocal requested
        requested += 1
        return good(target) if requested < 4 else (503, "", False)

    mesh.answer = flap  # type: ignore[method-assign]  # the fake's own way to flap
    assert "(sample 3 of 5)" in seen(lambda: client.expect_route("login"))


def test_a_page_with_an_error_inside_is_noticed(client: Client, mesh: Mesh) -> None:
    mesh.answers["/productpage"] = (200, f"{TITLE}\nError fetching product reviews")
    assert "got Error fetching product reviews" in seen(client.expect_whole_page)


def test_products_that_are_no_json_are_noticed(client: Client, mesh: Mesh) -> None:
    mesh.answers["/api/v1/products"] = (200, "<html>")
    assert "no JSON list of products" in seen(client.expect_products)


def test_a_request_without_line_in_the_log_is_noticed(client: Client, mesh: Mesh) -> None:
    mesh.silent = True
    message = seen(client.expect_upstream)
    assert "expected the line of this request, got no line" in message
    assert "1 pods of the gateway" in message


def test_another_upstream_is_noticed(client: Client, mesh: Mesh) -> None:
    mesh.answers.pop("/productpage")
    assert f"expected {UPSTREAM}, got none; NR" in seen(client.expect_upstream)


# The hops, from the near end


@pytest.fixture
def nobody(kube: MeshKube) -> MeshKube:
    """The same mesh behind a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    kube.change("services", "istio", lambda s: s["spec"]["ports"][0].update(nodePort=closed))
    return kube


@pytest.mark.usefixtures("nobody")
def test_a_refused_port_over_a_listening_gateway_is_kube_proxys(client: Client) -> None:
    message = seen(lambda: client.expect_route("productpage"))
    assert "got none: " in message
    assert "first broken hop: NodePort " in message
    assert "the gateway's access log has no line of this request" in message


def test_a_gateway_without_endpoints_is_named(
    client: Client, mesh: Mesh, nobody: MeshKube
) -> None:
    mesh.ready = False
    assert nobody.mesh is mesh
    message = seen(lambda: client.expect_route("productpage"))
    assert "first broken hop: node -> Service istio-ingressgateway" in message
    assert "none ready, 1 not ready" in message


def test_a_gateway_without_listener_is_named(client: Client, nobody: MeshKube) -> None:
    nobody.listening = {9080}
    message = seen(lambda: client.expect_route("productpage"))
    assert "first broken hop: Service -> pod of the gateway: port 8080" in message


def test_an_application_that_does_not_listen_is_named(
    client: Client, mesh: Mesh, kube: MeshKube
) -> None:
    mesh.answers.clear()
    mesh.flags = "UF upstream_reset_before_response_started"
    kube.listening = {8080}
    message = seen(lambda: client.expect_route("productpage"))
    assert "UF: the connection to the endpoint failed" in message
    assert "first broken hop: Service -> pod of productpage: port 9080" in message
