"""What ztunnel says of itself, and of requests, by the recorded mesh: whole, and broken.

What the API alone says of it is tested in `test_living`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fixtures.claims import ClaimFailed, NotTested, Observation, Observations, start_observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio import ambient_policies, through_gateway, through_waypoint, ztunnel_log
from fixtures.istio.ambient_policies import AmbientPolicies
from fixtures.istio.ambient_traffic import OPENED, REQUESTS, AmbientTraffic
from fixtures.istio.api_gateways import GATEWAYS
from fixtures.istio.mutual_tls import CALLER, TrustDomain
from fixtures.istio.node_pages import AGENT_READY, DUMP, METRICS, READY
from fixtures.istio.rules import Rules
from fixtures.istio.through_gateway import ThroughGateway
from fixtures.istio.through_waypoint import ThroughWaypoint
from fixtures.istio.workload_certificates import ADMIN
from fixtures.k8s import Body, Refused, Reply, Unreachable
from fixtures.k8s.pod import Pod
from fixtures.k8s.service import SLICES
from fixtures.setup.ambient_traffic import own_gateway
from fixtures.traffic.in_mesh import IN_A_ROW, MeshAnswer, MeshClient, MeshClients
from tests.judge.replay import ISTIOD, Replay, page
from tests.judge.world import World, access_of
from tests.recordings import BY_HAND
from tests.unit.states import as_kube

RECORDED = BY_HAND["ambient"]
CLAIMS = (
    "expect_ready",
    "expect_agents_ready",
    "expect_versions",
    "expect_in_sync",
    "expect_served",
    "expect_certificates",
)
OFF = "HTTP/1.1 404 Not Found\n\nnot found"
DETAILS = "spiffe://cluster.local/ns/flat/sa/bookinfo-details"


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


@pytest.fixture
def kube() -> Replay:
    """The recorded mesh with the pages of its ztunnel, its agent and istiod."""
    found = Replay("ambient/bookinfo", apart=True, kubernetes="v1.37.2")
    found.replies = {
        (READY, "/healthz/ready"): page("ready"),
        (DUMP, "/config_dump"): page(RECORDED.text("istio/ztunnel-config_dump.json")),
        (METRICS, "/metrics"): page(RECORDED.text("istio/ztunnel-metrics.txt")),
        (AGENT_READY, "/readyz"): page(""),
        (ISTIOD, "/debug/syncz"): page(RECORDED.text("istio/istiod-syncz.json")),
    }
    return found


def asked(kube: Replay, claim: str, istio: str = "1.31.0") -> Observations:
    """What a claim saw of this mesh."""
    telling = start_observing()
    ztunnels = World(lambda _: as_kube(kube), access_of(istio, "v1.37.2")).ztunnels()
    getattr(ztunnels, claim)()
    return telling


def fails(kube: Replay, claim: str, istio: str = "1.31.0") -> str:
    with pytest.raises(ClaimFailed) as failed:
        asked(kube, claim, istio)
    return str(failed.value)


def dumped(kube: Replay, change: Callable[[Any], object]) -> None:
    """Have ztunnel dump something else."""
    text = RECORDED.text("istio/ztunnel-config_dump.json")
    dump = json.loads(text)
    change(dump)
    kube.replies[DUMP, "/config_dump"] = page(json.dumps(dump))


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_mesh_in_ambient_mode_is_whole(kube: Replay, claim: str) -> None:
    assert asked(kube, claim).inspected


@pytest.mark.parametrize("claim", CLAIMS)
def test_ambient_mode_is_not_claimed_before_it_was_stable(kube: Replay, claim: str) -> None:
    with pytest.raises(NotTested, match=r"1\.24: .* this is 1\.23\.4"):
        asked(kube, claim, "1.23.4")


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_mesh_of_sidecars_has_no_ztunnel(claim: str) -> None:
    of_sidecars = Replay("4-injected")
    with pytest.raises(NotTested, match="asks for ambient mode"):
        asked(of_sidecars, claim)


@pytest.mark.parametrize("claim", CLAIMS)
def test_who_may_forward_no_port_hears_so(
    kube: Replay, monkeypatch: pytest.MonkeyPatch, claim: str
) -> None:
    def get(*_: object) -> Reply:
        raise Refused(403, message='cannot create resource "pods/portforward"')

    @contextmanager
    def forward(*_: object) -> Iterator[Any]:
        yield SimpleNamespace(get=get)

    monkeypatch.setattr(kube, "forward", forward)
    with pytest.raises(NotTested, match="pods/portforward"):
        asked(kube, claim)


@pytest.mark.parametrize("answer", [OFF, page("<html>"), page('{"workloads": 1}'), None])
@pytest.mark.parametrize("claim", ["expect_versions", "expect_served", "expect_certificates"])
def test_a_page_that_is_off_is_no_fault(kube: Replay, claim: str, answer: str | None) -> None:
    if answer is None:
        del kube.replies[DUMP, "/config_dump"]
    else:
        kube.replies[DUMP, "/config_dump"] = answer
    with pytest.raises(NotTested, match="no page of 1 pods of ztunnel was seen: "):
        asked(kube, claim)


def lose(node: Body) -> None:
    for one in node["status"]["conditions"]:
        one.update(status="Unknown", reason="NodeStatusUnknown")


def run_windows(node: Body) -> None:
    node["metadata"]["labels"]["kubernetes.io/os"] = "windows"


@pytest.mark.parametrize("change", [lose, run_windows])
@pytest.mark.parametrize("claim", CLAIMS)
def test_a_node_without_ambient_mode_is_left_out(
    kube: Replay, claim: str, change: Callable[[Body], None]
) -> None:
    kube.change("nodes", "node-1", change)
    kube.replies.clear()
    with pytest.raises(NotTested, match=r"no pod of .* runs"):
        asked(kube, claim)


# Nodes


def test_a_ztunnel_that_is_not_ready_is_noticed(kube: Replay) -> None:
    kube.replies[READY, "/healthz/ready"] = "HTTP/1.1 500 Internal\n\nnot ready, pending: inpod"
    message = fails(kube, "expect_ready")
    assert "pod istio-system/ztunnel-lzc6w on node-1 answers 500 (not ready, pending: inpod)" in (
        message
    )
    kube.replies[AGENT_READY, "/readyz"] = "HTTP/1.1 503 Service Unavailable\n\n"
    assert "pod istio-system/istio-cni-node-sjmzw on node-1 answers 503" in (
        fails(kube, "expect_agents_ready")
    )


@pytest.mark.parametrize("istiod", ["1.33.0", "1.29.4"])
def test_a_ztunnel_of_another_time_is_noticed(kube: Replay, istiod: str) -> None:
    message = fails(kube, "expect_versions", istiod)
    assert f"at most 1 minor version from istiod's {istiod}, got pod istio-system/ztunnel" in (
        message
    )
    assert " is 1.31.0" in message


def test_a_ztunnel_in_the_middle_of_an_upgrade_is_fine(kube: Replay) -> None:
    telling = asked(kube, "expect_versions", "1.32.0")
    assert (telling.inspected, telling.notes) == (1, [])


def test_a_ztunnel_that_is_newer_than_istiod_is_noted(kube: Replay) -> None:
    [note] = asked(kube, "expect_versions", "1.30.2").notes
    assert note.startswith("newer than istiod 1.30.2, which Istio does not support: pod istio-sys")


def test_what_ztunnel_says_of_its_version_counts_before_its_tag(kube: Replay) -> None:
    dumped(kube, lambda dump: dump["version"].update(istioVersion="1.28.3"))
    assert " is 1.28.3" in fails(kube, "expect_versions")


def test_a_ztunnel_without_a_version_is_not_claimed(kube: Replay) -> None:
    def rename(pod: Body) -> None:
        pod["spec"]["containers"][0]["image"] = "mirror.example/ztunnel:latest"

    kube.change("pods", "ztunnel", rename)
    with pytest.raises(NotTested, match="which version ztunnel is"):
        asked(kube, "expect_versions")


def test_a_ztunnel_that_istiod_does_not_know_is_noticed(kube: Replay) -> None:
    kube.replies[ISTIOD, "/debug/syncz"] = page("[]")
    words = "pod istio-system/ztunnel-lzc6w on node-1: not connected to any istiod"
    assert words in fails(kube, "expect_in_sync")


def test_a_ztunnel_that_did_not_acknowledge_is_noticed(kube: Replay) -> None:
    entries = json.loads(RECORDED.text("istio/istiod-syncz.json"))
    entries[0]["resources"]["type.googleapis.com/istio.security.Authorization"]["acked"] = "older"
    kube.replies[ISTIOD, "/debug/syncz"] = page(json.dumps(entries))
    assert "STALE: authorization policies not acknowledged" in fails(kube, "expect_in_sync")


def test_whether_ztunnel_is_in_sync_is_recorded(kube: Replay) -> None:
    assert asked(kube, "expect_in_sync").values == [Observation("proxies", "ztunnel", "in sync")]
    kube.replies[ISTIOD, "/debug/syncz"] = page("[]")
    ztunnels = World(lambda _: as_kube(kube), access_of("1.31.0", "v1.37.2")).ztunnels()
    observed = start_observing()
    with pytest.raises(ClaimFailed):
        ztunnels.expect_in_sync()
    assert observed.values == [Observation("proxies", "ztunnel", "not in sync")]


# Capture


def test_a_captured_pod_that_ztunnel_does_not_serve_is_noticed(kube: Replay) -> None:
    uid = kube.list("pods", "flat", labels="app=details")[0]["metadata"]["uid"]
    dumped(kube, lambda dump: dump["workloadState"][uid].update(state="Pending"))
    message = fails(kube, "expect_served")
    assert "ztunnel-lzc6w counts 7 pods, and 6 are Up" in message
    assert "pod flat/details-v1-5b954d689-kgdz4 is captured, and not Up at node-1" in message


@pytest.mark.parametrize(("protocol", "words"), [("TCP", "TCP"), (None, "unknown")])
def test_a_captured_pod_that_is_reached_in_plain_text_is_noticed(
    kube: Replay, protocol: str | None, words: str
) -> None:
    def change(dump: Any) -> None:
        [one] = [w for w in dump["workloads"] if w["name"].startswith("details")]
        one["protocol"] = protocol
        if protocol is None:
            dump["workloads"].remove(one)

    dumped(kube, change)
    assert f"details-v1-5b954d689-kgdz4 is captured, and {words}" in fails(kube, "expect_served")


def test_a_pod_that_ztunnel_serves_unasked_is_noticed(kube: Replay) -> None:
    kube.change("pods", "details", lambda pod: pod["metadata"].update(annotations={}))
    message = fails(kube, "expect_served")
    assert "pod flat/details-v1-5b954d689-kgdz4 does not ask, or is not captured, and is Up" in (
        message
    )


def test_a_pod_that_ended_while_the_agent_was_away_is_noted(kube: Replay) -> None:
    kube.remove("pods", "details")
    assert asked(kube, "expect_served").notes == [
        "pod flat/details-v1-5b954d689-kgdz4 is gone, and still Up"
    ]


# Certificates


def issued(name: str, begins: datetime, ends: datetime) -> str:
    """A certificate as ztunnel shows one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)])
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 7, begins, ends)
        .add_extension(names, critical=True)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(built.public_bytes(serialization.Encoding.PEM)).decode()


