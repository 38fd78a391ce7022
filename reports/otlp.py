"""A run's metrics for OpenTelemetry: where the environment says they go, and OTLP's JSON of them.

The JSON of the protocol itself, over HTTP: a collector takes it at the port where it takes
protobuf, and writing it needs none of the ten packages that OpenTelemetry's exporter brings
(docs/decisions/0023). gRPC is not spoken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from urllib.parse import unquote

from fixtures.run.nightly_options import is_address
from reports import metrics
from reports.model import Run

PREFIX = "OTEL_EXPORTER_OTLP_"
SERVICE = "seatrial"
ENDPOINT = f"{PREFIX}ENDPOINT"
GAUGES = "v1/metrics"


class Refused(Exception):
    """Nothing is sent; one line that says why."""


@dataclass(frozen=True)
class Endpoint:
    """Where metrics go.

    Attributes:
        option: the variable that says so.
        resource: what is said of the sender beside its name.
        certificate: a file of authorities to trust; empty for the usual ones.
    """

    option: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    resource: Mapping[str, str] = field(default_factory=dict)
    certificate: str = ""


def endpoint_of(environment: Mapping[str, str]) -> Endpoint | None:
    """What the environment says, in OpenTelemetry's own words; None where it says nothing.

    Raises:
        Refused: it wants what is not spoken, or names no address.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    option, url = f"{PREFIX}METRICS_ENDPOINT", environment.get(f"{PREFIX}METRICS_ENDPOINT", "")
    if not url:
        option, url = ENDPOINT, environment.get(ENDPOINT, "")
        url = f"{url.rstrip('/')}/{GAUGES}" if url else ""
    if not url:
        return None
    if not is_address(url):
        raise Refused(f"{option}: not sent: an address like http://host:4318 is needed")
    if _either(environment, "PROTOCOL") == "grpc":
        line = f"{option}: not sent: gRPC is not spoken here"
        raise Refused(f"{line}; set {PREFIX}METRICS_PROTOCOL=http/json and the port for HTTP")
    resource = _pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    if name := environment.get("OTEL_SERVICE_NAME", ""):
        resource["service.name"] = name
    headers, certificate = (
        _pairs(_either(environment, "HEADERS")),
        _either(environment, "CERTIFICATE"),
    )
    return Endpoint(option, url, headers, resource, certificate)


def _either(environment: Mapping[str, str], name: str) -> str:
    """What is said for metrics alone, else for everything."""
    return environment.get(f"{PREFIX}METRICS_{name}", "") or environment.get(PREFIX + name, "")


def _pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`, with values encoded as in an address."""
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {key.strip(): unquote(value.strip()) for key, _, value in pairs}


def request(run: Run, endpoint: Endpoint) -> bytes:
    """The body of an export."""
    resource = {"service.name": SERVICE, "service.version": run.suite, **endpoint.resource}
    scope = {"scope": {"name": SERVICE}, "metrics": list(_gauges(run))}
    body = {
        "resourceMetrics": [
            {"resource": {"attributes": _attributes(resource)}, "scopeMetrics": [scope]}
        ]
    }
    return json.dumps(body, ensure_ascii=False).encode(errors="replace")


def _gauges(run: Run) -> Iterator[dict[str, Any]]:
    ended = str(int((run.started.timestamp() + run.seconds) * 1e9))
    samples = sorted(metrics.samples_of(run), key=lambda sample: sample.name)
    for name, group in groupby(samples, key=lambda sample: sample.name):
        points = [
            {
                "attributes": _attributes(sample.labels),
                "timeUnixNano": ended,
                "asDouble": sample.value,
            }
            for sample in group
        ]
        unit = {"unit": "s"} if name.endswith("_seconds") else {}
        text = {"name": metrics.PREFIX + name, "description": metrics.TEXTS[name]}
        yield {**text, **unit, "gauge": {"dataPoints": points}}


def _attributes(texts: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": text}} for key, text in texts.items()]
