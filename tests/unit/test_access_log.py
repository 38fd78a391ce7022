"""Access log lines are read as Istio's text format writes them."""

from __future__ import annotations

import pytest

from fixtures.traffic import access_log
from fixtures.traffic.access_log import AccessLogLine
from fixtures.traffic.response_flags import explain
from tests.recordings import ISTIO_1_29

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


def test_a_good_line_is_read_field_by_field() -> None:
    line = AccessLogLine.parse(GOOD)
    assert (line.method, line.path, line.code) == ("GET", "/productpage?u=7", 200)
    assert (line.flags, line.details) == ((), "via_upstream")
    assert line.upstream_cluster == "outbound|9080||productpage.bookinfons.svc.cluster.local"
    assert line.upstream_host == "10.1.0.34:9080"
    assert line.user_agent == "Mozilla/5.0 (X11)"
    assert line.server_name == ""


def test_an_unrouted_request_has_a_flag_and_no_upstream() -> None:
    line = AccessLogLine.parse(UNROUTED)
    assert (line.code, line.flags, line.details) == (404, ("NR",), "route_not_found")
    assert (line.upstream_cluster, line.upstream_host) == ("", "")


def test_an_inbound_line_carries_the_name_of_mutual_tls() -> None:
    line = AccessLogLine.parse(INBOUND)
    assert line.upstream_cluster == "inbound|9080||"
    assert line.server_name == "outbound_.9080_._.reviews.bookinfons.svc.cluster.local"


def test_several_flags_are_told_apart() -> None:
    assert AccessLogLine.parse(UNROUTED.replace(" NR ", " UF,URX ")).flags == ("UF", "URX")


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-02T03:04:05Z\tinfo\tEnvoy proxy is ready", GOOD.rsplit(" ", 1)[0]],
    ids=["nothing", "a line of the agent", "a field too few"],
)
def test_what_is_no_access_log_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no access log line"):
        AccessLogLine.parse(text)


def test_the_newest_line_with_the_query_is_found_among_others() -> None:
    again = GOOD.replace("200 -", "503 UH")
    log = "\n".join(["info\tEnvoy proxy is ready", GOOD, again, UNROUTED])
    found = access_log.find(log, "u=7")
    assert found is not None
    assert found.code == 503
    assert access_log.find(log, "u=9") is None


def test_flags_are_told_in_words() -> None:
    assert explain(["NR"], "route_not_found").startswith("NR: no route matches")
    assert "Envoy calls it route_not_found" in explain(["NR"], "route_not_found")
    assert explain([], "via_upstream") == ""
    assert explain(["XYZ"]) == "XYZ: see Envoy on response flags"


@pytest.mark.parametrize("name", ["07-gateway-log.txt", "07-sidecar-log.txt"])
def test_every_recorded_line_is_read(name: str) -> None:
    recorded = [t for t in ISTIO_1_29.text(f"kubectl/{name}").splitlines() if t.startswith("[")]
    read = [AccessLogLine.parse(text) for text in recorded]
    assert len(read) > 1
    assert all(line.code >= 200 and line.path.startswith("/") for line in read)
