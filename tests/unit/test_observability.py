"""What the add-ons' nouns make of what an add-on answers, and of the mesh's configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested
from fixtures.claims.deadlines import AT_ONCE
from fixtures.claims.observations import observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.observability.connections import connect
from fixtures.istio.observability.grafana import Grafana, metrics_of
from fixtures.istio.observability.jaeger import Jaeger
from fixtures.istio.observability.kiali import Kiali, edges_of
from fixtures.istio.observability.loki import PUSH, QUERY, Loki
from fixtures.istio.observability.prometheus import Prometheus, seconds
from fixtures.istio.observability.traffic import Caused
from fixtures.istio.telemetry import Telemetry
from fixtures.k8s import Reply
from tests.unit.test_addons import the_addons

Body = dict[str, Any]


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say what each path answers."""

    def say(by_path: Mapping[str, Any]) -> None:
        def reply(_api: Any, path: str, _sent: Any = None) -> Reply:
            found = by_path.get(path)
            if isinstance(found, Reply):
                return found
            return Reply(404 if found is None else 200, {}, json.dumps(found))

        monkeypatch.setattr("fixtures.istio.observability.api.AddonApi.reply", reply)
        monkeypatch.setattr("fixtures.istio.observability.api.AddonApi.post", reply)
        monkeypatch.setattr("fixtures.istio.observability.kiali.DRAWN", AT_ONCE)

    return say


class Client:
    """Stands where a client in the mesh does."""

    name, namespace = "seatrial-client", "bookinfons"


def sent(**telemetry: str) -> Caused:
    client: Any = Client()
    return Caused(client, 12, 3, "ab" * 16, Telemetry(**telemetry))


def trace(*services: str) -> Body:
    processes = {f"p{n}": {"serviceName": f"{name}.bookinfons"} for n, name in enumerate(services)}
    spans = [{"processID": place} for place in processes]
    return {"data": [{"traceID": "ab" * 16, "spans": spans, "processes": processes}]}


def failed(claim: Any, *arguments: Any) -> str:
    """What a claim says that is not so, at once."""
    with wait_policy(factor=0), pytest.raises(ClaimFailed) as caught:
        claim(*arguments)
    return caught.value.message


# Jaeger

TRACE = f"/api/traces/{'ab' * 16}"


def test_a_trace_that_spans_all_three_services(answered: Any) -> None:
    answered({TRACE: trace("seatrial-client", "productpage", "details", "reviews")})
    with observing() as seen:
        Jaeger(the_addons("1.31.4")).expect_trace(sent(tracer="jaeger"))
    assert seen.inspected == 4


def test_a_trace_that_ends_at_productpage(answered: Any) -> None:
    answered({TRACE: trace("seatrial-client", "productpage")})
    said = failed(Jaeger(the_addons("1.31.4")).expect_trace, sent(tracer="jaeger"))
    assert "no span of details, reviews" in said


def test_a_jaeger_without_any_span_lists_no_service(answered: Any) -> None:
    answered({"/api/services": {"data": None}})
    said = failed(Jaeger(the_addons("1.31.4")).expect_trace, sent(default_tracer="zipkin:9411"))
    assert "the services that it knows: none" in said


def test_a_mesh_that_leads_no_span_to_jaeger(answered: Any) -> None:
    answered({})
    with pytest.raises(NotTested, match="no tracing provider that leads to Jaeger"):
        Jaeger(the_addons("1.24.6")).expect_trace(sent())


# Prometheus


def counting(number: str) -> Body:
    result = [{"metric": {}, "value": [1, number]}] if number else []
    targets = [{"scrapeInterval": "100ms"}]
    return {"data": {"result": result, "activeTargets": targets}}


def test_requests_are_counted_from_what_was_known_before(answered: Any) -> None:
    answered({"/api/v1/query": counting("15"), "/api/v1/targets": counting("")})
    sent().expect_counted_by(Prometheus(the_addons("1.31.4")))