def holds(kube: Replay, **changes: Any) -> None:
    """Have ztunnel hold something else for details."""

    def change(dump: Any) -> None:
        [one] = [each for each in dump["certificates"] if each["identity"] == DETAILS]
        one.update(changes)

    dumped(kube, change)


def test_the_certificate_that_ends_first_is_noted(kube: Replay) -> None:
    [line] = asked(kube, "expect_certificates").notes
    assert "of 5 certificates that of spiffe://cluster.local/ns/flat/sa/" in line
    assert line.endswith(" h are left")


@pytest.mark.parametrize(
    ("name", "begins", "ends", "words"),
    [
        (DETAILS, -18.5, 5.5, r"5\.5 of its 24 h are left: it was not renewed"),
        (DETAILS, -30, -6, r"-6\.0 of its 24 h are left: it was not renewed"),
        (DETAILS, 1, 25, "it is valid from 20"),
        ("spiffe://cluster.local/ns/flat/sa/x", -1, 23, "it is of spiffe://.*/sa/x"),
    ],
    ids=["overdue", "expired", "not yet valid", "another's"],
)
def test_a_certificate_that_is_no_good_is_noticed(
    kube: Replay, name: str, begins: float, ends: float, words: str
) -> None:
    now = datetime.fromtimestamp(kube.now(), UTC)
    pem = issued(name, now + timedelta(hours=begins), now + timedelta(hours=ends))
    holds(kube, certChain=[{"pem": pem}])
    with pytest.raises(ClaimFailed, match=f"{DETAILS}, held by pod .*: {words}"):
        asked(kube, "expect_certificates")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"identity": "spiffe://cluster.local/ns/gone/sa/x"}, "there is none"),
        ({"state": "Unavailable: forbidden", "certChain": None}, "it is Unavailable: forbidden"),
        ({"certChain": [{"pem": "bm9uZQ=="}]}, "it is Available, with no certificate"),
    ],
    ids=["none", "unavailable", "unreadable"],
)
def test_an_identity_without_a_certificate_is_noticed(
    kube: Replay, changes: dict[str, Any], words: str
) -> None:
    holds(kube, **changes)
    assert f"{DETAILS}, held by pod istio-system/ztunnel-lzc6w: {words}" in (
        fails(kube, "expect_certificates")
    )


