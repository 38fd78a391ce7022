"""Tables `[[expect]]`: what is read of them, and what is said where a mesh is otherwise."""

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import jsonschema
import msgspec
import pytest
import trustme

from fixtures.claims import ClaimFailed, NotTested, observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.expected import served
from fixtures.istio.expected.callers import Callers
from fixtures.istio.expected.modes import Modes
from fixtures.istio.expected.rising import Metrics
from fixtures.istio.expected.rows import Mode, Reached, Rising, Served
from fixtures.istio.expected.served import ServedHosts, at, covers, p95
from fixtures.k8s import Refused, Reply
from fixtures.run import config_file
from fixtures.run.config_file import BadFile
from fixtures.traffic.in_mesh import MeshAnswer, MeshClients
from reports import schema_page
from tests.small_runs import SmallRuns
from tests.unit.states import FakeKube, as_kube

pytest_plugins = ["pytester"]

HOST = '[[expect]]\nurl = "https://shop.example.com/"\ngateway = "front/gate"\n'
SPACE = '[[expect]]\nnamespace = "shop"\n'
REACHED = '[[expect]]\nservice = "shop/cart:8080"\n'
METRIC = '[[expect]]\nmetric = "istio_requests_total"\n'
GATE = "istio-system/gate"


def read(folder: Path, text: str) -> Any:
    path = folder / "seatrial.toml"
    path.write_text(text)
    return config_file.read(path).expected


# Reading


def test_each_kind_of_table_is_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        HOST
        + 'status = 301\nheaders = { location = "/" }\ncertificate-days = 14\np95-ms = 200\n'
        + SPACE
        + 'mode = "sidecar"\nmutual-tls = "STRICT"\nservice = "cart:8080"\n'
        + REACHED
        + "identity = false\nreachable = false\n"
        + METRIC
        + 'labels = { app = "a\\"b" }\nwithin = 5\n',
    )
    assert [type(row) for row in found] == [Served, Mode, Reached, Rising]
    assert [row.sentence for row in found] == [
        (
            "Gateway front/gate serves https://shop.example.com/: it answers 301, "
            "with what its table says of headers and body, within 200 ms (p95 of 20), "
            "with a certificate for 14 days more."
        ),
        "Every pod of namespace shop is in the mesh by sidecar mode.",
        "Service shop/cart:8080 refuses a caller without an identity.",
        'sum(istio_requests_total{app="a\\"b"}) rises within 5 s.',
    ]


def test_a_host_stands_for_its_first_page(tmp_path: Path) -> None:
    [row] = read(tmp_path, '[[expect]]\nhost = "shop.example.com"\ngateway = "front/gate"')
    assert row.target.geturl() == "http://shop.example.com/"