@pytest.mark.parametrize("number", ["14", ""])
def test_too_few_requests_are_counted(answered: Any, number: str) -> None:
    answered({"/api/v1/query": counting(number), "/api/v1/targets": counting("")})
    said = failed(sent().expect_counted_by, Prometheus(the_addons("1.31.4")))
    assert "at least 15: 12 more" in said


def test_a_mesh_without_metrics_says_why(answered: Any) -> None:
    answered({})
    with pytest.raises(NotTested, match="no requests are counted: turned off"):
        sent(no_metrics="turned off").expect_counted_by(Prometheus(the_addons("1.31.4")))


@pytest.mark.parametrize(("text", "number"), [("15s", 15), ("1m30s", 90), ("500ms", 0.5)])
def test_durations(text: str, number: float) -> None:
    assert seconds(text) == number


# Grafana


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("sum(pilot_xds)", {"pilot_xds"}),
        ('sum(rate(istio_requests_total{a="b"}[1m])) by (code)', {"istio_requests_total"}),
        ("go_goroutines{app=~\"a{2}\"} / up{x='y'}", {"go_goroutines", "up"}),
        (
            "histogram_quantile(0.5, sum(rate(istio_request_bytes_bucket{}[1m])) by (le, app))",
            {"istio_request_bytes_bucket"},
        ),
        ("vector(1)", set()),
    ],
)
def test_the_metrics_of_a_query(query: str, found: set[str]) -> None:
    assert metrics_of(query) == found


def dashboards(*expressions: str) -> Body:
    titles = [
        f"Istio {name} Dashboard" for name in ("Control Plane", "Mesh", "Service", "Workload")
    ]
    panels = [{"title": e, "targets": [{"expr": e}]} for e in expressions]
    row = {"type": "row", "title": "a row", "panels": panels}
    found: Body = {"/api/search": [{"title": title, "uid": title} for title in titles]}
    for title in titles:
        found[f"/api/dashboards/uid/{title}"] = {"dashboard": {"title": title, "panels": [row]}}
    return {**found, "/api/v1/label/__name__/values": {"data": ["pilot_xds"]}}


def test_a_dashboard_that_can_only_be_empty_is_named(answered: Any) -> None:
    grafana = Grafana(the_addons("1.31.4"))
    answered(dashboards("sum(istio_requests_total)"))
    assert "Istio Control Plane Dashboard" in failed(grafana.expect_dashboards, sent())
    with observing() as seen:
        grafana.expect_dashboards(sent(no_metrics="turned off"))
    assert "Istio Mesh Dashboard can only be empty: turned off" in seen.notes


def test_a_panel_without_metrics_is_noted(answered: Any) -> None:
    answered(dashboards("sum(pilot_xds)", "sum(pilot_services)"))
    with observing() as seen:
        Grafana(the_addons("1.31.4")).expect_dashboards(sent())
    assert any("nothing yet has pilot_services" in text for text in seen.notes)
    assert seen.inspected == 4


def test_a_dashboard_that_is_not_listed(answered: Any) -> None:
    answered(dashboards() | {"/api/search": []})
    assert "Istio Mesh Dashboard" in failed(
        Grafana(the_addons("1.31.4")).expect_dashboards, sent()
    )


def test_a_data_source_by_uid_and_by_number(answered: Any) -> None:
    source = {"id": 1, "uid": "x", "type": "prometheus", "url": "http://prometheus:9090"}
    sources = {"/api/datasources": [{"type": "loki"}, source]}
    grafana, good = Grafana(the_addons("1.31.4")), {"status": "success"}
    for place in ("uid/x", "1"):
        answered({**sources, f"/api/datasources/proxy/{place}/api/v1/query": good})
        grafana.expect_data_source()
    bad = {"/api/datasources/proxy/uid/x/api/v1/query": Reply(502, {}, "")}
    answered({**sources, **bad})
    assert "502 (no body) from http://prometheus:9090" in failed(grafana.expect_data_source)
    answered({"/api/datasources": []})
    assert "expected one of type prometheus" in failed(grafana.expect_data_source)