# Requests: details and productpage stand for the server and the client of ours


CLIENT, SERVER = "productpage-v1", "details-v1"
ENDS = ("source", "destination")


def ends(kube: Replay) -> tuple[Pod, Pod]:
    """The pods that call, and are called, in what was recorded."""
    found = {
        app: Pod.of(kube.list("pods", "flat", labels=f"app={app}")[0])
        for app in ("productpage", "details")
    }
    return found["productpage"], found["details"]


class Sends(MeshClient):
    """A client whose requests are recorded ones.

    Attributes:
        sends: what one batch changes in what ztunnel says.
    """

    def __init__(self, kube: Replay, workload: str, pod: Pod) -> None:
        super().__init__(as_kube(kube), workload, "flat")
        self._pod = pod
        self.sends: Callable[[], object] = lambda: None

    def pod(self) -> Pod:
        return self._pod

    def requests(self, url: str, count: int, **_: Any) -> tuple[MeshAnswer, ...]:
        assert url.endswith(":8080/headers")
        self.sends()
        return (MeshAnswer(200, {}, "", 0.0),) * count


def traffic(kube: Replay) -> tuple[AmbientTraffic, Sends]:
    source, target = ends(kube)
    client, server = Sends(kube, CLIENT, source), Sends(kube, SERVER, target)
    clients = MeshClients(client, client, server, client)
    ambient = World(lambda _: as_kube(kube), access_of("1.31.0", "v1.37.2")).ambient()
    rules = Rules(as_kube(kube), "flat", {})
    return AmbientTraffic(
        clients, server, TrustDomain("cluster.local", "r"), ambient, rules
    ), client


