"""The add-ons in a small cluster: what they find, count, keep and answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web

from fixtures.providers.embedded.workloads import catalogue
from fixtures.providers.embedded.workloads.addons.promql import NotUnderstood, Series, evaluate
from fixtures.providers.embedded.workloads.addons.scraping import relabelled
from fixtures.providers.embedded.workloads.container_context import ClusterContext
from fixtures.providers.embedded.workloads.http import Served
from fixtures.setup.manifests import filled
from tests.embedded.small import NAMESPACE, Small, in_a_loop, small

Body = dict[str, Any]
IMAGES = {
    "prometheus": "docker.io/prom/prometheus:v3.8.1",
    "jaeger": "docker.io/jaegertracing/jaeger:2.14.0",
    "grafana": "docker.io/grafana/grafana:12.0.1",
    "loki": "docker.io/grafana/loki:3.6.3",
    "kiali": "quay.io/kiali/kiali:v2.21",
}
LABELS = (
    'reporter="destination",source_workload="{0}",source_workload_namespace="sample",'
    'destination_workload="{1}",destination_workload_namespace="sample",'
    'connection_security_policy="{2}",response_code="200"'
)


class Proxy(Served):
    """A proxy that counted so many requests more each time it is scraped."""

    ports = (15020,)
    counted: ClassVar[dict[str, int]] = {}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Its metrics."""
        if request.path != "/stats/prometheus":
            return web.Response(status=404)
        lines = ["# TYPE istio_requests_total counter"]
        for labels, number in self.counted.items():
            self.counted[labels] += 5
            lines.append(f"istio_requests_total{{{labels}}} {number}")
        return web.Response(text="\n".join(lines) + "\n")


def scraped_pod(name: str, port: int, path: str) -> Body:
    """A pod that asks to be scraped at a port and a path."""
    annotations = {"scrape": "true", "port": str(port), "path": path}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app": name},
            "annotations": {f"prometheus.io/{k}": v for k, v in annotations.items()},
        },
        "spec": {"containers": [{"name": name, "image": "example.com/fake-proxy:1.0"}]},
    }


@pytest.fixture(autouse=True)
def reached_without_kube_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Service's name leads to its only pod, and a small scrape interval is configured."""
    monkeypatch.setitem(catalogue.WORKLOADS, "fake-proxy", Proxy)

    def resolve(cluster: ClusterContext, host: str, _namespace: str) -> str:
        service = cluster.api.find("services", host.partition(".")[0], NAMESPACE)
        if not service:
            raise OSError(host)
        chosen = service["spec"]["selector"].items()
        for one in cluster.api.list("pods", NAMESPACE):
            if chosen <= one["metadata"].get("labels", {}).items():
                return str(one["status"]["podIP"])
        raise OSError(host)

    monkeypatch.setattr(ClusterContext, "resolve", resolve)


async def deploy(home: Small, name: str) -> str:
    """Deploy one of the suite's add-ons, and the address of its pod when it is ready."""
    for document in filled(f"addons/{name}.yaml", {"IMAGE": IMAGES[name]}):
        for key, text in (document.get("data") or {}).items():
            quick = text.replace("3s, scrape_timeout: 3s", "100ms")
            # No kube-proxy is here that would lead port 80 to another one.
            document["data"][key] = quick.replace("tracing.istio-system", "tracing:16686")
        if document["kind"] not in {"ClusterRole", "ClusterRoleBinding"}:
            await home.apply(document)

    def ready() -> list[Body]:
        return [one for one in home.ready_pods() if one["metadata"]["name"].startswith(name)]

    (pod,) = await home.until(ready)
    return str(pod["status"]["podIP"])