# Kiali


def graph(*edges: tuple[str, str, str]) -> Body:
    names = sorted({name for edge in edges for name in edge[:2]})
    shown = [{"data": {"source": a, "target": b, "isMTLS": tls}} for a, b, tls in edges]
    nodes = [{"data": {"id": name, "workload": name}} for name in names]
    return {"elements": {"nodes": nodes, "edges": shown}}


OURS = (
    ("seatrial-client", "productpage-v1", "100"),
    ("productpage-v1", "details-v1", "100"),
    ("productpage-v1", "reviews-v2", "100"),
)
GRAPH = "/api/namespaces/graph"


def test_the_edges_of_our_requests(answered: Any) -> None:
    answered({GRAPH: graph(*OURS, ("unknown", "productpage-v1", ""))})
    kiali = Kiali(the_addons("1.31.4"))
    with observing() as seen:
        kiali.expect_edges(sent())
        kiali.expect_mutual_tls(sent())
    assert seen.inspected == 2 * len(OURS)
    assert not seen.calls, "what Kiali draws is no request that a claim saw"


def test_an_edge_that_is_not_drawn(answered: Any) -> None:
    answered({GRAPH: graph(*OURS[:2])})
    said = failed(Kiali(the_addons("1.31.4")).expect_edges, sent())
    assert "no productpage -> reviews; it has seatrial-client -> productpage-v1" in said


def test_an_edge_in_plain_text(answered: Any) -> None:
    answered({GRAPH: graph(*OURS[:2], ("productpage-v1", "reviews-v3", ""))})
    said = failed(Kiali(the_addons("1.31.4")).expect_mutual_tls, sent())
    assert "got productpage-v1 -> reviews-v3 0 %" in said