def counts(
    batches: int, policy: str = "mutual_tls", each: int = REQUESTS, caller: str = CLIENT
) -> str:
    """What ztunnel counts at both ends, in the form that was recorded."""
    template = next(
        line
        for line in RECORDED.text("istio/ztunnel-metrics.txt").splitlines()
        if line.startswith(OPENED) and 'destination_workload="details-v1"' in line
    )
    labels = template.rpartition(" ")[0].replace("bookinfo-details", "details-v1")
    labels = labels.replace("bookinfo-productpage", caller).replace("mutual_tls", policy)
    both = (labels.replace('reporter="destination"', f'reporter="{end}"') for end in ENDS)
    return "".join(f"{one} {each * batches}\n" for one in both)


def counted(kube: Replay, client: Sends, each: Callable[[int], str]) -> None:
    """Have each batch of requests be counted so, on top of those before it."""
    batches = iter(range(1, 100))
    kube.replies[METRICS, "/metrics"] = page("")

    def send() -> None:
        kube.replies[METRICS, "/metrics"] = page(each(next(batches)))

    client.sends = send


def test_requests_that_are_counted_as_mutual_tls_are_fine(kube: Replay) -> None:
    subject, client = traffic(kube)
    counted(kube, client, counts)
    telling = start_observing()
    subject.expect_counted()
    assert telling.inspected == 2 * len(ENDS)  # until it is settled, and after
    assert [call.tls for call in telling.calls] == ["mutual TLS"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"policy": "unknown"}, "got 10 of unknown from spiffe"),
        ({"each": 7}, "got 7 of mutual_tls from spiffe"),
        ({"caller": "another"}, "flat/sa/another to spiffe"),
        ({"each": 0}, "got none"),
    ],
    ids=["plain text", "some elsewhere", "another identity", "past ztunnel"],
)
def test_requests_that_go_otherwise_are_noticed(
    kube: Replay, changed: dict[str, Any], words: str
) -> None:
    subject, client = traffic(kube)
    counted(kube, client, partial(counts, **changed))
    with pytest.raises(ClaimFailed) as failed:
        subject.expect_counted()
    assert words in str(failed.value)


