"""The pictures of a run: what they are made of, and that nothing is drawn that no claim saw."""

from dataclasses import replace
from itertools import combinations, pairwise

import pytest

from fixtures.claims import Call, Observation
from fixtures.claims.waiting import Wait
from fixtures.istio.ambient import NODES_READY, PODS_CAPTURED, ZTUNNELS_READY
from fixtures.istio.proxies import IN_SYNC, NOT_IN_SYNC
from fixtures.istio.releases.telemetry import TEXT_FORMAT
from fixtures.k8s import Reply
from fixtures.run.state import Result
from fixtures.run.timeline import Step
from fixtures.traffic.access_log import LogFormat
from fixtures.traffic.page import Page
from reports.html import facts, page
from reports.model import Run, StageRun
from reports.pictures.mesh import Mesh, edges_of, mesh_of
from reports.pictures.timeline import in_words, timeline_of
from tests.unit.runs import claim, good, run

REQUESTED = Call("client", "istio-ingressgateway", "200", True, "replies", tls="plain text")
LED = Call("istio-ingressgateway", "productpage", "200", True, "log", tls="mutual TLS")
SHOWN = Call("productpage", "reviews", "shown", True, "page", version="v2")


def record(*calls: Call, seen: tuple[Observation, ...] = ()) -> Run:
    """A run with one claim that saw this."""
    whole = good("conformance")
    result = Result(
        claim("gateway", "a", "A."), "passed", inspected=1, calls=calls, observations=seen
    )
    return replace(whole, stages=(replace(whole.stages[0], results=(result,)),))


def drawn(of: Run) -> Mesh:
    mesh = mesh_of(of)
    assert mesh
    return mesh


def test_calls_between_the_same_two_are_one_edge() -> None:
    (edge,) = edges_of([SHOWN, replace(SHOWN, version="v1"), SHOWN])
    assert (edge.requests, edge.outcomes, edge.unanswered) == (3, "shown (3)", 0)
    assert edge.versions == {"v1": 1, "v2": 2}
    assert edge.tls == ""


def test_a_request_recorded_twice_is_counted_once() -> None:
    logged = replace(REQUESTED, known_from="log")
    (edge,) = edges_of([replace(REQUESTED, tls=""), replace(REQUESTED, tls=""), logged])
    assert (edge.requests, edge.tls, edge.told_by) == (2, "plain text", "replies, log")


def test_an_edge_is_broken_if_its_last_request_was_not_answered() -> None:
    down = replace(REQUESTED, outcome="503", answered=False)
    assert [e.answered for e in edges_of([REQUESTED, down])] == [False]
    assert [e.answered for e in edges_of([down, REQUESTED])] == [True]
    assert "1 not answered" in drawn(record(REQUESTED, down)).words


def test_who_is_called_stands_right_of_its_caller() -> None:
    mesh = drawn(record(REQUESTED, LED, SHOWN))
    places = sorted(mesh.places, key=lambda place: place.x)
    names = ["client", "istio-ingressgateway", "productpage", "reviews"]
    assert [place.name for place in places] == names
    for left, right in pairwise(places):
        assert left.x + left.width < right.x


def test_a_loop_of_calls_is_drawn_all_the_same() -> None:
    back = replace(SHOWN, source="reviews", target="productpage")
    assert len(drawn(record(REQUESTED, LED, SHOWN, back)).edges) == 4


def test_boxes_of_a_column_do_not_touch() -> None:
    details = replace(SHOWN, target="details")
    mesh = drawn(record(REQUESTED, LED, SHOWN, details))
    upper, lower = sorted((mesh.place("details"), mesh.place("reviews")), key=lambda p: p.y)
    assert upper.y + upper.height < lower.y


def test_a_label_hides_no_box_and_no_other_label() -> None:
    mesh = drawn(
        record(
            *(
                replace(SHOWN, source=source, target=target, tls="mutual TLS")
                for source in ("client", "another")  # whose edges cross in the middle
                for target in ("details", "reviews")
            )
        )
    )
    areas = [place.area for place in mesh.places] + [label.area for label in mesh.labels]
    assert [label.edge for label in mesh.labels] == list(mesh.edges)
    assert not [pair for pair in combinations(areas, 2) if pair[0].shared(pair[1])]


def test_a_label_stands_on_its_edge() -> None:
    mesh = drawn(record(REQUESTED))
    [label] = mesh.labels
    left, right = mesh.place("client"), mesh.place("istio-ingressgateway")
    assert left.x + left.width < label.x < right.x
    assert label.y == left.middle == right.middle


