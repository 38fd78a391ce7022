"""What is sent: the same gauges by both ways, within a deadline, and never a secret on the way."""

import base64
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

from fixtures.run.settings import NightlySettings
from reports.delivery import Message, deliver, exported, pushed
from reports.metrics import PREFIX, as_prometheus, samples_of
from reports.otlp import Endpoint, Refused, endpoint_of
from tests.small_runs import SmallRuns
from tests.unit.receiver import Receiver, receiving
from tests.unit.runs import run

pytest_plugins = ["pytester"]

SECRET = "s3cr3t-of-the-user-0123456789"  # the canary, no password
MADE = replace(run(), subject=replace(run().subject, cluster="a/b staging"))


def to_gateway(url: str) -> Message:
    message = pushed(MADE, NightlySettings(push_gateway=url))
    assert message
    return message


def test_a_push_gateway_gets_the_file_in_place_of_the_last_runs() -> None:
    with receiving() as receiver:
        assert deliver([to_gateway(f"{receiver.url}/under/")]) == []
    [request] = receiver.received
    cluster = base64.urlsafe_b64encode(b"a/b staging").decode()
    group = f"cluster@base64/{cluster}/profile/smoke"
    assert (request.method, request.path) == ("PUT", f"/under/metrics/job/seatrial/{group}")
    sent = list(text_string_to_metric_families(request.body.decode()))
    assert sent == list(text_string_to_metric_families(as_prometheus(MADE)))
    assert "version=" in request.headers["content-type"]


def test_a_push_gateway_gets_the_name_and_password_of_its_address() -> None:
    with receiving() as receiver:
        url = receiver.url.replace("://", f"://someone:{SECRET}@")
        assert deliver([to_gateway(url)]) == []
    [request] = receiver.received
    expected = base64.b64encode(f"someone:{SECRET}".encode()).decode()
    assert request.headers["authorization"] == f"Basic {expected}"


def test_a_collector_gets_the_same_as_otlp() -> None:
    with receiving() as receiver:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{receiver.url}/base",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abc,x-tenant = one",
            "OTEL_RESOURCE_ATTRIBUTES": "k8s.cluster.name=staging,team=a%20b",
        }
        message = exported(MADE, environment)
        assert message
        assert deliver([message]) == []
    [request] = receiver.received
    assert (request.method, request.path) == ("POST", "/base/v1/metrics")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer abc"
    assert request.headers["x-tenant"] == "one"
    [resource] = Parse(request.body, ExportMetricsServiceRequest()).resource_metrics
    said = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert said == {
        "service.name": "seatrial",
        "service.version": MADE.suite,
        "k8s.cluster.name": "staging",
        "team": "a b",
    }
    [scope] = resource.scope_metrics
    ended = int((MADE.started.timestamp() + MADE.seconds) * 1e9)
    found = set()
    for metric in scope.metrics:
        for point in metric.gauge.data_points:
            assert point.time_unix_nano == ended
            labels = tuple(sorted((a.key, a.value.string_value) for a in point.attributes))
            found.add((metric.name, labels, point.as_double))
    assert found == {
        (PREFIX + s.name, tuple(sorted(s.labels.items())), s.value) for s in samples_of(MADE)
    }
    assert {m.unit for m in scope.metrics if m.name.endswith("_seconds")} == {"s"}


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/metrics"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:4318/as-it-is",
            },
            "http://m:4318/as-it-is",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json",
            },
            "http://c:4318/v1/metrics",
        ),
    ],
)
def test_where_a_collector_is(environment: dict[str, str], url: str | None) -> None:
    found = endpoint_of(environment)
    assert (found and found.url) == url


def test_grpc_is_refused_in_one_line() -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with pytest.raises(Refused, match=r"gRPC is not spoken here; set \S+=http/json"):
        endpoint_of(environment)


def message(url: str) -> Message:
    return Message("--notify", f"{url}/{SECRET}", b"{}", {})


@contextmanager
def nobody() -> Iterator[Receiver]:
    with receiving() as receiver:
        pass
    yield receiver


@pytest.mark.parametrize(
    ("where", "words"),
    [
        pytest.param(receiving(status=404), "it answered 404", id="404"),
        pytest.param(receiving(status=302), "it answered 302", id="somewhere else"),
        pytest.param(receiving(silent=True), "it did not answer within", id="silent"),
        pytest.param(nobody(), "there is no connection to it", id="nobody"),
    ],
)
def test_what_is_not_sent_is_one_line_without_the_address(
    where: AbstractContextManager[Receiver], words: str
) -> None:
    with where as receiver:
        [line] = deliver([message(receiver.url)], seconds=0.5)
    assert line.startswith("--notify: not sent to 127.0.0.1: ")
    assert words in line
    assert SECRET not in line


