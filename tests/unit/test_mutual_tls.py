"""How it is seen what goes over the wire, who calls, and by whom a certificate was issued."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from fixtures.claims import ClaimFailed, NotTested
from fixtures.claims.observations import Observations, observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.mutual_tls import PAGES, MutualTls, TrustDomain, reported
from fixtures.istio.releases.options import MeshOptions
from fixtures.istio.telemetry import Telemetry
from fixtures.istio.tls_policies import TlsPolicies
from fixtures.k8s import Reply
from fixtures.k8s.pod import Pod
from fixtures.traffic.in_mesh import Handshake, MeshAnswer

NS = "bookinfons"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TRUST = TrustDomain("cluster.local", "istio-system")
SERVER, CLIENT = (f"spiffe://cluster.local/ns/{NS}/sa/seatrial-{n}" for n in ("server", "client"))
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "between", "leaf")}


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


def answer(*, caller: str = "", status: int = 200, kind: str = "", body: str = "") -> MeshAnswer:
    """What the server echoes of a request."""
    header = f'By={SERVER};Hash=61f7;Subject="";URI={caller}'
    echoed = {"headers": {"host": "x"} | ({"x-forwarded-client-cert": header} if caller else {})}
    return MeshAnswer(status, {}, body or json.dumps(echoed), 0.01, kind, kind)


# Who calls


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (answer(caller=CLIENT), f"{CLIENT} calls {SERVER}"),
        (answer(), "plain text"),
        (answer(status=403, body="RBAC: access denied"), "403 (RBAC: access denied)"),
        (answer(status=0, kind="reset"), "no answer (reset: reset)"),
    ],
    ids=["mutual TLS", "plain text", "denied", "reset"],
)
def test_what_a_server_is_told(seen: MeshAnswer, words: str) -> None:
    assert reported(seen) == words


def test_the_last_proxy_speaks_for_itself() -> None:
    text = "By=spiffe://a/b;URI=spiffe://a/first,By=spiffe://a/d;URI=spiffe://a/last"
    body = json.dumps({"headers": {"X-Forwarded-Client-Cert": text}})
    assert reported(answer(body=body)) == "spiffe://a/last calls spiffe://a/d"


# Certificates


def certificate(
    signer: str, whose: str, *, issuer: str, subject: str = "", uri: str = "", hours: int = 24
) -> x509.Certificate:
    """One that is signed by one of the keys."""

    def name(text: str) -> x509.Name:
        attribute = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, text)
        return x509.Name([attribute] if text else [])

    made = (
        x509.CertificateBuilder(name(issuer), name(subject), KEYS[whose].public_key(), 1)
        .not_valid_before(NOW - timedelta(hours=2))
        .not_valid_after(NOW + timedelta(hours=hours))
        .add_extension(x509.BasicConstraints(ca=not uri, path_length=None), critical=True)
    )
    if uri:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        made = made.add_extension(names, critical=True)
    return made.sign(KEYS[signer], SHA256())


ROOT = certificate("root", "root", issuer="mesh", subject="mesh", hours=9999)
BETWEEN = certificate("root", "between", issuer="mesh", subject="between", hours=999)
LEAF = certificate("root", "leaf", issuer="mesh", uri=SERVER)
BELOW = certificate("between", "leaf", issuer="between", uri=SERVER)
FOREIGN = certificate("between", "leaf", issuer="mesh", uri=SERVER)  # the name alone is the root's
ENDED = certificate("root", "leaf", issuer="mesh", uri=SERVER, hours=-1)
ANOTHERS = certificate("root", "leaf", issuer="mesh", uri=CLIENT)


def pem(*chain: x509.Certificate) -> tuple[str, ...]:
    return tuple(one.public_bytes(Encoding.PEM).decode() for one in chain)


class Mesh:
    """A server of ours that serves this, with what the cluster says of it."""

    def __init__(self, handshake: Handshake, metrics: Sequence[str] = ()) -> None:
        self.handshake_ = handshake
        self.metrics = iter(metrics)
        self.name, self.namespace = "seatrial-server", NS
        self.answers = answer()

    def pod(self) -> Pod:
        meta = {"name": "seatrial-server-1", "namespace": NS, "labels": {"app": self.name}}
        return Pod.of({"metadata": meta, "spec": {"containers": []}, "status": {}})

    def handshake(self, *_: Any, **__: Any) -> Handshake:
        return self.handshake_

    def requests(self, *_: Any, **__: Any) -> tuple[MeshAnswer, ...]:
        return (self.answers,) * 10

    def list(self, _kind: str, _namespace: str, **_: Any) -> list[Any]:
        return [{"data": {"root-cert.pem": "".join(pem(ROOT))}}]

    def get(self, _kind: str, _name: str, _namespace: str) -> Any:
        return {"spec": {"serviceAccountName": "seatrial-server"}}

    @contextmanager
    def forward(self, *_: Any) -> Iterator[Any]:
        yield SimpleNamespace(get=lambda _: Reply(200, {}, next(self.metrics)))

    def seen(self) -> MutualTls:
        of_it: Any = SimpleNamespace(kube=self, namespace=NS, pods=lambda: ())
        named = SimpleNamespace(
            name="seatrial-client", namespace=NS, requests=self.requests, next_steps=()
        )
        clients: Any = SimpleNamespace(server=self, plain=self, client=named)
        return MutualTls(of_it, clients, TRUST)


@pytest.mark.parametrize("chain", [[LEAF], [LEAF, ROOT], [BELOW, BETWEEN]], ids=str)
def test_a_certificate_of_the_meshs_root_is_right(chain: list[x509.Certificate]) -> None:
    with observing() as observations:
        Mesh(Handshake(pem(*chain), "TLSv1.2", "alert")).seen().expect_own_certificates(NOW)
    assert observations.notes == [f"{SERVER} of seatrial-server: 1 days and 0.0 hours left"]


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        ([], "serves none at port 8080: reset"),
        ([FOREIGN, ROOT], "issued by O=mesh, not by the mesh's root"),
        ([BELOW], "issued by O=between, not by the mesh's root"),
        ([ENDED, ROOT], "valid from 2026-11-27 10:00 to 2026-11-27 11:00 UTC"),
        ([ANOTHERS, ROOT], f"serves one of {CLIENT}, and its account is {SERVER}"),
    ],
    ids=["none", "signed by another key", "issuer not served", "ended", "another's"],
)
def test_a_certificate_that_is_not_right_is_reported(
    chain: list[x509.Certificate], words: str
) -> None:
    shown = Handshake(pem(*chain), "TLSv1.2", "" if chain else "reset")
    with pytest.raises(ClaimFailed, match="certificates of 1 workloads") as failed:
        Mesh(shown).seen().expect_own_certificates(NOW)
    assert words in str(failed.value)


# What is counted


def counted(requests: int, policy: str = "mutual_tls") -> str:
    labels = 'reporter="destination",source_workload="seatrial-client",'
    labels += f'connection_security_policy="{policy}"'
    return f"# TYPE istio_requests_total counter\nistio_requests_total{{{labels}}} {requests}\n"


def test_requests_are_counted_as_those_of_mutual_tls() -> None:
    Mesh(Handshake((), ""), [counted(5), counted(15)]).seen().expect_counted()


def test_requests_that_are_counted_as_plain_text_are_reported() -> None:
    both = counted(5) + counted(10, "none")
    with pytest.raises(ClaimFailed, match="got 10 more of none"):
        Mesh(Handshake((), ""), [counted(5), *[both] * 9]).seen().expect_counted()


def test_a_mesh_whose_configuration_counts_nothing_is_not_waited_for() -> None:
    silent = Telemetry(no_metrics="nobody names a provider")
    seen = replace(Mesh(Handshake((), "")).seen(), telemetry=silent)
    with pytest.raises(NotTested, match="no requests are counted: nobody names a provider"):
        seen.expect_counted()


def test_a_proxy_that_counts_nothing_although_it_should_is_reported() -> None:
    with pytest.raises(ClaimFailed, match="got none"):
        Mesh(Handshake((), ""), ["# nothing\n"] * 9).seen().expect_counted()


def test_requests_that_are_not_answered_are_not_counted() -> None:
    mesh = Mesh(Handshake((), ""), ["# nothing\n"] * 9)
    mesh.answers = answer(status=503, body="no healthy upstream")
    with pytest.raises(ClaimFailed, match="10 x 503") as failed:
        mesh.seen().expect_counted()
    # The same words as where its certificate is the wrong one, so that both are one failure.
    assert [cause.partition(" to ")[0] for cause in failed.value.causes] == [
        "no request in the mesh gets through"
    ]
    wrong = Mesh(Handshake((), "TLSv1.2")).seen()
    with pytest.raises(ClaimFailed) as served:
        wrong.expect_own_certificates()
    assert served.value.causes[0].startswith("no request in the mesh gets through to ")


# What is logged


def logged(path: str, request: str, address: str, *, name: str = "", inbound: bool = True) -> str:
    cluster = "inbound|9080||" if inbound else "outbound|9080||details.local"
    return (
        f'[2026-11-27T12:12:01.113Z] "GET {path} HTTP/1.1" 200 - via_upstream - "-" 0 8 5 6 "-" '
        f'"seatrial" "{request}" "x:9080" "10.0.0.9:9080" {cluster} 127.0.0.6:343 10.0.0.9:9080 '
        f"{address}:5626 {name or '-'} default"
    )


class Sample:
    """The sample, whose sidecars log what becomes of pages."""

    options = MeshOptions()

    def __init__(self, plain: str = "") -> None:
        self.plain, self.request = plain, ""
        self.expected, self.kube, self.namespace = self, self, NS
        apps = ("productpage", "details", "reviews", "ratings")
        self.found = {app: self._pod(app, place) for place, app in enumerate(apps)}

    @staticmethod
    def _pod(app: str, place: int) -> Pod:
        labels = {"app": app, "version": "v1"}
        meta = {"name": f"{app}-v1-x", "namespace": NS, "uid": app, "labels": labels}
        status = {"podIP": f"10.0.0.{place + 1}"}
        return Pod.of({"metadata": meta, "spec": {"containers": []}, "status": status})

    def pods(self) -> tuple[Pod, ...]:
        return tuple(self.found.values())

    def logs(self, pod: str, *_: Any, **__: Any) -> str:
        app = pod.partition("-")[0]
        callers = {"productpage": 8, "details": 1, "reviews": 1, "ratings": 3}
        name = "" if app == self.plain else f"outbound_.9080_._.{app}.local"
        pages = [
            logged(f"/{page}", self.request, f"10.0.0.{callers[app]}", name=name)
            for page in range(PAGES)
        ]
        own = logged("/", self.request, "10.0.0.1", inbound=False)
        return "\n".join(["info xds", own, *pages, logged("/", "another", "10.0.0.1")])

    def requests(self, *_: Any, headers: dict[str, str], **__: Any) -> tuple[MeshAnswer, ...]:
        given = headers["x-request-id"]
        self.request = f"{given[:14]}9{given[15:]}"  # as Envoy does
        return ()

    def seen(self) -> MutualTls:
        pod = Pod.of({"metadata": {"name": "c"}, "spec": {}, "status": {"podIP": "10.0.0.8"}})
        client = SimpleNamespace(name="c", pod=lambda: pod, requests=self.requests)
        it: Any = self
        clients: Any = SimpleNamespace(client=client)
        return MutualTls(it, clients, TRUST)


def test_each_edge_is_as_the_servers_log_says() -> None:
    with observing() as observations:
        Sample().seen().expect_between_services()
    edges = {(call.source, call.target, call.tls) for call in observations.calls}
    assert edges == {
        ("c", "productpage", "mutual TLS"),
        ("productpage", "details", "mutual TLS"),
        ("productpage", "reviews", "mutual TLS"),
        ("reviews", "ratings", "mutual TLS"),
    }
    assert observations.inspected == 4 * PAGES, "what others asked does not count"


def test_an_edge_over_plain_text_is_reported() -> None:
    with observing() as observations, pytest.raises(ClaimFailed) as failed:
        Sample(plain="reviews").seen().expect_between_services()
    assert f"got {PAGES} from productpage to reviews by plain text" in str(failed.value)
    assert ("productpage", "reviews", "plain text") in {
        (call.source, call.target, call.tls) for call in observations.calls
    }


# A mesh with policies of its own


def policies(mode: str, *, mesh_writes: bool = True) -> TlsPolicies:
    """The policies of ours over a mesh that has one."""
    body = {"metadata": {"name": "default"}, "spec": {"mtls": {"mode": mode}}}
    selector = {"matchLabels": {"app": "x"}}
    spec = {"selector": selector, "mtls": {"mode": "STRICT"}}
    own = {"metadata": {"name": "of-one"}, "spec": spec}
    kube = SimpleNamespace(list=lambda *_: [own, *([body] if mode else [])])
    url = SimpleNamespace(name="seatrial-server", namespace=NS, next_steps=())
    plain = SimpleNamespace(name="p", namespace=NS, requests=lambda *_, **__: (answer(),) * 10)
    clients: Any = SimpleNamespace(server=url, plain=plain, client=plain)
    rules: Any = SimpleNamespace(kube=kube)
    return TlsPolicies(clients, rules, TRUST, mesh_writes=mesh_writes)


def test_a_mesh_that_is_strict_by_itself_is_not_broken() -> None:
    with pytest.raises(NotTested, match=r"PeerAuthentication istio-system/default .* STRICT"):
        policies("STRICT").expect_plain_served()


def test_one_workloads_policy_in_the_root_namespace_is_not_the_meshs() -> None:
    observations: Observations
    with observing() as observations:
        policies("").expect_plain_served()
    assert {call.tls for call in observations.calls} == {"plain text"}


@pytest.mark.parametrize(
    ("mode", "mesh_writes", "words"),
    [("", False, "--allow-mesh-writes"), ("PERMISSIVE", True, "would count more than ours")],
    ids=["not allowed", "one is there"],
)
def test_the_whole_mesh_is_left_alone(mode: str, mesh_writes: bool, words: str) -> None:  # noqa: FBT001  # a parameter
    with pytest.raises(NotTested, match=words):
        policies(mode, mesh_writes=mesh_writes).expect_namespace_over_mesh()
