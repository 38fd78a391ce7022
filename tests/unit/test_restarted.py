"""A restart whose roll-out missed its deadline: the claim says so at once, with that deadline."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import Mock

import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import ROLLED_OUT
from fixtures.istio.restarted import Restarted
from tests.unit.states import FakeKube

NAMESPACE = "bookinfons"


def deployment(*, updated: int) -> dict[str, Any]:
    status = {"observedGeneration": 2, "replicas": 1, "availableReplicas": 1}
    return {
        "metadata": {"name": "details-v1", "namespace": NAMESPACE, "generation": 2},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "details"}}},
        "status": {**status, "updatedReplicas": updated},
    }


def restarted(*, updated: int) -> tuple[Restarted, ClaimFailed]:
    failure = ClaimFailed("roll-out of details-v1", expected="complete", got="0/1 updated")
    failure.waited, failure.deadline = ROLLED_OUT.seconds, ROLLED_OUT
    sample = Mock(namespace=NAMESPACE)
    sample.deployments.return_value = ["details-v1"]
    sample.kube = FakeKube({"apps/v1/deployments": [deployment(updated=updated)], "v1/pods": []})
    nothing: Any = Mock()
    found = Restarted(sample, nothing, frozenset(), nothing, nothing, {NAMESPACE: failure})
    return found, failure


def test_a_roll_out_that_missed_its_deadline_is_not_awaited_again() -> None:
    found, failure = restarted(updated=0)
    began = time.monotonic()
    with pytest.raises(ClaimFailed) as raised:
        found.expect_sample_running()
    assert raised.value is failure
    assert "until a roll-out completes" in failure.message
    assert time.monotonic() - began < 5


def test_a_roll_out_that_completed_since_is_all_right() -> None:
    found, _ = restarted(updated=1)
    found.expect_sample_running()
    sample: Any = found.sample
    sample.expect_running.assert_called_once_with()
