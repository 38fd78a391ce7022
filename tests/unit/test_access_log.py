"""Access log lines are parsed in the format that the mesh is configured to write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures.claims import NotTested
from fixtures.istio.options import options_of
from fixtures.istio.releases.options import MeshOptions
from fixtures.istio.releases.telemetry import LOG_FORMATS, TEXT_FORMAT
from fixtures.k8s.pod import Pod
from fixtures.traffic.access_log import LogFormat, LogReader
from fixtures.traffic.response_flags import explain
from tests.recordings import ISTIO_1_29

DEFAULT = LogFormat.of(MeshOptions())

GOOD = (
    '[2026-01-02T03:04:05.678Z] "GET /productpage?u=7 HTTP/1.1" 200 - via_upstream - "-" 0 15072 '
    '41 40 "10.1.0.1" "Mozilla/5.0 (X11)" "11111111-2222-3333-4444-555555555555" "10.9.9.9:30080" '
    '"10.1.0.34:9080" outbound|9080||productpage.bookinfons.svc.cluster.local 10.1.0.24:58294 '
    "10.1.0.24:8080 10.1.0.1:4861 - -"
)
UNROUTED = (
    '[2026-01-02T03:04:06.000Z] "GET /health?u=8 HTTP/1.1" 404 NR route_not_found - "-" 0 0 0 - '
    '"10.1.0.1" "curl" "11111111-2222-3333-4444-666666666666" "10.9.9.9:30080" "-" - - '
    "10.1.0.24:8080 10.1.0.1:46067 - -"
)
INBOUND = (
    '[2026-01-02T03:04:05.700Z] "GET /reviews/0 HTTP/1.1" 200 - via_upstream - "-" 0 440 11 10 '
    '"-" "curl" "id" "reviews:9080" "10.1.0.36:9080" inbound|9080|| 127.0.0.6:35080 '
    "10.1.0.36:9080 10.1.0.34:0 outbound_.9080_._.reviews.bookinfons.svc.cluster.local default"
)
CLUSTER = "outbound|9080||productpage.bookinfons.svc.cluster.local"


def mesh(**config: Any) -> LogFormat:
    """The format of a mesh that is configured so."""
    return LogFormat.of(options_of(config, {}, {}))


def test_a_good_line_is_read_field_by_field() -> None:
    line = DEFAULT.parse(GOOD)
    assert (line.method, line.path, line.code) == ("GET", "/productpage?u=7", 200)
    assert (line.flags, line.details) == ((), "via_upstream")
    assert line.upstream_cluster == CLUSTER
    assert line.upstream_host == "10.1.0.34:9080"
    assert line.user_agent == "Mozilla/5.0 (X11)"
    assert line.server_name == ""


def test_an_unrouted_request_has_a_flag_and_no_upstream() -> None:
    line = DEFAULT.parse(UNROUTED)
    assert (line.code, line.flags, line.details) == (404, ("NR",), "route_not_found")
    assert (line.upstream_cluster, line.upstream_host) == ("", "")


def test_an_inbound_line_has_the_server_name_of_mutual_tls() -> None:
    line = DEFAULT.parse(INBOUND)
    assert line.upstream_cluster == "inbound|9080||"
    assert line.server_name == "outbound_.9080_._.reviews.bookinfons.svc.cluster.local"


def test_several_flags_are_separate() -> None:
    assert DEFAULT.parse(UNROUTED.replace(" NR ", " UF,URX ")).flags == ("UF", "URX")


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-02T03:04:05Z\tinfo\tEnvoy proxy is ready", GOOD.rsplit(" ", 1)[0]],
    ids=["nothing", "a line of the agent", "a field too few"],
)
def test_what_is_no_access_log_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no access log line"):
        DEFAULT.parse(text)


def test_the_default_format_has_every_operator_of_the_releases() -> None:
    assert all(operator in TEXT_FORMAT for operator in LOG_FORMATS[-1].value)


# Other formats


def test_living_h7_a_line_in_json_is_read() -> None:
    line = mesh(accessLogEncoding="JSON").parse(
        json.dumps(
            {
                "method": "GET",
                "path": "/productpage?u=7",
                "response_code": 200,
                "response_flags": "-",
                "response_code_details": "via_upstream",
                "upstream_cluster": CLUSTER,
                "requested_server_name": None,
                "route_name": None,
            }
        )
    )
    assert (line.path, line.code, line.flags) == ("/productpage?u=7", 200, ())
    assert (line.details, line.upstream_cluster, line.tls) == (
        "via_upstream",
        CLUSTER,
        "plain text",
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"response_code": null}', GOOD])
def test_what_is_no_line_in_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no access log line"):
        mesh(accessLogEncoding="JSON").parse(text)


def test_a_json_format_of_the_operators_own_may_be_nested() -> None:
    own = '{"http": {"status": "%RESPONSE_CODE%", "url": "%REQ(:PATH)%"}, "by": "gateway"}'
    form = mesh(accessLogEncoding="JSON", accessLogFormat=own)
    line = form.parse('{"http": {"status": 404, "url": "/health?u=8"}, "by": "gateway"}')
    assert (line.code, line.path) == (404, "/health?u=8")


def test_a_json_format_that_is_no_object_is_istios_own() -> None:
    form = mesh(accessLogEncoding="JSON", accessLogFormat="[%START_TIME%]")
    assert form == mesh(accessLogEncoding="JSON")


def test_a_text_format_of_the_operators_own_is_read() -> None:
    own = (
        '%START_TIME% %RESPONSE_CODE%/%RESPONSE_FLAGS% "%REQ(:PATH):120%" -> %UPSTREAM_CLUSTER%\n'
    )
    line = mesh(accessLogFormat=own).parse('2026-01-02 03:04 404/NR "/a b?u=8" -> -')
    assert (line.code, line.flags, line.path, line.upstream_cluster) == (
        404,
        ("NR",),
        "/a b?u=8",
        "",
    )


def test_what_a_format_does_not_write_is_named() -> None:
    form = mesh(accessLogFormat="%REQ_WITHOUT_QUERY(:PATH)% %RESPONSE_CODE%")
    form.must_hold("code")
    with pytest.raises(NotTested, match="does not write the path and upstream cluster of"):
        form.must_hold("path", "code", "upstream_cluster")


# Reading while it is written


class Log:
    """An API whose log grows, and what was requested of it."""

    def __init__(self) -> None:
        self.text = ""
        self.since: list[int] = []

    def logs(self, _pod: str, _namespace: str, _container: str, *, since_seconds: int) -> str:
        self.since.append(since_seconds)
        return self.text


POD = Pod.of({"metadata": {"name": "g", "namespace": "n", "uid": "1"}, "spec": {"containers": []}})


def reader(log: Any, form: LogFormat = DEFAULT) -> LogReader:
    return LogReader(log, "istio-proxy", form)


def test_the_newest_line_with_the_query_is_found_among_others() -> None:
    log = Log()
    again = GOOD.replace("200 -", "503 UH")
    log.text = "\n".join(["info\tEnvoy proxy is ready", GOOD, again, UNROUTED])
    found = reader(log).find(POD, "u=7")
    assert found is not None
    assert found.code == 503
    assert reader(log).find(POD, "u=9") is None


def test_each_read_requests_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.5, 130.5, 131.0])
    monkeypatch.setattr("fixtures.traffic.access_log.time.monotonic", lambda: next(clock))
    log = Log()
    subject = reader(log)
    for _ in range(3):
        subject.find(POD, "u=7")
    assert log.since == [2, 31, 2]


def test_only_lines_with_the_query_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    log, parsed = Log(), []
    log.text = "\n".join([UNROUTED] * 500 + [GOOD] + [UNROUTED] * 500)

    def parse(form: LogFormat, text: str) -> Any:
        parsed.append(text)
        return original(form, text)

    original = LogFormat.parse
    monkeypatch.setattr(LogFormat, "parse", parse)
    assert reader(log).find(POD, "u=7")
    assert parsed == [GOOD]


def test_a_line_in_a_format_that_the_mesh_does_not_name_proves_nothing() -> None:
    log = Log()
    log.text = "GET /productpage?u=7 -> 200"
    with pytest.raises(NotTested, match="in a format that the mesh's configuration does not name"):
        reader(log).find(POD, "u=7")


def test_flags_are_explained() -> None:
    assert explain(["NR"], "route_not_found").startswith("NR: no route matches")
    assert "route_not_found" in explain(["NR"], "route_not_found")
    assert explain([], "via_upstream") == ""
    assert explain(["XYZ"]).startswith("XYZ: ")


@pytest.mark.parametrize("name", ["07-gateway-log.txt", "07-sidecar-log.txt"])
def test_every_recorded_line_is_read(name: str) -> None:
    recorded = [t for t in ISTIO_1_29.text(f"kubectl/{name}").splitlines() if t.startswith("[")]
    read = [DEFAULT.parse(text) for text in recorded]
    assert len(read) > 1
    assert all(line.code >= 200 and line.path.startswith("/") for line in read)
