"""The client in the mesh: its script under this Python, and how it is given orders."""

from __future__ import annotations

import ast
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
import trustme

from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import timeout
from fixtures.k8s import Kube, Unreachable
from fixtures.setup.clients import CLIENTS, SERVER, documents
from fixtures.traffic.in_mesh import MeshAnswer, MeshClient, settled
from tests.unit.scripts import load

SCRIPT = Path(__file__).parents[2] / "fixtures" / "manifests" / "client.py"
SOON = timeout("it is so in a test", 2)


@dataclass
class Running:
    """The script, serving at ports of this machine."""

    script: ModuleType
    control: int
    application: int

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.application}{path}"


@pytest.fixture
def running() -> Iterator[Running]:
    script = load(SCRIPT)
    both = script.servers(0, 0)
    for server in both:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield Running(script, *(server.server_address[1] for server in both))
    for server in both:
        server.shutdown()
        server.server_close()


POD = {
    "metadata": {"name": "seatrial-client-1", "namespace": "bookinfons", "uid": "1"},
    "spec": {"containers": [{"name": "client", "image": "productpage:1.20.3"}]},
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "client", "ready": True, "restartCount": 0, "image": ""}],
    },
}


class OneDoor:
    """An API whose one pod forwards to a port of this machine, and counts the streams."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.opened: list[socket.socket] = []

    def list(self, *_: object, **__: object) -> list[dict[str, Any]]:
        return [POD]

    @contextmanager
    def forward(self, *_: object) -> Iterator[OneDoor]:
        yield self

    @contextmanager
    def connect(self, *_: object) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), 5) as end:
            self.opened.append(end)
            yield end


def client_of(running: Running) -> tuple[MeshClient, OneDoor]:
    door = OneDoor(running.control)
    return MeshClient(cast("Kube", door), "seatrial-client", "bookinfons"), door


@pytest.fixture
def client(running: Running) -> Iterator[MeshClient]:
    made, _ = client_of(running)
    yield made
    made.close()


def test_it_is_python_3_7() -> None:
    tree = ast.parse(SCRIPT.read_text("utf-8"), feature_version=(3, 7))
    newer = {
        "removeprefix",
        "removesuffix",
        "bit_count",
        "cache",
        "pairwise",
        "get_unverified_chain",
    }
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & newer


def test_it_imports_the_standard_library_of_3_7_alone() -> None:
    tree = ast.parse(SCRIPT.read_text("utf-8"))
    found = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert found == {
        "__future__", "collections", "collections.abc", "concurrent.futures", "http.client",
        "http.server", "json",
        "os", "signal", "socket", "socketserver", "ssl", "struct", "sys", "threading", "time",
        "typing", "urllib.parse",
    }  # fmt: skip


def test_a_batch_is_answered_one_by_one(running: Running, client: MeshClient) -> None:
    answers = client.requests(running.url("/status/418"), 7, parallel=3)
    assert [answer.status for answer in answers] == [418] * 7
    assert client.sent == 7
    assert all(answer.pod for answer in answers)


def test_all_orders_go_over_one_stream(running: Running) -> None:
    client, door = client_of(running)
    for _ in range(3):
        client.request(running.url("/headers"))
    assert len(door.opened) == 1
    client.close()


def test_a_broken_stream_is_told_and_opened_again(running: Running) -> None:
    client, door = client_of(running)
    client.request(running.url("/headers"))
    door.opened[0].shutdown(socket.SHUT_RDWR)
    with pytest.raises(Unreachable, match="client bookinfons/seatrial-client, port 8081"):
        client.request(running.url("/headers"))
    assert client.request(running.url("/headers")).status == 200
    client.close()


def test_headers_travel_and_are_told(running: Running, client: MeshClient) -> None:
    answer = client.request(running.url("/headers"), headers={"end-user": "jason", "Host": "me"})
    told = {name.lower(): value for name, value in answer.json["headers"].items()}
    assert (told["end-user"], told["host"]) == ("jason", "me")


def test_the_first_requests_of_a_key_fail(running: Running, client: MeshClient) -> None:
    answers = client.requests(running.url("/flaky/mine?fail=2&status=500"), 4)
    assert [answer.status for answer in answers] == [500, 500, 200, 200]
    assert client.request(running.url("/count/mine")).json["count"] == 4
    assert client.request(running.url("/count/other")).json["count"] == 0


def test_any_request_can_be_counted(running: Running, client: MeshClient) -> None:
    client.requests(running.url("/status/200?key=k"), 3, parallel=3)
    assert client.request(running.url("/count/k")).json["count"] == 3


def test_a_slow_answer_takes_its_time(running: Running, client: MeshClient) -> None:
    assert client.request(running.url("/delay/0.2")).seconds >= 0.2


def test_a_late_answer_is_a_timeout(running: Running, client: MeshClient) -> None:
    answer = client.request(running.url("/delay/5"), timeout=timeout("one request", 0.1))
    assert (answer.status, answer.kind) == (0, "timeout")
    assert str(answer).startswith("no answer (timeout: ")


def test_a_closed_port_refuses(client: MeshClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = client.request(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert (answer.status, answer.kind) == (0, "refused")


def test_nonsense_is_no_order(running: Running, client: MeshClient) -> None:
    with pytest.raises(Unreachable, match="nonsense"):
        client.requests(running.url("/"), 1, parallel=cast("int", "nonsense"))
    assert client.request(running.url("/headers")).status == 200


@contextmanager
def tls_server(configure: Callable[[ssl.SSLContext], None]) -> Iterator[int]:
    """A port that wants a client's certificate, as a sidecar does, and shakes hands once."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("reviews.example").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    configure(context)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    end, _ = listening.accept()
                except OSError:
                    return
                with end:
                    try:
                        context.wrap_socket(end, server_side=True).close()
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def test_a_handshake_shows_the_chain_though_it_is_refused(client: MeshClient) -> None:
    with tls_server(lambda context: context.set_alpn_protocols(["istio"])) as port:
        found = client.handshake("127.0.0.1", port, sni="outbound_.9080_._.r.n", alpn=["istio"])
    assert len(found.chain) >= 1
    assert found.chain[0].startswith("-----BEGIN CERTIFICATE-----")
    assert found.kind == "alert"