def test_what_nobody_called_stands_by_itself_with_what_is_known() -> None:
    seen = (
        Observation(
            "image", "istio-proxy of ratings-v1", "docker.io/istio/proxyv2:1.31.0@sha256:1a"
        ),
        Observation("endpoints", "ratings", "1 ready"),
        Observation("proxies", "ratings-v1", "in sync"),
        Observation("version", "istiod", "1.31.0-abc-Clean"),
    )
    mesh = drawn(record(REQUESTED, seen=seen))
    known = {place.name: place.lines for place in mesh.idle}
    assert known == {
        "ratings": ("endpoints: 1 ready", "v1 · proxy 1.31.0"),
        "istiod": ("1.31.0", "proxies in sync: 1 of 1 workloads"),
    }
    assert "ratings" not in mesh.words


def test_ztunnel_and_waypoints_stand_by_themselves() -> None:
    of = drawn(
        record(
            seen=(
                Observation("version", "ztunnel", "1.32.0"),
                Observation("endpoints", "waypoint flat/waypoint", "1 ready"),
            )
        )
    )
    lines = {place.name: place.lines for place in of.idle}
    assert lines == {"ztunnel": ("1.32.0",), "waypoint flat/waypoint": ("endpoints: 1 ready",)}


def of_ztunnel(*states: str) -> tuple[tuple[str, ...], ...]:
    """The boxes of istiod and of ztunnel, in whose pods istiod saw these states."""
    seen = (
        Observation("version", "istiod", "1.32.0-abc-Clean"),
        Observation("version", "ztunnel", "1.32.0"),
        Observation("ambient", NODES_READY, "1 of 2"),
        Observation("ambient", ZTUNNELS_READY, "1 of 3"),
        Observation("ambient", PODS_CAPTURED, "6 of 7"),
        *(Observation("proxies", "ztunnel", state) for state in states),
    )
    lines = {place.name: place.lines for place in drawn(record(seen=seen)).idle}
    assert lines.keys() == {"istiod", "ztunnel"}
    return lines["istiod"], lines["ztunnel"]


@pytest.mark.parametrize(
    ("states", "line"),
    [
        ((), "1.32.0"),
        ((IN_SYNC,), "1.32.0 · in sync"),
        ((NOT_IN_SYNC,), "1.32.0 · not in sync"),
        ((IN_SYNC, NOT_IN_SYNC), "1.32.0 · not in sync"),
    ],
)
def test_ztunnel_is_drawn_as_the_claims_saw_it(states: tuple[str, ...], line: str) -> None:
    istiod, ztunnel = of_ztunnel(*states)
    assert istiod == ("1.32.0",), "ztunnel is no workload's proxy"
    assert ztunnel == (
        line,
        "ready: 1 of 3 pods",
        "ready on 1 of 2 nodes that need it",
        "captured: 6 of 7 pods that ask",
    )


def test_a_proxy_that_is_not_in_sync_is_drawn_so() -> None:
    seen = (
        Observation("proxies", "ratings-v1", NOT_IN_SYNC),
        Observation("proxies", "details-v1", IN_SYNC),
    )
    lines = {place.name: place.lines for place in drawn(record(seen=seen)).idle}
    assert lines == {
        "ratings": ("v1 · with a proxy · not in sync",),
        "details": ("v1 · with a proxy",),
        "istiod": ("proxies in sync: 1 of 2 workloads",),
    }


def test_without_anything_seen_there_is_no_mesh() -> None:
    assert mesh_of(record()) is None
    assert "<h2>The mesh as it was seen</h2>" not in page(record())


def test_transport_is_drawn_only_where_a_claim_observed_it() -> None:
    assert "No claim observed whether" in page(record(REQUESTED, SHOWN))
    locked = page(record(REQUESTED, LED))
    assert "No claim observed whether" not in locked
    assert 'class="p-lock"' in locked


# From what calls are read

FORM = LogFormat.text(TEXT_FORMAT)
LINE = (
    '[2026-11-23T14:47:38.152Z] "GET /productpage?u=1 HTTP/1.1" 200 - via_upstream - "-" 0 15072 '
    '37 37 "10.244.0.1" "curl/7.88.1" "833cacf8" "172.18.0.2:32302" "10.244.0.34:9080" {upstream} '
    "127.0.0.6:35080 10.244.0.34:9080 10.244.0.1:0 {name} default"
)
MTLS = "outbound_.9080_._.productpage.bookinfons.svc.cluster.local"


@pytest.mark.parametrize(
    ("name", "tls"), [(MTLS, "mutual TLS"), ("shop.example", "TLS"), ("-", "plain text")]
)
def test_the_access_log_reports_how_a_request_came(name: str, tls: str) -> None:
    assert FORM.parse(LINE.format(upstream="inbound|9080||", name=name)).tls == tls


