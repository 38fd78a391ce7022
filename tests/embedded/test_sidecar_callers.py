"""What a sidecar counts of its callers: known by mutual TLS, or as one proxy tells another."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.providers.embedded.dataplane.telemetry import MARK, Counters, Workload

SPIFFE = "spiffe://cluster.local/ns/shop/sa/menu"


def pod(name: str, *containers: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "labels": {"app": name}}
    return {"metadata": metadata, "spec": {"containers": [{"name": one} for one in containers]}}


OWN = Workload.of(pod("cart", "app", "istio-proxy"))
CALLERS = {
    "10.0.0.1": Workload.of(pod("menu", "app", "istio-proxy")),
    "10.0.0.2": Workload.of(pod("plain", "app")),
}


def line(caller: str, *, secured: bool, protocol: str = "HTTP/1.1") -> str:
    """What Envoy writes of a request, or of a connection that is no HTTP."""
    peer, version = (SPIFFE, "TLSv1.3") if secured else ("-", "-")
    fields = (protocol, "200", "-", "1", "0", "5", peer, "-", "10.0.0.9:80", caller)
    return "\t".join([MARK, *fields, "inbound|80||", "-", version])


@pytest.mark.parametrize(
    ("written", "source", "policy"),
    [
        (line("10.0.0.1", secured=True), "menu", "mutual_tls"),
        (line("10.0.0.1", secured=False), "menu", "none"),
        (line("10.0.0.2", secured=False), "unknown", "none"),
        (line("10.0.0.1", secured=False, protocol="-"), "unknown", "none"),
    ],
    ids=["mutual TLS", "plain text of a sidecar", "without a sidecar", "no HTTP"],
)
def test_a_caller_is_known_as_far_as_it_tells(written: str, source: str, policy: str) -> None:
    counters = Counters(OWN, CALLERS.get)
    counters.count(written)
    total = next(one for one in counters.text().splitlines() if one.startswith("istio_"))
    assert f'source_workload="{source}"' in total
    assert f'connection_security_policy="{policy}"' in total
    assert 'destination_workload="cart"' in total
