"""Without a NodePort the routes are asked through a port-forward, by the same claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fixtures.claims import ClaimFailed
from fixtures.istio.control_plane import ControlPlane
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