def as_json(text: str) -> str:
    """A line of ztunnel's log as it writes it with log_as_json."""
    [line] = ztunnel_log.lines(Wrote(text), ends(Replay("ambient/bookinfo"))[:1])  # type: ignore[arg-type]  # all that is asked of it
    return json.dumps({"scope": "access", "message": "connection complete", **line.fields})


class Wrote:
    """A cluster whose containers wrote this."""

    def __init__(self, text: str) -> None:
        self.text = text

    def logs(self, *_: Any, **__: Any) -> str:
        return self.text


def logged(change: Callable[[str], str] = lambda line: line) -> str:
    """The recorded lines of one request from productpage to details, as often as it is sent."""
    every = RECORDED.text("istio/ztunnel-log.txt").splitlines()
    named = [
        x for x in every if 'workload="productpage-v1-695' in x and 'dst.workload="details' in x
    ]
    first = [
        next(x for x in named if f'direction="{end}"' in x) for end in ("outbound", "inbound")
    ]
    ours = (
        line.replace("bookinfo-productpage", "productpage-v1").replace(
            "bookinfo-details", "details-v1"
        )
        for line in first
    )
    return "".join(
        change(line.replace("src.addr=", f"src.addr={number}")) + "\n"
        for line in ours
        for number in range(REQUESTS)
    )


@pytest.mark.parametrize("form", [str, as_json], ids=["text", "JSON"])
def test_the_log_holds_each_request_at_both_ends(
    kube: Replay, monkeypatch: pytest.MonkeyPatch, form: Callable[[str], str]
) -> None:
    subject, client = traffic(kube)
    written = ['{"scope":"access"}' if form is as_json else "\taccess\tother"]
    monkeypatch.setattr(kube, "logs", lambda *_, **__: "\n".join(written))
    client.sends = lambda: written.append(logged(form))
    telling = start_observing()
    subject.expect_logged()
    assert telling.inspected == 2 * REQUESTS
    assert {call.tls for call in telling.calls} == {"mutual TLS"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line.replace(":15008", ":9080"), "by plain text"),
        (lambda line: line.replace("sa/productpage-v1", "sa/another"), "sa/another to"),
        (lambda line: line + ' error="explicitly denied by: x"', "(explicitly denied by: x)"),
        (lambda _: "\taccess\tother", "got none"),
    ],
    ids=["plain text", "another identity", "denied", "not logged"],
)
def test_a_log_that_says_otherwise_is_noticed(
    kube: Replay, monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str], words: str
) -> None:
    subject, client = traffic(kube)
    written = ["\taccess\tother"]
    monkeypatch.setattr(kube, "logs", lambda *_, **__: "\n".join(written))
    client.sends = lambda: written.append(logged(change))
    with pytest.raises(ClaimFailed) as failed:
        subject.expect_logged()
    assert words in str(failed.value)


def test_a_ztunnel_that_logs_no_connection_is_not_claimed(
    kube: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, _ = traffic(kube)
    monkeypatch.setattr(kube, "logs", lambda *_, **__: "2026\tinfo\txds\tconnected")
    with pytest.raises(NotTested, match="logs no connection"):
        subject.expect_logged()


# Policies


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([], "got none"),
        (
            [{"type": "ZtunnelAccepted", "status": "True", "reason": "Accepted"}],
            "got ZtunnelAccepted=True Accepted",
        ),
    ],
)
def test_an_http_rule_whose_status_says_nothing_of_it_is_noticed(
    kube: Replay, monkeypatch: pytest.MonkeyPatch, conditions: list[Body], words: str
) -> None:
    subject, _ = traffic(kube)
    policy: Body = {
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "flat"},
        "status": {"conditions": conditions},
    }
    kube.add(ambient_policies.KIND, policy)
    rules = Rules(as_kube(kube), "flat", {ambient_policies.ONLY_GET: [policy]})
    monkeypatch.setattr(Rules, "applied", lambda *_: nullcontext())
    policies = AmbientPolicies(subject.clients, rules, subject.trust, mesh_writes=False)
    with pytest.raises(ClaimFailed, match=words):
        policies.expect_http_rule_reported()


# A waypoint: the one that was recorded stands for ours