def test_one_that_is_silent_holds_up_nobody_for_longer_than_the_deadline() -> None:
    with receiving(silent=True) as silent, receiving() as other:
        began = time.monotonic()
        lines = deliver([message(silent.url), message(silent.url), message(other.url)], 0.5)
        assert time.monotonic() - began < 5
    assert len(lines) == 2
    assert len(other.received) == 1


def test_an_address_is_not_shown_where_objects_are() -> None:
    assert SECRET not in repr(Endpoint("a", f"http://{SECRET}", {"a": SECRET}))
    assert SECRET not in repr(message("http://a"))
    assert SECRET not in repr(NightlySettings(push_gateway=SECRET, notify=SECRET))


# Whole runs


FAILING = f"""
@so()
def test_a(cluster):
    raise ClaimFailed('a', expected='b', got='the header {SECRET}', evidence='{SECRET}')
"""


def everything(runs: SmallRuns, output: str) -> str:
    files = (path for path in runs.folder.rglob("*") if path.is_file())
    return output + "".join(path.read_text() for path in files)


def test_a_run_sends_and_hides_what_it_sends_with(
    runs: SmallRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.claims("01_cluster", FAILING)
    with receiving() as gateway, receiving() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"api-key={SECRET}")
        ended = runs.run("--push-gateway", gateway.url.replace("://", f"://me:{SECRET}@"))
    assert ended.code == 1
    assert [len(gateway.received), len(collector.received)] == [1, 1]
    assert collector.received[0].headers["api-key"] == SECRET
    assert SECRET not in everything(runs, ended.output)
    assert b"seatrial_claim_failing_runs" in gateway.received[0].body


def test_a_run_that_cannot_send_ends_as_it_would(
    runs: SmallRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    with nobody() as gone:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.url)
        monkeypatch.setenv("SEATRIAL_PUSH_GATEWAY", gone.url)
        monkeypatch.setenv("SEATRIAL_NOTIFY", f"{gone.url}/{SECRET}")
        ended = runs.run()
    assert ended.code == 0
    lines = [line for line in ended.output.splitlines() if line.startswith("WARNING: ")]
    assert [line.partition(": not sent")[0] for line in lines] == [
        "WARNING: --push-gateway",
        "WARNING: OTEL_EXPORTER_OTLP_ENDPOINT",
    ]  # a first run that is good is no news
    assert SECRET not in everything(runs, ended.output)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ENDPOINT", "collector:4318", "an address like http://host:4318 is needed"),
        ("ENDPOINT", "http://[", "an address like http://host:4318 is needed"),
        ("PROTOCOL", "grpc", "gRPC is not spoken here"),
    ],
)
def test_an_environment_that_is_wrong_holds_up_nothing_else(
    runs: SmallRuns, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    runs.claims("01_cluster", FAILING)
    with receiving() as hook:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
        ended = runs.run("--notify", hook.url)
    assert ended.code == 1
    assert f"WARNING: OTEL_EXPORTER_OTLP_ENDPOINT: not sent: {words}" in ended.output
    assert len(hook.received) == 1


def test_what_it_sends_is_what_it_writes(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    with receiving() as gateway:
        runs.run("--push-gateway", gateway.url)
    written = (runs.folder / "metrics.prom").read_text()
    sent = gateway.received[0].body.decode()
    assert list(text_string_to_metric_families(sent)) == list(
        text_string_to_metric_families(written)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--notify", f"hooks.example/{SECRET}"), "--notify: an address like"),
        (("--notify", f"https://[{SECRET}"), "--notify: an address like"),
        (("--notify", f"https://a:port/{SECRET}"), "--notify: an address like"),
        (("--push-gateway", f"ftp://{SECRET}"), "--push-gateway: an address like"),
        (("--history", "none"), "--history none: there is no such folder"),
        (("--notify-as", "slak"), "--notify-as slak: unknown; did you mean slack"),
    ],
)
def test_bad_input_is_one_line_and_shows_no_address(
    runs: SmallRuns, options: tuple[str, ...], words: str
) -> None:
    ended = runs.run(*options)
    assert ended.code == 4
    assert words in ended.output
    assert SECRET not in everything(runs, ended.output)


def test_the_environment_is_named_where_it_is_wrong(
    runs: SmallRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_NOTIFY", SECRET)
    ended = runs.run()
    assert ended.code == 4
    assert "SEATRIAL_NOTIFY: an address like https://host/path is needed" in ended.output
    assert SECRET not in ended.output
