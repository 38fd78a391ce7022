"""The certificates that a mesh serves: which of them were not renewed in time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from cryptography import x509

from fixtures.claims import ClaimFailed, NotTested, start_observing
from fixtures.istio import credentials
from fixtures.istio.workload_certificates import ADMIN
from fixtures.k8s import Unreachable
from fixtures.traffic.certificate import NotTrusted
from tests.judge.test_living_planes import Pages, workloads


def a_chain(days: float, life: float = 365) -> tuple[x509.Certificate, ...]:
    """A certificate with so many days left of its life, and an issuer that lasts."""
    root = trustme.CA()
    issuer = root.create_child_ca()
    end = datetime.now(UTC) + timedelta(days=days)
    leaf = issuer.issue_cert("a", not_before=end - timedelta(days=life), not_after=end)
    return tuple(
        x509.load_pem_x509_certificate(one)
        for one in (leaf.cert_chain_pems[0].bytes(), issuer.cert_pem.bytes())
    )


class Serving(Pages):
    """A recorded state whose pods serve certificates: by the name that is asked for."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.requested: list[tuple[str, int]] = []

    @contextmanager
    def forward(self, pod: str, _namespace: str, port: int) -> Iterator[Any]:
        if port != ADMIN:
            self.requested.append((pod, port))

        def get(_: str) -> None:
            raise Unreachable("no proxy of a workload is asked here")

        yield SimpleNamespace(connect=lambda: nullcontext(None), get=get)


@pytest.fixture
def chains(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[x509.Certificate, ...]]:
    """What is served, by server name."""
    found: dict[str, tuple[x509.Certificate, ...]] = {}

    def served(_end: None, *, name: str) -> tuple[x509.Certificate, ...]:
        if name not in found:
            raise NotTrusted("the connection was reset")
        return found[name]

    monkeypatch.setattr(credentials, "served_chain", served)
    return found


Chains = dict[str, tuple[x509.Certificate, ...]]
ISTIOD = "istiod.istio-system.svc"
# What is said of the certificates of workloads: see tests/unit/test_workload_certificates.py.
OF_WORKLOADS = re.compile(r"at its proxy's port|were asked for their certificate")


def last(kube: Pages) -> list[str]:
    """The table of certificates that last."""
    observed = start_observing()
    workloads(kube).expect_certificates_to_last()
    return [line for line in observed.notes if not OF_WORKLOADS.search(line)]


def with_credential(host: str = "*.example.com") -> Serving:
    """The sample's Gateway with TLS, and another one's that passes it through."""
    kube = Serving("4-injected")
    tls = {"mode": "SIMPLE", "credentialName": "web-tls"}
    server = {"port": {"number": 443, "protocol": "HTTPS"}, "hosts": [f"./{host}"], "tls": tls}
    through = {**server, "tls": {"mode": "PASSTHROUGH"}}
    body = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server, through]},
    }
    kube.add("gateways.networking.istio.io", body)
    return kube


@pytest.mark.parametrize(
    ("days", "life", "late"),
    [
        (20, 365, False),
        (13, 365, True),
        (10, 90, False),  # a tenth of ninety days is enough
        (8, 90, True),
        (0.5, 1, False),  # of a day, as istio-csr's
        (0.05, 1, True),
        (-1, 3650, True),
    ],
)
def test_a_certificate_that_ought_to_have_been_renewed_is_noticed(
    chains: Chains, days: float, life: float, *, late: bool
) -> None:
    chains[ISTIOD] = a_chain(days, life)
    if not late:
        assert last(Serving("4-injected"))[0].startswith(f"istio-system/istiod: {days:.1f} days")
        return
    with pytest.raises(ClaimFailed, match=r"1 of 2 certificates: expected renewed in time, got "):
        last(Serving("4-injected"))


def test_an_issuer_is_a_certificate_of_the_table_too(chains: Chains) -> None:
    chains[ISTIOD] = a_chain(300)
    of_istiod, issuer = last(Serving("4-injected"))
    assert issuer.startswith("issuer 1 of istio-system/istiod: ")
    chains[ISTIOD] = tuple(reversed(a_chain(3)))
    with pytest.raises(ClaimFailed, match="got issuer 1 of istio-system/istiod: 3"):
        last(Serving("4-injected"))
    assert of_istiod


def test_a_gateways_credential_is_requested_by_its_host_at_the_pods_port(chains: Chains) -> None:
    chains[ISTIOD], chains["seatrial.example.com"] = a_chain(300), a_chain(200)[:1]
    kube = with_credential()
    assert any(
        line.startswith("credential web-tls of Gateway shop/web: 200") or "199." in line
        for line in last(kube)
    )
    assert [port for _, port in kube.requested] == [15017, 8443]
    chains["seatrial.example.com"] = a_chain(2)[:1]
    with pytest.raises(ClaimFailed, match="got credential web-tls of Gateway shop/web: "):
        last(kube)


def test_a_gateway_that_shakes_no_hands_is_noted_and_not_called_broken(chains: Chains) -> None:
    chains[ISTIOD] = a_chain(300)
    (line,) = (line for line in last(with_credential()) if "no certificate was seen of" in line)
    assert "port 8443 of pod " in line
    assert line.endswith("says the connection was reset")


def test_where_nothing_serves_any_nothing_is_claimed(chains: Chains) -> None:
    assert not chains
    with pytest.raises(NotTested, match="nothing serves a certificate"):
        last(Serving("4-injected"))
