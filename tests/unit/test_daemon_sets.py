"""A DaemonSet that is not rolled out, and why, where an event says it."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import RESTARTED
from fixtures.k8s import Refused
from fixtures.k8s.daemonset import DaemonSet, refusal
from fixtures.run.prove import IMPATIENT
from tests.unit.states import FakeKube

NAMESPACE = "istio-system"
BEGAN = 1_795_806_000.4  # 2026-11-27T19:00:00.4Z
QUOTA = (
    'Error creating: pods "ztunnel-5x7gq" is forbidden: exceeded quota: small, '
    "requested: pods=1, used: pods=3, limited: pods=0"
)


def daemon_set(**status: int) -> DaemonSet:
    counts = {"desiredNumberScheduled": 1, "currentNumberScheduled": 1, "observedGeneration": 2}
    meta = {"name": "ztunnel", "namespace": NAMESPACE, "generation": 2}
    return DaemonSet.of({"metadata": meta, "status": {**counts, **status}})


def event(message: str, at: str, reason: str = "FailedCreate") -> dict[str, Any]:
    return {
        "metadata": {"name": f"ztunnel.{at}", "namespace": NAMESPACE},
        "involvedObject": {"kind": "DaemonSet", "name": "ztunnel", "namespace": NAMESPACE},
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
    }


def asked(*events: dict[str, Any]) -> str:
    kube: Any = FakeKube({"v1/events": list(events)})
    return refusal(kube, daemon_set(numberReady=1), BEGAN)


def test_what_the_server_said_last_since_then_is_the_reason() -> None:
    other = event("Created pod: ztunnel-5x7gq", "2026-11-27T19:00:09Z", reason="SuccessfulCreate")
    before = event("another quota", "2026-11-27T18:59:59Z")
    # An event's time has no fractions: it may be of the second in which the restart began.
    assert asked(before, event(QUOTA, "2026-11-27T19:00:00Z"), other) == QUOTA


def test_what_was_said_before_is_not_meant() -> None:
    assert asked(event(QUOTA, "2026-11-27T18:59:59Z"), event("when?", "")) == ""


def test_who_may_not_read_events_is_told_no_words() -> None:
    class Closed(FakeKube):
        def events(self, namespace: str, involved: str = "") -> Any:
            raise Refused(403, reason="Forbidden", message=f"events in {namespace} of {involved}")

    kube: Any = Closed({})
    assert refusal(kube, daemon_set(), BEGAN) == ""


def test_a_refusal_says_more_than_counts() -> None:
    late = daemon_set(numberReady=1)
    with pytest.raises(ClaimFailed, match=r"got 1 ready, 0 updated, 1 scheduled") as counted:
        late.must_be_rolled_out()
    assert counted.value.causes == ("DaemonSet istio-system/ztunnel is not up",)
    with pytest.raises(ClaimFailed, match=r"exceeded quota: small.*\(1 ready, 0 upd") as refused:
        late.must_be_rolled_out(QUOTA)
    assert "pods are refused: Error creating: pods is forbidden" in refused.value.causes[0]
    daemon_set(numberReady=1, updatedNumberScheduled=1).must_be_rolled_out(QUOTA)


def test_a_proof_leaves_a_restart_the_time_that_it_takes() -> None:
    """Else a claim that must fail would always: ztunnel's grace period alone is 30 s."""
    assert RESTARTED.scaled(IMPATIENT).seconds > 30
