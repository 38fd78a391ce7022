"""Without a NodePort the routes are asked through a port-forward, by the same claims."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace

import pytest
import trustme

from fixtures.claims import ClaimFailed, expect
from fixtures.claims.deadlines import SETTLED
from fixtures.claims.waiting import eventually
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.credentials import Credentials
from fixtures.istio.gateway import Gateway
from fixtures.istio.releases import expected
from fixtures.k8s import Kube
from fixtures.providers.base import Access
from fixtures.traffic.access_log import LogFormat, LogReader
from fixtures.traffic.client import Client, Mark
from fixtures.traffic.gateway_access import AccessPath
from tests.embedded.conftest import EmbeddedCluster


@pytest.fixture(scope="module")
def forwarded(embedded: EmbeddedCluster) -> Iterator[Client]:
    """Somebody who reaches the gateway's pod by a port-forward alone."""
    entries = [embedded.ready[key] for key in ("context", "istio", "kubernetes")]
    kube = Kube.connect(
        Access(embedded.kubeconfig, entries[0], None, "rehearsal", "test", entries[1], entries[2])
    )
    rows = expected(entries[1], entries[2], [entries[2]])
    path = AccessPath("gateway-forward")
    yield Client(Gateway(kube, rows, path, ControlPlane(kube, rows)))
    kube.close()


def test_each_route_and_none_are_answered(forwarded: Client) -> None:
    forwarded.expect_routes()
    forwarded.expect_unrouted()
    forwarded.expect_whole_page()
    forwarded.expect_upstream()


def test_the_host_name_is_sent(forwarded: Client) -> None:
    named = replace(forwarded, gateway=replace(forwarded.gateway, host="a.seatrial.example"))
    named.expect_products()  # its routes take every host
    assert "-H 'Host: a.seatrial.example'" in named.gateway.curl("http://localhost:8080", "/")[1]


def test_a_failure_is_explained_without_the_node(
    forwarded: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gateway, "pods", lambda _: ())
    base = forwarded.gateway.base()
    reader = LogReader(
        forwarded.gateway.kube, "istio-proxy", LogFormat.of(forwarded.gateway.expected.options)
    )
    with pytest.raises(ClaimFailed, match="no pod of gateway istio-ingressgateway is ready"):
        forwarded._fetch(base, "/productpage", Mark("x", reader))
    names = [hop.name for hop in forwarded._request_path().hops()]
    assert names[0] == "Service -> pod of the gateway"


def test_a_credential_is_served_while_its_secret_is_there(forwarded: Client) -> None:
    kube, credentials = forwarded.gateway.kube, Credentials(forwarded.gateway.kube)
    leaf = trustme.CA().issue_cert("shop.example")
    chain, key = leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()
    data = {"tls.crt": base64.b64encode(chain).decode(), "tls.key": base64.b64encode(key).decode()}
    secret = {"metadata": {"name": "shop"}, "type": "kubernetes.io/tls", "data": data}
    tls = {"mode": "SIMPLE", "credentialName": "shop"}
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    servers = [{"port": port, "hosts": ["shop.example"], "tls": tls}]
    spec = {"selector": {"istio": "ingressgateway"}, "servers": servers}
    kube.create(
        "gateways.networking.istio.io", {"metadata": {"name": "shop"}, "spec": spec}, "default"
    )
    try:
        kube.create("secrets", secret, "istio-system")
        credentials.expect_served()
        kube.delete("secrets", "shop", "istio-system")

        def must_be_closed() -> None:
            (named,) = credentials.named()
            expect(str(named), expected=(), got=credentials.shown(named).chain)

        eventually(must_be_closed, within=SETTLED)
    finally:
        kube.delete("gateways.networking.istio.io", "shop", "default")