def test_what_kiali_cannot_reach_is_named(answered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = [{"name": "istiod", "status": "Healthy"}, {"name": "ztunnel", "status": "NotFound"}]
    kiali = Kiali(the_addons("1.31.4"))
    answered({"/api/status": {}, "/api/istio/status": healthy})
    kiali.expect_everything_reached()
    broken = [*healthy, {"name": "prometheus", "status": "Unreachable"}]
    answered({"/api/status": {}, "/api/istio/status": broken})
    monkeypatch.setattr(Kiali, "_is_up", lambda *_: True)
    assert "prometheus is Unreachable" in failed(kiali.expect_everything_reached)


@pytest.mark.parametrize(
    ("up", "cause"),
    [
        (True, "Kiali does not reach prometheus"),
        (False, "Deployment istio-system/prometheus is not up"),
    ],
)
def test_a_kiali_without_prometheus_fails_of_that_alone(
    answered: Any,
    monkeypatch: pytest.MonkeyPatch,
    up: bool,  # noqa: FBT001  # whether Prometheus runs
    cause: str,
) -> None:
    unreached = [{"name": "prometheus", "status": "Unreachable"}]
    answered({GRAPH: graph(), "/api/istio/status": unreached, "/api/status": {}})
    monkeypatch.setattr(Kiali, "_is_up", lambda *_: up)
    kiali = Kiali(the_addons("1.31.4"))
    claims: list[tuple[Any, ...]] = [
        (kiali.expect_edges, sent()),
        (kiali.expect_mutual_tls, sent()),
        (kiali.expect_everything_reached,),
    ]
    for claim, *arguments in claims:
        with wait_policy(factor=0), pytest.raises(ClaimFailed) as caught:
            claim(*arguments)
        assert caught.value.causes == (cause,)


def test_an_edge_of_a_node_that_is_no_workload() -> None:
    body = graph(("a", "b", "50"))
    body["elements"]["nodes"][0]["data"] = {"id": "a", "nodeType": "unknown"}
    (edge,) = edges_of(body)
    assert (edge.source, edge.target, edge.mutual) == ("", "b", 50)


# Loki


class Logged:
    """Stands where the API is asked for pods and their logs."""

    def __init__(self, log: str) -> None:
        self.log = log

    def list(self, *_: object, **__: object) -> list[Body]:
        meta = {"name": "productpage-v1-x", "namespace": "bookinfons", "uid": "1"}
        return [{"metadata": meta, "spec": {"containers": []}, "status": {}}]

    def logs(self, *_: object, **__: object) -> str:
        return self.log


LINE = f"GET /productpage?seatrial={'ab' * 16} 200"


def loki(log: str, access_log: str = "/dev/stdout") -> Loki:
    kube: Any = Logged(log)
    known = the_addons("1.31.4")
    options = replace(known.expected.options, access_log=access_log)
    return Loki(replace(known, kube=kube, expected=replace(known.expected, options=options)))


def found(*lines: str) -> Body:
    streams = [{"stream": {}, "values": [["1", line] for line in lines]}]
    return {PUSH: Reply(204, {}, ""), QUERY: {"data": {"result": streams if lines else []}}}


def test_loki_finds_the_line_that_the_sidecar_logged(answered: Any) -> None:
    answered(found(LINE))
    with observing() as seen:
        loki(f"GET /other 200\n{LINE}\n").expect_line(sent())
    assert seen.inspected == 1


def test_loki_that_finds_nothing_takes_nothing_or_was_sent_nothing(answered: Any) -> None:
    answered(found())
    assert "got none" in failed(loki(LINE).expect_line, sent())
    answered(found("another line"))
    assert "got 1 others" in failed(loki(LINE).expect_line, sent())
    answered({PUSH: Reply(429, {}, "too many")})
    assert "429 (too many)" in failed(loki(LINE).expect_line, sent())
    assert "none that holds it" in failed(loki("GET /other 200").expect_line, sent())


def test_a_mesh_without_an_access_log_has_no_line(answered: Any) -> None:
    answered({})
    with pytest.raises(NotTested, match="names no accessLogFile"):
        loki(LINE, access_log="").expect_line(sent())


# In ambient mode


class Pages:
    """Stands where the sample does; each page that is fetched makes ztunnel count more."""

    namespace = "bookinfons"

    def __init__(self, *, whole: bool = True) -> None:
        self.fetched = 0
        self._whole = whole

    def page(self) -> Pages:
        self.fetched += 1
        return self

    def expect_whole(self) -> None:
        if not self._whole:
            raise ClaimFailed("the page", expected="whole", got="an error")


@pytest.mark.parametrize("counts", [True, False])
def test_connections_are_counted_from_what_was_known_before(
    counts: bool,  # noqa: FBT001  # whether ztunnel does
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages: Any = Pages()

    def reply(_api: Any, path: str, query: Mapping[str, str]) -> Reply:
        if path == "/api/v1/query":
            assert 'reporter="source"' in query["query"]
        known = pages.fetched if counts else min(pages.fetched, 5)
        return Reply(200, {}, json.dumps(counting(str(30 + known))))

    monkeypatch.setattr("fixtures.istio.observability.api.AddonApi.reply", reply)
    prometheus = Prometheus(the_addons("1.31.4"))
    with wait_policy(factor=0):
        made = connect(pages, prometheus)
    assert made.before == 32  # with the two that went ahead
    if counts:
        made.expect_counted_by(prometheus)
    else:
        said = failed(made.expect_counted_by, prometheus)
        assert "expected at least 44: 12 more, got 35" in said


def test_a_sample_without_a_page_causes_nothing(answered: Any) -> None:
    answered({})
    broken: Any = Pages(whole=False)
    with pytest.raises(NotTested, match=r"nothing that Prometheus could count .* an error"):
        connect(broken, Prometheus(the_addons("1.31.4")))
