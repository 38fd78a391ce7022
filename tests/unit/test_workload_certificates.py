"""Which workloads' certificates are looked at, and what is said of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from fixtures.claims.observations import observing
from fixtures.istio.workload_certificates import ADMIN, PAGE, held, identities, sampled
from fixtures.k8s import Reply, Unreachable
from fixtures.k8s.pod import Pod
from tests.unit.states import FakeKube, as_kube

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NAME = "spiffe://cluster.local/ns/shop/sa/cart"


def certificate(uri: str, hours: int) -> x509.Certificate:
    """One for a workload, which ends so many hours from now."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(hours=hours))
        .add_extension(names, critical=True)
        .sign(key, SHA256())
    )


def secret(name: str, *chain: x509.Certificate) -> dict[str, Any]:
    """A secret as a proxy shows it."""
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
    inline = {"inline_bytes": base64.b64encode(pem).decode()}
    served = {"certificate_chain": inline, "private_key": {"inline_bytes": "W3JlZGFjdGVkXQ=="}}
    return {"name": name, "secret": {"name": name, "tls_certificate": served}}


class Proxies(FakeKube):
    """Pods whose proxies show these secrets; others refuse."""

    def __init__(self, shown: Mapping[str, list[Any]]) -> None:
        super().__init__({})
        self.shown = shown

    @contextmanager
    def forward(self, pod: str, _namespace: str, port: int) -> Iterator[Any]:
        assert port == ADMIN

        def get(path: str) -> Reply:
            assert path == PAGE
            if pod not in self.shown:
                raise Unreachable("connection refused")
            return Reply(200, {}, json.dumps({"configs": self.shown[pod]}))

        yield SimpleNamespace(get=get)


def pod(name: str, namespace: str, day: int, *, ready: bool = True, ambient: bool = False) -> Pod:
    """One pod of a workload, which is its name without the last part."""
    made_by = {"kind": "ReplicaSet", "name": name.rpartition("-")[0], "controller": True}
    return Pod.of(
        {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": name,
                "creationTimestamp": f"2026-11-{day:02}T00:00:00Z",
                "ownerReferences": [made_by],
                "annotations": {"ambient.istio.io/redirection": "enabled"} if ambient else {},
            },
            "spec": {"containers": [{"name": "istio-proxy"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
        }
    )


def test_of_each_workload_the_oldest_pod_of_the_namespaces_in_turn() -> None:
    pods = [
        pod("cart-1-b", "shop", 3),
        pod("cart-1-a", "shop", 2),
        pod("menu-1-a", "shop", 1),
        pod("menu-1-z", "shop", 1, ready=False),
        pod("bill-1-a", "shop", 4),
        pod("mail-1-a", "post", 9),
        pod("fast-1-a", "post", 1, ambient=True),
    ]
    names = [one.name for one in sampled(pods, most=3)]
    assert names == ["mail-1-a", "menu-1-a", "cart-1-a"]


def test_a_proxy_shows_the_certificate_that_it_serves() -> None:
    old, new = certificate(NAME, 2), certificate(NAME, 20)
    gateway = certificate("https://no.identity", 900)
    shown = [secret("default", old, gateway), secret("default", new), secret("shop", gateway)]
    root = {"name": "ROOTCA", "secret": {"validation_context": {}}}
    ((_, found),) = held(as_kube(Proxies({"a": [*shown, root]})), [pod("a", "shop", 1)])
    assert found == new, "the old one is about to be replaced"
    assert identities(found) == (NAME,)


def test_a_proxy_that_shows_none_is_named() -> None:
    with observing() as observations:
        kube = as_kube(Proxies({"a": []}))
        assert not list(held(kube, [pod("a", "shop", 1), pod("b", "shop", 1)]))
    named, refused = observations.notes
    assert "proxy of" in named
    assert "names no certificate with an identity of the mesh" in named
    assert "connection refused" in refused