def test_a_server_of_tls_1_3_alone_shows_its_certificate(client: MeshClient) -> None:
    def newest(context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_3

    with tls_server(newest) as port:
        found = client.handshake("127.0.0.1", port)
    assert (len(found.chain), found.version) == (1, "TLSv1.3")


def test_a_port_without_tls_shows_nothing(running: Running, client: MeshClient) -> None:
    found = client.handshake("127.0.0.1", running.application)
    assert (found.chain, found.version) == ((), "")
    assert found.kind in {"alert", "reset"}


# What is applied, and what is awaited


def test_each_client_has_an_identity_and_the_script() -> None:
    found = documents("hub/examples-bookinfo-productpage-v1:1.20.3")
    by_kind = {
        kind: [one["metadata"]["name"] for one in found if one["kind"] == kind]
        for kind in ("ServiceAccount", "Deployment", "Service", "ConfigMap")
    }
    assert by_kind["ServiceAccount"] == by_kind["Deployment"] == list(CLIENTS)
    assert by_kind["Service"] == [SERVER]
    script = next(one for one in found if one["kind"] == "ConfigMap")["data"]["client.py"]
    assert script == SCRIPT.read_text("utf-8")


def _answer(status: int) -> MeshAnswer:
    return MeshAnswer(status, {}, "", 0.01)


def test_settled_waits_for_a_whole_sample() -> None:
    samples = iter([[_answer(200), _answer(503)], [_answer(503)], [_answer(200)] * 5])
    settled("a rule", lambda: next(samples), lambda one: one.status == 200, expected="200")
    assert next(samples, None) is None


def test_what_does_not_settle_says_what_came_instead() -> None:
    with pytest.raises(ClaimFailed, match=r"a rule: expected all to v1, got 2 x 200, 1 x 503"):
        settled(
            "a rule",
            lambda: [_answer(200), _answer(503), _answer(200)],
            lambda one: one.status == 200,
            expected="all to v1",
            within=timeout("it settles", 0.05),
        )
