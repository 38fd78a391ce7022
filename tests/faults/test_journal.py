"""What was there before a fault is on disk, and another process can revert it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.faults.actions import Several
from fixtures.faults.journal import Journal, Unreadable, restore, saved_by
from fixtures.faults.live import LIVE, in_namespace
from fixtures.faults.rollouts import Scale, Template


def test_a_fault_is_read_with_its_snapshot(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "injected.json")
    fault = LIVE["egress-gateway-missing"]
    assert isinstance(fault.action, Scale)
    injected = replace(fault, action=replace(fault.action, saved={"istio-egressgateway": 2}))
    journal.write(injected, "elsewhere")
    again = journal.read()
    assert again is not None
    assert again.name == fault.name
    assert saved_by(again.action) == {"istio-egressgateway": 2}
    assert journal.path.stat().st_mode & 0o077 == 0


def test_there_is_nothing_to_revert_without_a_journal(tmp_path: Path) -> None:
    assert Journal(tmp_path / "injected.json").read() is None


@pytest.mark.parametrize("text", ["", "[]", '{"fault": "nobody"}'], ids=["empty", "list", "no"])
def test_a_journal_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "injected.json"
    path.write_text(text)
    with pytest.raises(Unreadable, match="repair the mesh yourself, then delete the file"):
        Journal(path).read()


def test_several_actions_keep_their_own_snapshots() -> None:
    several = Several(Scale("ns", ("a",), saved={"a": 2}), Scale("ns", ("b",), saved={"b": 3}))
    other = Several(Scale("ns", ("a",)), Scale("ns", ("b",)))
    restore(other, saved_by(several))
    assert saved_by(other) == [{"a": 2}, {"b": 3}]


def test_a_fault_follows_the_sample_into_its_namespace() -> None:
    action = in_namespace(LIVE["pod-label-inject-false"], "seatrial-r1").action
    assert isinstance(action, Template)
    assert action.namespace == "seatrial-r1"
    assert (
        in_namespace(LIVE["egress-gateway-missing"], "x").action
        == LIVE["egress-gateway-missing"].action
    )