@pytest.fixture
def waypoint(monkeypatch: pytest.MonkeyPatch) -> Replay:
    """The mesh in which a waypoint crashes, while its Gateway is programmed."""
    monkeypatch.setattr(through_waypoint, "WAYPOINT", "waypoint")
    monkeypatch.setattr(through_waypoint, "SERVICE", "productpage")
    return Replay("ambient/waypoint-crashes", apart=True, kubernetes="v1.37.2")


def ready(kube: Replay) -> None:
    """Have the recorded waypoint run."""

    def run(pod: Body) -> None:
        for one in pod["status"]["containerStatuses"]:
            one.update(state={"running": {}}, ready=True)
        for one in pod["status"]["conditions"]:
            one["status"] = "True"

    kube.change("pods", "waypoint", run)
    for one in kube.list(SLICES, "flat"):
        if one["metadata"]["name"].startswith("waypoint"):
            for endpoint in one["endpoints"]:
                endpoint["conditions"].update(ready=True, serving=True)


def test_a_waypoint_that_crashes_is_noticed_whatever_its_conditions_say(waypoint: Replay) -> None:
    [gateway] = [b for b in waypoint.list(GATEWAYS) if b["metadata"]["name"] == "waypoint"]
    conditions = {one["type"]: one["status"] for one in gateway["status"]["conditions"]}
    assert conditions["Programmed"] == "True"
    with pytest.raises(ClaimFailed, match="CrashLoopBackOff"):
        ThroughWaypoint(traffic(waypoint)[0]).expect_ready()


def test_a_waypoint_that_runs_is_ready(waypoint: Replay) -> None:
    ready(waypoint)
    telling = start_observing()
    ThroughWaypoint(traffic(waypoint)[0]).expect_ready()
    assert telling.inspected == 1


def test_a_service_that_is_not_bound_is_noticed(waypoint: Replay) -> None:
    ready(waypoint)
    false = {"type": "istio.io/WaypointBound", "status": "False", "reason": "WaypointIsNotReady"}
    waypoint.change(
        "services", "productpage", lambda one: one["status"].update(conditions=[false])
    )
    with pytest.raises(ClaimFailed, match=r"flat/productpage: .* got False, WaypointIsNotReady"):
        ThroughWaypoint(traffic(waypoint)[0]).expect_ready()


def test_requests_that_go_past_the_waypoint_are_noticed(waypoint: Replay) -> None:
    with pytest.raises(ClaimFailed, match="got 5 x 200, by no proxy"):
        ThroughWaypoint(traffic(waypoint)[0]).expect_used()


# A gateway: that waypoint, once it runs, stands for ours


class SendsToGateway(Sends):
    """The client outside the mesh.

    Attributes:
        told: what the server says of who called it.
    """

    told = ""

    def requests(self, url: str, count: int, **how: Any) -> tuple[MeshAnswer, ...]:
        assert (url, how["headers"]) == (f"http://{ENTRY}/headers", {"Host": SERVER})
        self.sends()
        body = json.dumps({"headers": {CALLER: self.told}})
        return (MeshAnswer(200, {}, body, 0.0),) * count


ENTRY = "waypoint-istio"
GATEWAY_ID, SERVER_ID = (f"spiffe://cluster.local/ns/flat/sa/{name}" for name in (ENTRY, SERVER))


@pytest.fixture
def gateway(waypoint: Replay, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """The mesh in which a gateway runs, with ztunnel's page of what it counted."""
    monkeypatch.setattr(through_gateway, "ENTRY", "waypoint")
    monkeypatch.setattr(AmbientTraffic, "await_beside", lambda _: None)  # it has no sidecar
    monkeypatch.setattr(Rules, "applied", lambda *_: nullcontext())
    ready(waypoint)
    return waypoint


def through(kube: Replay) -> tuple[ThroughGateway, SendsToGateway]:
    subject, client = traffic(kube)
    plain = SendsToGateway(kube, "plain", client.pod())
    clients = replace(subject.clients, plain=plain)
    return ThroughGateway(replace(subject, clients=clients)), plain


def by_gateway(batches: int, policy: str = "mutual_tls", each: int = REQUESTS) -> str:
    """What ztunnel counts of the gateway's connections, at the only end that it has of them."""
    lines = counts(batches, policy, each, caller=ENTRY).splitlines()
    return next(line for line in lines if 'reporter="destination"' in line).replace(
        f'source_workload="{CLIENT}"', f'source_workload="{ENTRY}"'
    )


def test_a_gateway_that_calls_a_captured_pod_by_mutual_tls_is_fine(gateway: Replay) -> None:
    subject, client = through(gateway)
    counted(gateway, client, by_gateway)
    telling = start_observing()
    subject.expect_to_captured()
    calls = [(call.source, call.target, call.tls) for call in telling.calls]
    assert calls == [(ENTRY, SERVER, "mutual TLS"), ("plain", ENTRY, "")]


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"policy": "unknown"}, "got 10 of unknown from spiffe"), ({"each": 0}, "got none")],
    ids=["plain text", "past ztunnel"],
)
def test_a_gateway_that_calls_a_captured_pod_otherwise_is_noticed(
    gateway: Replay, changed: dict[str, Any], words: str
) -> None:
    subject, client = through(gateway)
    counted(gateway, client, partial(by_gateway, **changed))
    with pytest.raises(ClaimFailed, match=words):
        subject.expect_to_captured()


