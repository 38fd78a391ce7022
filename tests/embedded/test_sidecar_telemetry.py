"""What is counted of a request and of a connection, and who traces; by Istio's names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fixtures.providers.embedded.dataplane.mesh import Mesh, Proxy
from fixtures.providers.embedded.dataplane.telemetry import MARK, Counters, Workload
from fixtures.providers.embedded.dataplane.tracing import tracing_for

Body = dict[str, Any]
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
HOST = "reviews.shop.svc.cluster.local"
# Of Istio's own proxies, reporter=destination; their order does not matter to anybody.
_ENDS = (
    *("workload", "canonical_service", "canonical_revision", "workload_namespace", "principal"),
    *("app", "version", "cluster"),
)
LABELS = [
    *("reporter", "request_protocol", "response_code", "grpc_response_status", "response_flags"),
    *("connection_security_policy", "destination_service", "destination_service_name"),
    "destination_service_namespace",
    *(f"{end}_{part}" for end in ("source", "destination") for part in _ENDS),
]


def pod(name: str, app: str) -> Body:
    return {
        "metadata": {
            "name": f"{name}-6d4f-x",
            "namespace": "shop",
            "labels": {"app": app, "version": "v1", "pod-template-hash": "6d4f"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"{name}-6d4f"}],
        }
    }


PODS = {
    CLIENT: Workload.of(pod("client-v1", "client")),
    SERVER: Workload.of(pod("reviews-v1", "reviews")),
}


def counters(own: str) -> Counters:
    return Counters(PODS[own], PODS.get)


def line(**fields: str) -> str:
    order = {
        "protocol": "HTTP/1.1",
        "code": "200",
        "flags": "-",
        "duration": "7",
        "received": "1",
        "sent": "2",
        "downstream_peer": "-",
        "upstream_peer": "-",
        "upstream": f"{SERVER}:9080",
        "downstream": CLIENT,
        "cluster": f"outbound|9080|v1|{HOST}",
        "grpc": "-",
        "tls": "-",
    } | fields
    return "\t".join([MARK, *order.values()])


def series(text: str, name: str) -> dict[str, str]:
    (found,) = re.findall(rf"^{name}{{(.*)}} ", text, re.MULTILINE)
    return dict(re.findall(r'(\w+)="([^"]*)"', found))


def test_a_callers_proxy_counts_whom_it_called() -> None:
    counted = counters(CLIENT)
    counted.count(line(upstream_peer="spiffe://cluster.local/ns/shop/sa/reviews"))
    labels = series(counted.text(), "istio_requests_total")
    assert sorted(labels) == sorted(LABELS)
    wanted = {
        "reporter": "source",
        "source_workload": "client-v1",
        "destination_workload": "reviews-v1",
        "destination_service": HOST,
        "destination_service_name": "reviews",
        "destination_service_namespace": "shop",
        "destination_principal": "spiffe://cluster.local/ns/shop/sa/reviews",
        "connection_security_policy": "unknown",
        "request_protocol": "http",
    }
    assert {name: labels[name] for name in wanted} == wanted


def test_a_proxy_that_is_entered_counts_by_what_it_was_entered() -> None:
    counted = counters(SERVER)
    entered = {"cluster": "inbound|9080||", "upstream": "127.1.2.3:9080"}
    principal = "spiffe://cluster.local/ns/shop/sa/client"
    counted.count(line(**entered, tls="TLSv1.3", downstream_peer=principal))
    labels = series(counted.text(), "istio_requests_total")
    assert labels["reporter"] == "destination"
    assert labels["connection_security_policy"] == "mutual_tls"
    assert (labels["source_workload"], labels["source_principal"]) == ("client-v1", principal)
    plain = counters(SERVER)
    plain.count(line(**entered))
    labels = series(plain.text(), "istio_requests_total")
    assert (labels["connection_security_policy"], labels["source_workload"]) == ("none", "unknown")


def test_each_request_is_counted_and_its_time_with_it() -> None:
    counted = counters(CLIENT)
    for duration in ("3", "7", "700"):
        counted.count(line(duration=duration))
    text, name = counted.text(), "istio_request_duration_milliseconds"
    assert re.search(r"^istio_requests_total{.*} 3$", text, re.MULTILINE)
    for bound, wanted in (("1", "0"), ("5", "1"), ("10", "2"), ("1000", "3"), ("+Inf", "3")):
        pattern = rf'^{name}_bucket{{.*le="{re.escape(bound)}"}} {wanted}$'
        assert re.search(pattern, text, re.MULTILINE)
    assert re.search(rf"^{name}_sum{{.*}} 710$", text, re.MULTILINE)


def test_a_connection_that_is_no_http_is_counted_by_its_bytes() -> None:
    counted = counters(CLIENT)
    counted.count(line(protocol="-", code="0"))
    text = counted.text()
    assert "istio_requests_total" not in text
    for name, wanted in (("connections_opened", 1), ("sent_bytes", 2), ("received_bytes", 1)):
        pattern = rf'^istio_tcp_{name}_total{{.*request_protocol="tcp".*}} {wanted}$'
        assert re.search(pattern, text, re.MULTILINE)


COLLECTOR = {
    "metadata": {"name": "zipkin", "namespace": "istio-system"},
    "spec": {"clusterIP": "10.0.0.9", "ports": [{"name": "http", "port": 9411}]},
}
OPEN_TELEMETRY = {"service": "zipkin.istio-system.svc.cluster.local", "port": 4317}
PROVIDER = {"name": "jaeger", "opentelemetry": OPEN_TELEMETRY}
DEFAULT = {"tracing": {"zipkin": {"address": "zipkin.istio-system:9411"}}}
PROXY = Proxy("shop", {"service.istio.io/canonical-name": "client"}, CLIENT)


def telemetry(**tracing: Any) -> Body:
    metadata = {"name": "tracing", "namespace": "shop"}
    return {"metadata": metadata, "spec": {"tracing": [tracing]}}


ASKED = telemetry(providers=[{"name": "jaeger"}], randomSamplingPercentage=100)


@pytest.mark.parametrize(
    ("config", "telemetries", "percent"),
    [
        pytest.param({}, [], None, id="nobody"),
        pytest.param({"extensionProviders": [PROVIDER]}, [ASKED], 100, id="telemetry"),
        pytest.param({"extensionProviders": []}, [ASKED], None, id="unknown-provider"),
        pytest.param({"enableTracing": True, "defaultConfig": DEFAULT}, [], 1, id="default"),
        pytest.param({"defaultConfig": DEFAULT}, [], 1, id="default-on-unless-it-says-no"),
        pytest.param({"enableTracing": False, "defaultConfig": DEFAULT}, [], None, id="off"),
        pytest.param(
            {"enableTracing": True, "defaultConfig": DEFAULT},
            [telemetry(disableSpanReporting=True)],
            None,
            id="turned-off",
        ),
    ],
)
def test_spans_are_made_where_somebody_asks_for_them(
    config: Body, telemetries: list[Body], percent: int | None
) -> None:
    mesh = Mesh(config=config, telemetries=telemetries, services=[COLLECTOR])
    found = tracing_for(mesh, PROXY)
    if percent is None:
        assert found == {}
        return
    settings = found["tracing"]["provider"]["typed_config"]
    assert settings["collector_cluster"] == "outbound|9411||zipkin.istio-system.svc.cluster.local"
    assert found["tracing"]["random_sampling"] == {"value": percent}
    assert tracing_for(Mesh(config=config, telemetries=telemetries), PROXY) == {}, (
        "no such Service"
    )