def test_the_access_log_reports_where_a_request_was_sent() -> None:
    host = "outbound|9080||productpage.bookinfons.svc.cluster.local"
    call = FORM.parse(LINE.format(upstream=host, name="-")).call_on("gateway")
    assert call == Call("gateway", "productpage", "200", True, "the access log")
    for upstream in ("inbound|9080||", "-", "BlackHoleCluster"):
        line = FORM.parse(LINE.format(upstream=upstream, name="-"))
        assert line.call_on("gateway") is None


TITLE = "<title>Simple Bookstore App</title>"
SERVED = "<dt>Reviews served by:</dt>\n<u>reviews-v3-f5c9b68cb-6l5ww</u>"


@pytest.mark.parametrize(
    ("body", "recorded"),
    [
        (
            f"{TITLE}{SERVED} glyphicon-star",
            [("details", True), ("reviews", True), ("ratings", True)],
        ),
        (f"{TITLE}{SERVED}", [("details", True), ("reviews", True)]),
        (
            f"{TITLE}Ratings service is currently unavailable",
            [("details", True), ("reviews", True), ("ratings", False)],
        ),
        (f"{TITLE}Error fetching product reviews!", [("details", True), ("reviews", False)]),
        ("no healthy upstream", []),
    ],
)
def test_the_product_page_shows_who_answered(body: str, recorded: list[tuple[str, bool]]) -> None:
    calls = list(Page("", Reply(200, {}, body), ()).calls())
    assert [(call.target, call.answered) for call in calls] == recorded
    versions = {call.version for call in calls if call.target == "reviews"}
    assert not calls or versions == ({"v3"} if SERVED in body else {""})


# The time line


def test_the_time_line_has_steps_claims_and_waits() -> None:
    result = Result(claim("cluster", "a", "A."), "failed", 2.0, began=103.0)
    of = replace(
        run(),
        seconds=60.0,
        stages=(StageRun(run().stages[0].stage, (result,), None, None),),
        steps=(
            Step("cluster", 100, 30),
            Step("aside", 100, 5),
            Step("Istio", 130, 10, ("cluster",)),
        ),
        waits=(Wait("pods become ready", 140, 15, 60, met=False),),
    )
    line = timeline_of(of)
    assert line
    steps, claims, waits = line.groups
    assert [(row.label, row.critical) for row in steps.rows] == [
        ("cluster", True),
        ("aside", False),
        ("Istio", True),
    ]
    assert claims.rows[0].bars[0].mark == "failed"
    assert (waits.rows[0].share, waits.rows[0].note) == (0.25, "15 s of 60 s, not met")
    known = "The run took 1 min 0 s, 40 s of it on its critical path"
    assert line.words == f"{known}; the longest there: cluster (30 s), Istio (10 s)."
    assert line.x(0) < line.x(30) < line.x(60) == line.x(600)
    assert len(line.ticks) <= 9


def test_a_run_that_did_nothing_has_no_time_line() -> None:
    assert timeline_of(replace(run(), stages=(), steps=(), waits=())) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.021, "21 ms"), (1.04, "1.0 s"), (14.2, "14 s"), (116, "1 min 56 s")]
)
def test_lengths_are_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


# The subject


def test_the_subject_is_what_the_cluster_reports() -> None:
    seen = (
        Observation("version", "istiod", "1.31.0-abc-Clean"),
        Observation("version", "sidecars", "1.30.3"),
        Observation("version", "istioctl", "1.31.0"),
        Observation("node", "worker", "kubelet v1.35.0, containerd://2.1.1, linux/arm64"),
    )
    known = {fact.name: fact.value for fact in facts(record(seen=seen))}
    assert known["Istio control plane"] == "1.31.0"
    assert known["Istio data plane"] == "1.30.3"
    assert known["istioctl"] == "1.31.0"
    assert known["Node worker"] == "kubelet v1.35.0, containerd://2.1.1, linux/arm64"


def test_ztunnel_is_the_data_plane_of_a_mesh_without_sidecars() -> None:
    seen = (Observation("version", "ztunnel", "1.32.0"),)
    known = {fact.name: fact.value for fact in facts(record(seen=seen))}
    assert known["Istio data plane"] == "1.32.0"


def test_what_no_claim_saw_of_the_subject_is_called_unknown() -> None:
    known = {fact.name: (fact.value, fact.small) for fact in facts(record())}
    assert known["Istio control plane"] == ("1.31.0", "as requested, not read from the cluster")
    assert known["Istio data plane"][0] == "not known"
    assert known["istioctl"][0] == "not known"