def test_a_gateway_that_calls_a_sidecar_by_mutual_tls_is_fine(gateway: Replay) -> None:
    subject, client = through(gateway)
    client.told = f'By={SERVER_ID};Hash=1;Subject="";URI={GATEWAY_ID}'
    telling = start_observing()
    subject.expect_to_sidecar()
    assert telling.inspected == IN_A_ROW + REQUESTS
    calls = [(call.source, call.target, call.tls) for call in telling.calls]
    assert calls == [("plain", ENTRY, ""), (ENTRY, SERVER, "mutual TLS")]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("", "got 5 x 200 for plain text"),
        (f"By={SERVER_ID};URI={DETAILS}", f"got 5 x 200 for {DETAILS} calls {SERVER_ID}"),
    ],
    ids=["plain text", "another identity"],
)
def test_a_gateway_that_calls_a_sidecar_otherwise_is_noticed(
    gateway: Replay, told: str, words: str
) -> None:
    subject, client = through(gateway)
    client.told = told
    with pytest.raises(ClaimFailed, match=words):
        subject.expect_to_sidecar()


def test_a_gateway_that_is_captured_is_noticed(gateway: Replay) -> None:
    captured = {"ambient.istio.io/redirection": "enabled"}
    gateway.change("pods", "waypoint", lambda pod: pod["metadata"].update(annotations=captured))
    with pytest.raises(ClaimFailed, match=r"is a gateway: expected not captured by ztunnel, too"):
        through(gateway)[0].expect_to_captured()


def test_a_gateway_that_does_not_run_is_noticed(gateway: Replay) -> None:
    gateway.remove("pods", "waypoint")
    with pytest.raises(ClaimFailed, match=r"pods of Gateway flat/waypoint: .* istiod makes one"):
        through(gateway)[0].expect_to_sidecar()


def test_a_gateway_api_that_lacks_what_ours_is_written_in_is_not_claimed(
    waypoint: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ".spec.infrastructure: field not declared in schema"

    def apply(*_: object) -> None:
        raise Refused(500, message=words)

    monkeypatch.setattr(waypoint, "apply", apply, raising=False)
    access = access_of("1.31.0", "v1.37.2", features=frozenset({"gateway-api"}))
    values = {"NAME": "waypoint", "SERVICE": "through", "SERVER": SERVER}
    with (
        pytest.raises(NotTested, match=f"older than 1.2: {words}"),
        own_gateway(traffic(waypoint)[0], access, "waypoint.yaml", values, keep=False),
    ):
        pass


def test_ztunnel_is_not_asked_as_if_it_were_an_envoy(
    kube: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_at: list[tuple[str, int]] = []
    forward = kube.forward

    def noted(pod: str, namespace: str, port: int) -> Any:
        asked_at.append((pod.rpartition("-")[0], port))
        if port not in {known for known, _ in kube.replies}:
            raise Unreachable("nothing of this port was recorded")
        return forward(pod, namespace, port)

    monkeypatch.setattr(kube, "forward", noted)
    plugin = {"metadata": {"name": "filter", "namespace": "istio-system"}}
    kube.add("wasmplugins.extensions.istio.io", plugin | {"spec": {"url": "oci://one.example/f"}})
    workloads = World(lambda _: as_kube(kube), access_of("1.31.0", "v1.37.2")).workloads()
    start_observing()
    workloads.expect_in_sync()
    with suppress(NotTested):  # nothing else of this recording serves a certificate
        workloads.expect_certificates_to_last()
    assert ("ztunnel", ADMIN) not in asked_at