def test_own_words_take_the_place_of_ours(tmp_path: Path) -> None:
    [row] = read(tmp_path, HOST + 'text = "Der Laden ist offen."\nhint = "Ruft an."')
    assert (row.sentence, row.hint) == ("Der Laden ist offen.", "Ruft an.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HOST + "statsu = 200", "line 4: statsu: unknown; did you mean status?"),
        (HOST + 'status = "200"', 'line 4: status = "200": this needs a whole number'),
        (HOST + "status = 99", "line 4: status = 99: this needs a whole number >= 100"),
        (HOST + "certificate-days = -1", "certificate-days = -1: this needs a whole number >= 0"),
        (HOST + "p95-ms = 0", "line 4: p95-ms = 0: this needs a number > 0"),
        (HOST + "requests = 100000", "requests = 100000: this needs a whole number <= 1000"),
        (HOST + "json = { items = 1 }", "a path like $.items[0].name is needed"),
        (HOST + "headers = { a = 1 }", "line 4: headers = {'a': 1}: this needs a text in quotes"),
        (HOST + "[expect.headers]\na = 1", "line 4: headers = {'a': 1}: this needs a text in"),
        (HOST + 'host = "a"', "line 1: url and host are two; leave one out"),
        ('[[expect]]\nurl = "https://a/"', 'line 1: gateway is missing beside url = "https://a/"'),
        ('[[expect]]\nurl = "a.b"\ngateway = "a/b"', "a URL like https://shop.example.com/ is"),
        ('[[expect]]\nurl = "http://a:x/"\ngateway = "a/b"', "line 1: url = 'http://a:x/': a URL"),
        ('[[expect]]\nurl = "http://a/"\ngateway = "b"', 'line 3: gateway = "b": NAMESPACE/NAME'),
        ('[[expect]]\nhost = "a b"\ngateway = "a/b"', "a host like shop.example.com is needed"),
        (
            '[[expect]]\nurl = "http://a/"\ngateway = "a/b"\ncertificate-days = 1',
            "line 1: certificate-days: only of a URL that begins https://",
        ),
        (SPACE, "line 1: mode or mutual-tls is needed beside namespace"),
        (SPACE + 'mode = "sidecars"', 'mode = "sidecars": unknown; did you mean sidecar?'),
        (SPACE + 'mutual-tls = "strict"', 'mutual-tls = "strict": unknown; there are STRICT'),
        (SPACE + 'mode = "none"\nservice = "a:1"', "line 1: service: only with mutual-tls"),
        (REACHED.replace(":8080", ""), "NAMESPACE/NAME:PORT is needed"),
        (REACHED + "reachable = false\nstatus = 200", "line 1: status: only where it is reach"),
        (METRIC + 'labels = { "a b" = "c" }', "line 1: labels: 'a b' is no label of Prometheus"),
        (METRIC + "within = 5000", "within = 5000: this needs a number <= 600"),
        (HOST + "\n" + HOST, "line 5: a second table of https://shop.example.com/ through front"),
        ("[[expect]]", "line 1: one of url, host, namespace, metric, service is needed"),
        ('[[expect]]\nurll = "x"', "is needed (urll: unknown; did you mean url? There are"),
        ("[expect]\nx = 1", "line 1: expect: each one is a table of its own, below [[expect]]"),
        ("expect = [1]", "line 1: expect: each one is a table of its own, below [[expect]]"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_is_told_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadFile) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)


def test_the_schema_takes_what_is_read(tmp_path: Path) -> None:
    schema = schema_page.schema()
    good = {"url": "https://a/", "gateway": "a/b", "json": {"$.a": 1}}
    jsonschema.validate({"expect": [good, {"namespace": "a", "mode": "none"}]}, schema)
    for wrong in ({"url": "https://a/"}, {**good, "statsu": 1}, {**good, "status": 9}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"expect": [wrong]}, schema)


def test_a_run_has_a_claim_of_each_table(pytester: pytest.Pytester) -> None:
    runs = SmallRuns(pytester).begin()
    world = pytester.path / "conftest.py"
    ours = '"fixtures.setup.expected", "reports.terminal"'
    world.write_text(world.read_text().replace('"reports.terminal"', ours))
    suite = Path(__file__).parents[2] / "suites" / "test_17_expected.py"
    (pytester.path / "suites" / suite.name).write_text(suite.read_text())
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)")
    assert list(runs.run().verdicts) == ["cluster/a"]
    read(pytester.path, SPACE + 'mode = "none"\nmutual-tls = "STRICT"\n' + METRIC)
    listed = runs.run("--list-claims").output
    assert "expected/mode[shop]" in listed
    assert "expected/mutual-tls[shop]" in listed
    assert "expected/rising[istio_requests_total]" in listed
    assert "is in no mesh.\n" in listed  # the sentence alone, as it names its namespace


