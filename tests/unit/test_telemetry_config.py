"""What the mesh's configuration says of metrics and traces, as releases and operators write it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fixtures.istio.telemetry import Telemetry
from fixtures.k8s import Refused

Body = dict[str, Any]
ROOT, SAMPLE = "istio-system", "bookinfons"
COUNTED: Body = {"defaultProviders": {"metrics": ["prometheus"]}}
JAEGER: Body = {
    "name": "jaeger",
    "opentelemetry": {"port": 4317, "service": "jaeger-collector.istio-system.svc.cluster.local"},
}


class Api:
    """Holds the mesh's configuration, Telemetry resources and EnvoyFilters."""

    def __init__(self, mesh: Body, *telemetries: Body, filters: tuple[str, ...] = ()) -> None:
        self.mesh, self.telemetries, self.filters = mesh, telemetries, filters

    def list(self, kind: str, namespace: str, *, fields: str = "") -> list[Body]:
        if kind == "configmaps":
            held = {"metadata.name=istio": {"mesh": yaml.safe_dump(self.mesh)}}
            return [{"data": held.get(fields, {})}]
        if kind.startswith("envoyfilters"):
            return [{"metadata": {"name": name}} for name in self.filters]
        if not self.telemetries:
            raise Refused(404, reason="NotFound", message="no such kind")
        return [one for one in self.telemetries if one["metadata"]["namespace"] == namespace]


def telemetry(namespace: str, *, selector: Body | None = None, **metrics: Any) -> Body:
    meta = {"name": "x", "namespace": namespace}
    return {"metadata": meta, "spec": {"metrics": [metrics], "selector": selector}}


def read(mesh: Body, *telemetries: Body, filters: tuple[str, ...] = ()) -> Telemetry:
    kube: Any = Api(mesh, *telemetries, filters=filters)
    return Telemetry.read(kube, "", ROOT, SAMPLE)


ELSEWHERE: Body = {**COUNTED, "rootNamespace": "root"}
OFF: Body = {"overrides": [{"match": {"metric": "REQUEST_COUNT"}, "disabled": True}]}
CLIENT_OFF: Body = {"overrides": [{"match": {"mode": "CLIENT"}, "disabled": True}]}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (read(COUNTED), ""),
        (read({}), "no provider of metrics"),
        (read({}, filters=("stats-filter-1.13",)), ""),
        (read({}, telemetry(ROOT, providers=[{"name": "prometheus"}])), ""),
        (read({}, telemetry("other", providers=[{"name": "prometheus"}])), "no provider"),
        (read(COUNTED, telemetry(SAMPLE, **OFF)), "Telemetry bookinfons/x turns"),
        (read(COUNTED, telemetry(ROOT, overrides=[{"disabled": True}])), "istio-system/x turns"),
        (read(COUNTED, telemetry(SAMPLE, **CLIENT_OFF)), ""),
        (read(ELSEWHERE, telemetry("root", **OFF)), "Telemetry root/x turns"),
        (read(ELSEWHERE, telemetry(ROOT, **OFF)), ""),
        (read(COUNTED, telemetry(SAMPLE, selector={"matchLabels": {"a": "b"}}, **OFF)), ""),
    ],
)
def test_why_no_requests_are_counted(found: Telemetry, why: str) -> None:
    assert why in found.no_metrics
    assert bool(why) == bool(found.no_metrics)


def test_the_tracer_that_leads_to_jaeger() -> None:
    elsewhere = {"name": "otel", "opentelemetry": {"service": "collector.observability.svc"}}
    zipkin = {"name": "zipkin", "zipkin": {"service": "zipkin.istio-system.svc.cluster.local"}}
    assert read({"extensionProviders": [elsewhere, JAEGER]}).tracer == "jaeger"
    assert read({"extensionProviders": [zipkin]}).tracer == "zipkin"
    assert read({"extensionProviders": [elsewhere]}).tracer == ""


def test_the_tracer_that_every_proxy_had_before_1_22() -> None:
    config = {"defaultConfig": {"tracing": {"zipkin": {"address": "zipkin.istio-system:9411"}}}}
    assert read(config).default_tracer == "zipkin.istio-system:9411"
    assert read({**config, "enableTracing": False}).default_tracer == ""