async def get(url: str, query: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Request JSON."""
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith(("{", "[")) else text


async def eventually(url: str, query: Mapping[str, str] | None, met: Any) -> Any:
    """Request it until it is so."""
    while True:
        status, body = await get(url, query)
        if status == 200 and met(body):
            return body
        await asyncio.sleep(0.05)


def value(answer: Body) -> float:
    """The number that a query found; 0 where it found none."""
    return sum(float(one["value"][1]) for one in answer["data"]["result"])


# Prometheus


@in_a_loop
async def test_prometheus_scrapes_what_asks_for_it_and_tells_what_is_down(tmp_path: Path) -> None:
    Proxy.counted = {LABELS.format("productpage-v1", "details-v1", "mutual_tls"): 5}
    async with small(tmp_path) as home:
        await home.apply(scraped_pod("proxy", 15020, "/stats/prometheus"))
        await home.apply(scraped_pod("wrong", 15020, "/metrics"))
        url = f"http://{await deploy(home, 'prometheus')}:9090"

        def both_known(body: Body) -> bool:
            return {t["health"] for t in body["data"]["activeTargets"]} == {"up", "down"}

        found = await eventually(f"{url}/api/v1/targets", None, both_known)
        by_pod = {t["labels"]["pod"]: t for t in found["data"]["activeTargets"]}
        assert by_pod["proxy"]["health"] == "up"
        assert by_pod["proxy"]["labels"]["job"] == "kubernetes-pods"
        assert by_pod["proxy"]["scrapeInterval"] == "100ms"
        assert "HTTP status 404 Not Found" in by_pod["wrong"]["lastError"]
        query = {"query": 'sum(istio_requests_total{destination_workload="details-v1"})'}
        assert await eventually(f"{url}/api/v1/query", query, lambda body: value(body) >= 5)
        _, names = await get(f"{url}/api/v1/label/__name__/values")
        assert names["data"] == ["istio_requests_total", "up"]


@in_a_loop
async def test_a_query_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        url = f"http://{await deploy(home, 'prometheus')}:9090/api/v1/query"
        status, body = await get(url, {"query": "histogram_quantile(0.9, x)"})
        assert (status, body["errorType"]) == (400, "bad_data")


SAMPLES: list[tuple[dict[str, str], list[tuple[float, float]]]] = [
    ({"__name__": "up", "job": "a", "pod": "x"}, [(90, 1), (100, 4)]),
    ({"__name__": "up", "job": "a", "pod": "y"}, [(90, 2), (100, 1)]),
    ({"__name__": "up", "job": "b", "pod": "z"}, [(90, 0)]),
    ({"__name__": "gone_total"}, [(90, 1), (95, float("nan"))]),
]
SERIES = [Series(labels, deque(samples)) for labels, samples in SAMPLES]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('up{pod="x"}', {"x": 4.0}),
        ('up{pod!="x",job=~"a|c"}', {"y": 1.0}),
        ("gone_total", {}),
        ("sum(up)", {"": 5.0}),
        ("sum(up) by (job)", {"a": 5.0, "b": 0.0}),
        ("sum by (job) (up)", {"a": 5.0, "b": 0.0}),
        ('count(up{job="a"})', {"": 2.0}),
        ('increase(up{pod="x"}[1m])', {"x": 3.0}),
        ('increase(up{pod="y"}[1m])', {"y": 1.0}),  # it was set back
        ('rate(up{pod="x"}[1m])', {"x": 0.05}),
    ],
)
def test_what_a_query_finds(query: str, found: dict[str, float]) -> None:
    seen = evaluate(query, SERIES, 101)
    assert {m.get("pod", m.get("job", "")): pytest.approx(v) for m, v in seen} == found


@pytest.mark.parametrize("query", ["up{", "up +1", "rate(up)", "sum(up", "", 'up{pod "x"}'])
def test_what_is_no_query(query: str) -> None:
    with pytest.raises(NotUnderstood):
        evaluate(query, SERIES, 101)


def test_relabelling() -> None:
    labels = {"a": "1", "b": "2", "meta_x": "3"}
    rules: list[Body] = [
        {"source_labels": ["a", "b"], "separator": ":", "regex": r"(\d):\d", "target_label": "c"},
        {"action": "labelmap", "regex": "meta_(.+)"},
        {"action": "drop", "source_labels": ["a"], "regex": "2"},
    ]
    assert relabelled(labels, rules) == {**labels, "c": "1", "x": "3"}
    assert relabelled(labels, [{"action": "keep", "source_labels": ["a"], "regex": True}]) is None


# Jaeger


@in_a_loop
async def test_jaeger_shows_the_traces_of_the_spans_that_it_took(tmp_path: Path) -> None:
    async with small(tmp_path) as home, aiohttp.ClientSession() as session:
        address = await deploy(home, "jaeger")
        query = f"http://{address}:16686/jaeger/api"
        assert (await get(f"{query}/services"))[1]["data"] is None
        status, missing = await get(f"{query}/traces/{'0' * 31}1")
        assert (status, missing["errors"][0]["code"]) == (404, 404)
        spans = [
            {"traceId": "f" * 16, "id": "1" * 16, "name": "GET", "kind": "CLIENT",
             "timestamp": 1, "duration": 2, "localEndpoint": {"serviceName": "gateway"}},
            {"traceId": "f" * 16, "id": "2" * 16, "parentId": "1" * 16, "kind": "SERVER",
             "localEndpoint": {"serviceName": "page"}, "tags": {"http.status_code": "200"}},
        ]  # fmt: skip
        async with session.post(f"http://{address}:9411/api/v2/spans", json=spans) as answer:
            assert answer.status == 202
        assert (await get(f"{query}/services"))[1]["data"] == ["gateway", "jaeger", "page"]
        _, found = await get(f"{query}/traces/{'f' * 16}")
        (trace,) = found["data"]
        names = {k: process["serviceName"] for k, process in trace["processes"].items()}
        assert [names[span["processID"]] for span in trace["spans"]] == ["gateway", "page"]
        assert trace["spans"][1]["references"][0]["spanID"] == "1" * 16
        _, listed = await get(f"{query}/traces", {"service": "page"})
        assert [one["traceID"] for one in listed["data"]] == [trace["traceID"]]


@in_a_loop
async def test_jaeger_takes_no_spans_at_another_port_or_in_another_form(tmp_path: Path) -> None:
    async with small(tmp_path) as home, aiohttp.ClientSession() as session:
        address = await deploy(home, "jaeger")
        for port, body, status in ((14268, "[]", 404), (9411, "{", 400), (9411, "[{}]", 400)):
            url = f"http://{address}:{port}/api/v2/spans"
            async with session.post(url, data=body) as answer:
                assert answer.status == status


# Grafana and Kiali, by what Prometheus has


@in_a_loop
async def test_grafana_hands_a_query_on_to_its_data_source(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(scraped_pod("proxy", 15020, "/stats/prometheus"))
        await deploy(home, "prometheus")
        url = f"http://{await deploy(home, 'grafana')}:3000/api"
        _, sources = await get(f"{url}/datasources")
        source = next(one for one in sources if one["type"] == "prometheus")
        for place in (f"uid/{source['uid']}", source["id"]):
            there = f"{url}/datasources/proxy/{place}/api/v1/query"
            query = {"query": "sum(up)"}
            assert await eventually(there, query, lambda body: value(body) == 1)
        assert (await get(f"{url}/datasources/proxy/uid/none/api/v1/query"))[0] == 404
        _, dashboards = await get(f"{url}/search", {"type": "dash-db"})
        assert dashboards
        for one in dashboards:
            _, found = await get(f"{url}/dashboards/uid/{one['uid']}")
            assert found["dashboard"]["title"] == one["title"]


@in_a_loop
async def test_kiali_draws_what_prometheus_counted(tmp_path: Path) -> None:
    Proxy.counted = {
        LABELS.format("productpage-v1", "details-v1", "mutual_tls"): 5,
        LABELS.format("unknown", "details-v1", "none"): 5,
    }
    async with small(tmp_path) as home:
        await home.apply(scraped_pod("proxy", 15020, "/stats/prometheus"))
        await deploy(home, "prometheus")
        await deploy(home, "jaeger")
        url = f"http://{await deploy(home, 'kiali')}:20001/kiali/api"
        query = {"namespaces": NAMESPACE, "duration": "60s", "graphType": "workload"}

        def two_edges(body: Body) -> bool:
            return len(body["elements"]["edges"]) == 2

        found = await eventually(f"{url}/namespaces/graph", query, two_edges)
        nodes = {n["data"]["id"]: n["data"]["workload"] for n in found["elements"]["nodes"]}
        edges = [e["data"] for e in found["elements"]["edges"]]
        shown = {(nodes[e["source"]], nodes[e["target"]]): e.get("isMTLS") for e in edges}
        assert shown == {("productpage-v1", "details-v1"): "100", ("unknown", "details-v1"): None}
        _, components = await get(f"{url}/istio/status")
        states = {one["name"]: one["status"] for one in components}
        assert states == {
            "istiod": "NotFound",
            "prometheus": "Healthy",
            "grafana": "Unreachable",
            "tracing": "Healthy",
        }
        _, tls = await get(f"{url}/mesh/tls")
        assert tls["status"] == "MTLS_NOT_ENABLED"


@in_a_loop
async def test_kiali_without_prometheus_has_no_graph(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        url = f"http://{await deploy(home, 'kiali')}:20001/kiali/api"
        status, _ = await get(f"{url}/namespaces/graph", {"namespaces": "x", "duration": "60s"})
        assert status == 500


@in_a_loop
async def test_loki_finds_the_lines_that_were_pushed(tmp_path: Path) -> None:
    async with small(tmp_path) as home, aiohttp.ClientSession() as session:
        url = f"http://{await deploy(home, 'loki')}:3100/loki/api/v1"
        now = str(time.time_ns())
        stream = {"stream": {"pod": "x"}, "values": [[now, "GET /a"], [now, "GET /b"]]}
        async with session.post(f"{url}/push", json={"streams": [stream]}) as answer:
            assert answer.status == 204
        _, found = await get(f"{url}/query_range", {"query": '{pod=~".+"} |= "/b"'})
        (one,) = found["data"]["result"]
        assert (one["stream"], one["values"]) == ({"pod": "x"}, [[now, "GET /b"]])
        _, none = await get(f"{url}/query_range", {"query": '{pod="y"}'})
        assert none["data"]["result"] == []
        assert (await get(f"{url}/query_range", {"query": "{}"}))[0] == 400