# Hosts


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as its paths say."""

    def do_GET(self) -> None:
        is_ours = self.headers["Host"].startswith("shop.example.com")
        body = b'{"items": [{"name": "cart"}], "up": true}' if is_ours else b"elsewhere"
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("X-Version", "v2-canary")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def serving(certificate: trustme.LeafCert | None = None) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def hosts(kube: FakeKube | None = None) -> ServedHosts:
    return ServedHosts(as_kube(kube or FakeKube({})))


def row(port: int, path: str = "/", scheme: str = "http", **more: Any) -> Served:
    url = f"{scheme}://shop.example.com:{port}{path}"
    return Served(url=url, gateway=GATE, address="127.0.0.1", **more)


def failure(of: Served) -> str:
    with pytest.raises(ClaimFailed) as failed, observing():
        hosts().expect_served(of)
    return failed.value.message


def test_a_host_that_is_served_as_said_passes() -> None:
    with serving() as port, observing() as seen:
        hosts().expect_served(
            row(port, headers={"x-version": "v2"}, body='"cart"', json={"$.items[0].name": "cart"})
        )
    assert seen.inspected == 5


@pytest.mark.parametrize(
    ("path", "more", "said"),
    [
        ("/gone", {}, "expected 200, got 404"),
        ("/", {"status": 301}, "expected 301, got 200"),
        ("/", {"headers": {"x-version": "v3"}}, "expected header x-version: v3, got v2-canary"),
        ("/", {"headers": {"x-none": "a"}}, "expected header x-none: a, got no such header"),
        ("/", {"body": "Laden"}, "expected a body with 'Laden', got 200"),
        ("/", {"json": {"$.items[0].name": "x"}}, "expected 'x' at $.items[0].name, got 'cart'"),
        ("/", {"json": {"$.items[7]": 1}}, "expected 1 at $.items[7], got nothing there"),
        ("/", {"json": {"$.up": 1}}, "expected 1 at $.up, got True"),
        ("/", {"p95_ms": 0.000001}, "expected p95 within 1e-06 ms, got "),
    ],
)
def test_a_host_that_is_served_otherwise_fails(path: str, more: dict[str, Any], said: str) -> None:
    with serving() as port:
        found = failure(row(port, path, **more))
    assert f"GET http://shop.example.com:{port}{path} through gateway {GATE}: {said}" in found


def test_a_gateway_that_does_not_answer_fails() -> None:
    with serving() as port:
        pass
    assert f"got no answer of port {port} of 127.0.0.1: [Errno 111]" in failure(row(port))


@pytest.mark.parametrize(
    ("name", "days", "wanted", "said"),
    [
        ("shop.example.com", 20, 14, ""),
        ("*.example.com", 20, None, ""),
        ("shop.example.com", 10, 14, "expected a certificate valid for 14 days more, got until"),
        ("shop.example.com", -1, None, "expected a certificate valid for 0 days more, got until"),
        ("bank.example.com", 20, None, "expected a certificate for shop.example.com, got bank.ex"),
    ],
)
def test_a_certificate_is_held_against_its_host_and_its_end(
    name: str, days: int, wanted: int | None, said: str
) -> None:
    authority = trustme.CA()
    now = datetime.now(UTC)
    leaf = authority.issue_cert(
        name, not_before=now - timedelta(days=90), not_after=now + timedelta(days=days, hours=1)
    )
    with serving(leaf) as port:
        of = row(port, scheme="https", certificate_days=wanted)
        if said:
            assert said in failure(of)
        else:
            hosts().expect_served(of)


def test_a_gateway_that_is_not_there_or_has_no_pod_fails() -> None:
    there = Served(host="a.b", gateway=GATE)
    assert "got neither" in str(missed(FakeKube({}), there))
    service = {
        "metadata": {"name": "gate", "namespace": "istio-system"},
        "spec": {"selector": {"app": "gate"}},
    }
    failed = missed(FakeKube({"v1/services": [service], "v1/pods": []}), there)
    assert "expected a ready one, got none" in str(failed)
    assert failed.causes == (f"Deployment {GATE} is not up",)


def test_the_next_steps_lead_to_the_pod_that_was_requested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = {"metadata": {"name": "gate", "namespace": "istio-system"}, "spec": {}}
    labels = {"gateway.networking.k8s.io/gateway-name": "gate"}
    there = pod("gate-istio-7x", meta={"namespace": "istio-system", "labels": labels})
    there["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    kube = FakeKube({"gateway.networking.k8s.io/v1/gateways": [gateway], "v1/pods": [there]})
    refused = Refused(403, message="no port-forward")
    monkeypatch.setattr(kube, "forward", Mock(side_effect=refused), raising=False)
    steps = missed(kube, Served(host="a.b", gateway=GATE)).next_steps
    assert steps[:2] == (
        "kubectl -n istio-system port-forward gate-istio-7x 8080:80",
        "curl -i --connect-to ::127.0.0.1:8080 http://a.b/",
    )


def test_requests_are_drawn_to_the_gateway_that_answers_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = {
        "metadata": {"name": "gate", "namespace": "istio-system"},
        "spec": {"selector": {"app": "gate"}, "ports": [{"port": 80, "targetPort": 80}]},
    }
    there = pod("gate-7x", meta={"namespace": "istio-system", "labels": {"app": "gate"}})
    there["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    kube = FakeKube({"v1/services": [service], "v1/pods": [there]})
    with serving() as port, observing() as seen:
        connect = Mock(side_effect=lambda: socket.create_connection(("127.0.0.1", port)))
        forward = Mock(return_value=nullcontext(SimpleNamespace(connect=connect)))
        monkeypatch.setattr(kube, "forward", forward, raising=False)
        hosts(kube).request(Served(host="a.b", gateway=GATE))
    [call] = seen.calls
    assert (call.source, call.target, call.outcome, call.tls) == (
        "client",
        "gate",
        "200",
        "plain text",
    )


def missed(kube: FakeKube, of: Served) -> ClaimFailed:
    with pytest.raises(ClaimFailed) as failed:
        hosts(kube).expect_served(of)
    return failed.value


@pytest.mark.parametrize(
    ("path", "found"),
    [("$", {"a": [1, {"b-c": None}]}), ("$.a[0]", 1), ("$.a[1].b-c", None), ("$.a.b", ...)],
)
def test_a_path_leads_into_json(path: str, found: object) -> None:
    expected = served.UNREADABLE if found is ... else found
    assert at(path, '{"a": [1, {"b-c": null}]}') == expected
    assert at(path, "no JSON") is served.UNREADABLE


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert p95([3.0]) == 3.0
    assert p95(list(map(float, range(1, 101)))) == 95.0
    assert p95(list(map(float, range(1, 21)))) == 19.0


def test_a_wildcard_covers_one_label() -> None:
    assert covers("*.example.com", "Shop.example.com")
    assert not covers("*.example.com", "a.shop.example.com")
    assert not covers("*.example.com", "example.com")


# Namespaces


def pod(name: str, **how: Any) -> dict[str, Any]:
    containers = [{"name": one, "image": "x"} for one in how.get("containers", ["app"])]
    meta = {"name": name, "namespace": "shop", "uid": name, **how.get("meta", {})}
    return {
        "metadata": meta,
        "spec": {"containers": containers},
        "status": {"phase": how.get("phase", "Running")},
    }


CAPTURED = {"annotations": {"ambient.istio.io/redirection": "enabled"}}
OUT = {"labels": {"sidecar.istio.io/inject": "false"}}
SIDECAR = ["app", "istio-proxy"]


@pytest.mark.parametrize(
    ("mode", "labels", "pods", "said"),
    [
        ("sidecar", {}, [pod("a", containers=SIDECAR)], ""),
        ("ambient", {}, [pod("a", meta=CAPTURED), pod("b", phase="Succeeded")], ""),
        ("none", {}, [pod("a")], ""),
        ("none", {}, [], ""),
        ("ambient", {"istio.io/dataplane-mode": "ambient"}, [], ""),
        ("sidecar", {"istio-injection": "enabled"}, [], ""),
        ("sidecar", {}, [pod("a", containers=SIDECAR), pod("b", meta=OUT)], ""),
        ("sidecar", {}, [], "expected each in mode sidecar, got 1 none (its labels)"),
        (
            "sidecar",
            {},
            [pod("a", containers=SIDECAR), pod("b"), pod("c", meta=CAPTURED)],
            "each in mode sidecar, got 1 ambient, 1 none, 1 sidecar (b: none, c: ambient)",
        ),
    ],
)
def test_the_mode_of_a_namespace_is_that_of_its_pods(
    mode: Any, labels: dict[str, str], pods: list[dict[str, Any]], said: str
) -> None:
    space = {"metadata": {"name": "shop", "labels": labels}, "status": {"phase": "Active"}}
    kube = as_kube(FakeKube({"v1/namespaces": [space], "v1/pods": pods}))
    with observing() as seen:
        if said:
            with pytest.raises(ClaimFailed) as failed:
                Modes(kube).expect_mode(Mode(namespace="shop", mode=mode))
            assert said in failed.value.message
        else:
            Modes(kube).expect_mode(Mode(namespace="shop", mode=mode))
    assert seen.inspected


def test_a_namespace_that_is_not_there_fails() -> None:
    with pytest.raises(ClaimFailed, match="namespace shop: expected there, got no such"):
        Modes(as_kube(FakeKube({"v1/namespaces": []}))).expect_mode(
            Mode(namespace="shop", mode="none")
        )


# Callers


class Caller:
    """A client of ours that gets the same answer each time."""

    next_steps = ()

    def __init__(self, answer: MeshAnswer) -> None:
        self.answer = answer
        self.called: list[str] = []

    def requests(self, url: str, count: int, **_: Any) -> tuple[MeshAnswer, ...]:
        self.called.append(url)
        return (self.answer,) * count


OK, DENIED = MeshAnswer(200, {}, "", 0.1), MeshAnswer(403, {}, "RBAC: access denied", 0.1)
RESET, DOWN = MeshAnswer(0, {}, "", 0.1, "reset"), MeshAnswer(503, {}, "", 0.1)
CART: dict[str, Any] = {
    "metadata": {"name": "cart", "namespace": "shop"},
    "spec": {"selector": {"app": "cart"}, "ports": [{"port": 8080}]},
}
SLICE: dict[str, Any] = {
    "metadata": {
        "name": "cart-1",
        "namespace": "shop",
        "labels": {"kubernetes.io/service-name": "cart"},
    },
    "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
    "ports": [{"port": 8080}],
}


def callers(ours: MeshAnswer, plain: MeshAnswer, *, services: bool = True) -> Callers:
    state: dict[str, list[dict[str, Any]]] = {
        "v1/services": [CART],
        "discovery.k8s.io/v1/endpointslices": [SLICE],
    }
    kube = as_kube(FakeKube(state if services else {}))
    clients: Any = SimpleNamespace(client=Caller(ours), plain=Caller(plain))
    given: MeshClients = clients
    return Callers(kube, given)


@pytest.mark.parametrize(
    ("mode", "ours", "plain", "said"),
    [
        ("STRICT", OK, RESET, ""),
        ("STRICT", DENIED, RESET, ""),
        ("STRICT", OK, OK, "expected each refused by a reset, as STRICT does, got 5 x 200"),
        ("STRICT", RESET, RESET, "expected each answered to a caller of the mesh, got 5 x no ans"),
        ("PERMISSIVE", OK, OK, ""),
        ("PERMISSIVE", OK, RESET, "expected each answered, though it is plain text, got 5 x no"),
    ],
)
def test_mutual_tls_is_shown_by_who_is_refused(
    mode: Any, ours: MeshAnswer, plain: MeshAnswer, said: str
) -> None:
    of = Mode(namespace="shop", mutual_tls=mode)
    if not said:
        return callers(ours, plain).expect_mutual_tls(of)
    with pytest.raises(ClaimFailed) as failed:
        callers(ours, plain).expect_mutual_tls(of)
    assert "requests of " in failed.value.message
    assert said in failed.value.message
    return None


def test_a_namespace_without_a_service_is_not_claimed() -> None:
    with pytest.raises(NotTested, match="no Service of shop has a ready endpoint"):
        callers(OK, RESET, services=False).expect_mutual_tls(
            Mode(namespace="shop", mutual_tls="STRICT")
        )


@pytest.mark.parametrize(
    ("more", "ours", "plain", "said"),
    [
        ({}, OK, RESET, ""),
        ({}, DENIED, OK, "expected each answered by the application, got 5 x 403"),
        ({}, DOWN, OK, "expected each answered by the application, got 5 x 503"),
        ({"status": 404}, OK, OK, "expected each answered 404, got 5 x 200"),
        ({"identity": False}, RESET, OK, ""),
        ({"identity": False, "reachable": False}, OK, RESET, ""),
        ({"identity": False, "reachable": False}, OK, DENIED, ""),
        ({"reachable": False}, OK, RESET, "expected each refused: a reset, or 403, got 5 x 200"),
        ({"reachable": False}, DOWN, RESET, "expected each refused: a reset, or 403, got 5 x 503"),
    ],
)
def test_who_reaches_a_service_is_as_said(
    more: dict[str, Any], ours: MeshAnswer, plain: MeshAnswer, said: str
) -> None:
    of = Reached(service="shop/cart:8080", **more)
    if not said:
        return callers(ours, plain).expect_reached(of)
    with pytest.raises(ClaimFailed) as failed:
        callers(ours, plain).expect_reached(of)
    assert said in failed.value.message
    return None


# Metrics


class Counting(FakeKube):
    """A cluster whose Prometheus answers one body after the other."""

    def __init__(self, *bodies: str) -> None:
        service = {
            "metadata": {"name": "prometheus", "namespace": "istio-system"},
            "spec": {"selector": {"app": "p"}, "ports": [{"port": 9090, "targetPort": 9091}]},
        }
        ready = pod("p", meta={"namespace": "istio-system", "labels": {"app": "p"}})
        ready["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        super().__init__({"v1/services": [service], "v1/pods": [ready]})
        self.bodies = list(bodies)
        self.ports: list[int] = []

    @contextmanager
    def forward(self, _pod: str, _namespace: str, port: int) -> Iterator[Any]:
        self.ports.append(port)
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        yield SimpleNamespace(get=lambda _: Reply(200, {}, body))


def value(*values: int) -> str:
    result = [{"value": [0, str(one)]} for one in values]
    return msgspec.json.encode({"data": {"result": result}}).decode()


@pytest.fixture
def impatient() -> Iterator[None]:
    with wait_policy(factor=0.002):  # a rise takes the time that its table says
        yield


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ((value(3), value(3), value(4)), ""),
        ((value(3),), "expected more than 3, got 3"),
        ((value(),), "expected a metric that rises, got no such series"),
        (("bad query",), "expected a value, got 200: bad query"),
        ((value(3), value()), "expected more than 3, got 0"),
    ],
)
def test_a_metric_that_must_rise_is_watched(bodies: tuple[str, ...], said: str) -> None:
    kube, of = Counting(*bodies), Rising(metric="up", within=0.3)
    if said:
        with pytest.raises(ClaimFailed) as failed:
            Metrics(as_kube(kube)).expect_rising(of)
        assert f"sum(up) in Prometheus istio-system/prometheus: {said}" in failed.value.message
    else:
        Metrics(as_kube(kube)).expect_rising(of)
    assert set(kube.ports) == {9091}
