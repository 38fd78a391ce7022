"""What a gateway answers to a handshake, and what follows of it for the credential it names."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from fixtures.claims import ClaimFailed, NotApplicable
from fixtures.claims.observations import observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.credentials import Credentials
from fixtures.k8s import Body, Refused, Unreachable
from tests.unit.states import FakeKube, as_kube

HOST = "shop.example"
CA = trustme.CA()
Serve = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


class Gateway(FakeKube):
    """A cluster with one gateway's pod, whose port is a real socket of this machine."""

    def __init__(self, serve: Serve | None, server: Body | None = None, label: str = "") -> None:
        labels = {label: "true"} if label else {}
        tls = {"mode": "SIMPLE", "credentialName": "shop-certificate"}
        port = {"number": 443, "name": "https", "protocol": "HTTPS"}
        servers = [{"port": port, "tls": tls, "hosts": [f"*/{HOST}"]} | (server or {})]
        named = [{"name": "https", "port": 443, "targetPort": "secure"}]
        super().__init__(
            {
                "v1/pods": [_pod("istio-system")],
                "v1/services": [
                    {
                        "metadata": {"name": "gw", "namespace": "istio-system", "labels": labels},
                        "spec": {"selector": {"istio": "gw"}, "ports": named},
                    }
                ],
                "networking.istio.io/v1/gateways": [
                    {
                        "metadata": {"name": "shop", "namespace": "shop"},
                        "spec": {"selector": {"istio": "gw"}, "servers": servers},
                    }
                ],
            }
        )
        self.serve = serve
        self.ports: list[int] = []

    @contextmanager
    def forward(self, _pod: str, _namespace: str, port: int) -> Iterator[Any]:
        self.ports.append(port)
        yield SimpleNamespace(connect=self._connect)

    @contextmanager
    def _connect(self) -> Iterator[socket.socket]:
        if self.serve is None:
            raise Unreachable("port 8443 of pod x: dial tcp4 127.0.0.1:8443: connection refused")
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=self._served, args=(theirs,), daemon=True)
        thread.start()
        ours.settimeout(5)
        try:
            yield ours
        except OSError as e:
            raise Unreachable(f"port 8443 of pod x: {e}") from e
        finally:
            ours.close()
            thread.join(5)

    def _served(self, theirs: socket.socket) -> None:
        assert self.serve
        with theirs:
            self.serve(theirs)


def _pod(namespace: str) -> Body:
    container = {"name": "istio-proxy", "ports": [{"name": "secure", "containerPort": 8443}]}
    status = {"name": "istio-proxy", "ready": True, "state": {"running": {}}}
    return {
        "metadata": {
            "name": "gw-1",
            "namespace": namespace,
            "uid": "1",
            "labels": {"istio": "gw"},
        },
        "spec": {"nodeName": "n", "containers": [container]},
        "status": {
            "phase": "Running",
            "containerStatuses": [status],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def certified(connection: socket.socket, **options: Any) -> None:
    """Serve a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(HOST).configure_cert(context)
    for name, value in options.items():
        setattr(context, name, value)
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)
    except OSError:  # the other end says what went wrong
        pass


def closing(connection: socket.socket) -> None:
    """Close whatever connects, as a listener does without a certificate."""
    connection.recv(4096)


def behind_a_load_balancer(connection: socket.socket) -> None:
    """Want a PROXY header first."""
    if connection.recv(6, socket.MSG_PEEK) == b"PROXY ":
        while connection.recv(1) != b"\n":
            pass
        certified(connection)


def strict_about_clients(connection: socket.socket) -> None:
    """Want a client's certificate within the handshake, as TLS 1.2 does."""
    CA.configure_trust(context := ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    CA.issue_cert(HOST).configure_cert(context)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2
    try:
        context.wrap_socket(connection, server_side=True).close()
    except OSError:
        connection.close()


@pytest.mark.parametrize(
    "serve", [certified, behind_a_load_balancer], ids=["plainly", "behind a load balancer"]
)
def test_a_certificate_that_is_served_is_enough(serve: Serve) -> None:
    kube = Gateway(serve)
    with observing() as observations:
        Credentials(as_kube(kube)).expect_served()
    assert observations.inspected == 1
    assert set(kube.ports) == {8443}, "the Service names the pod's port"


@pytest.mark.parametrize(
    ("serve", "words"),
    [(None, "nothing listens there"), (closing, "closes the connection")],
    ids=["no listener", "a listener without a certificate"],
)
def test_a_credential_that_no_gateway_serves_is_reported(serve: Serve | None, words: str) -> None:
    with pytest.raises(ClaimFailed) as failed:
        Credentials(as_kube(Gateway(serve))).expect_served()
    message = str(failed.value)
    assert "credential shop-certificate of Gateway shop/shop: port 8443 of pod" in message
    assert words in message
    assert f"asked for {HOST}" in message


def test_a_gateway_that_wants_its_clients_certificate_is_not_called_broken() -> None:
    with observing() as observations:
        Credentials(as_kube(Gateway(strict_about_clients))).expect_served()
    (reported,) = observations.notes
    assert "was not seen" in reported
    assert "alert" in reported


def test_a_listener_of_tls_for_tcp_may_be_idle() -> None:
    server = {"port": {"number": 443, "name": "tls", "protocol": "TLS"}}
    with observing() as observations:
        Credentials(as_kube(Gateway(None, server))).expect_served()
    assert "nothing listens there" in observations.notes[0]


def test_a_user_who_may_not_forward_ports_hears_so(monkeypatch: pytest.MonkeyPatch) -> None:
    kube = Gateway(certified)

    def refused(*_: Any) -> None:
        raise Refused(403, message="pods/portforward is forbidden")

    monkeypatch.setattr(kube, "forward", refused)
    with observing() as observations:
        Credentials(as_kube(kube)).expect_served()
    assert "pods/portforward is forbidden" in observations.notes[0]


def test_a_service_whose_ports_are_those_of_its_pods() -> None:
    kube = Gateway(certified, label="experimental.istio.io/disable-gateway-port-translation")
    Credentials(as_kube(kube)).expect_served()
    assert kube.ports == [443]


def test_without_a_credential_there_is_nothing_to_serve() -> None:
    server = {"tls": {"mode": "ISTIO_MUTUAL"}}
    with pytest.raises(NotApplicable):
        Credentials(as_kube(Gateway(certified, server))).expect_served()
