"""What a large mesh must not make longer, or print: waits, evidence, lists of pods."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, observing, record
from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import eventually, known_first
from fixtures.istio import workloads
from fixtures.k8s.pod import Pod
from fixtures.run.verdicts import MOST_LINES, shortened
from tests.unit.test_picture import pod


def test_a_wait_that_looks_rarely_is_over_at_its_deadline() -> None:
    looked: list[float] = []

    def probe() -> None:
        looked.append(time.monotonic())
        raise ClaimFailed("it", expected="so", got="not so")

    began = time.monotonic()
    with pytest.raises(ClaimFailed):
        eventually(probe, within=timeout("it is so", 0.3), every=60)
    assert len(looked) == 2  # at once, and at the deadline
    assert looked[1] - began == pytest.approx(0.3, abs=0.2)


def test_what_is_known_is_taken_first_and_read_anew_from_then_on() -> None:
    read = known_first(lambda: "known", lambda: "anew")
    assert [read() for _ in range(3)] == ["known", "anew", "anew"]


def test_evidence_ends_where_nobody_reads_on() -> None:
    lines = [f"line {number}" for number in range(MOST_LINES + 7)]
    assert shortened("\n".join(lines)).splitlines()[-1] == "[7 more lines]"
    assert shortened("\n".join(lines[:MOST_LINES])) == "\n".join(lines[:MOST_LINES])


def many(count: int) -> list[Pod]:
    pods = []
    for number in range(count):
        body = pod(f"w{number // 10}-abc-{number}")
        body["metadata"]["ownerReferences"][0]["name"] = f"w{number // 10}-abc"
        pods.append(Pod.of(body))
    return pods


def test_a_fleet_that_fails_is_summed_up_by_workload() -> None:
    fleet: Any = SimpleNamespace()
    with pytest.raises(ClaimFailed) as caught:
        workloads.Workloads._expect_each(fleet, many(2000), "in sync", lambda _: "STALE", "a page")
    message = caught.value.message
    assert message.startswith("2000 of 2000 pods: expected in sync, got STALE in Deployment app/w")
    assert "(10 pods)" in message
    assert "and 197 more" in message
    assert len(message) < 300
    assert len(caught.value.evidence.splitlines()) == workloads.MOST_LISTED


def test_recording_the_same_of_many_pods_takes_no_longer_for_each_of_them() -> None:
    with observing() as found:
        for _ in range(20):
            for number in range(500):
                record("proxies", f"workload {number}", "in sync")
    assert len(found.values) == 500
