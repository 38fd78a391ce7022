"""What a fault found is on disk before it strikes, and is known again in another process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.faults.actions import Several
from fixtures.faults.catalog import Fault
from fixtures.faults.journal import Record, Unreadable
from fixtures.faults.live import FAULTS, LIVE, in_namespace, restore, saved_by
from fixtures.faults.rollouts import Scale, Template


def found(fault: Fault) -> Fault:
    way = Several(Scale("ns", ("a",), saved={"a": 2}), Scale("ns", ("b",), saved={"b": 3}))
    return replace(fault, action=way)


def test_a_fault_is_known_again_with_what_it_found(tmp_path: Path) -> None:
    record = Record(tmp_path / "deep" / "injected.json")
    fault = LIVE["egress-gateway-missing"]
    assert isinstance(fault.action, Scale)
    injected = replace(fault, action=replace(fault.action, saved={"istio-egressgateway": 2}))
    record.write(injected, "elsewhere")
    again = record.read()
    assert again is not None
    assert again.name == fault.name
    assert saved_by(again.action) == {"istio-egressgateway": 2}
    assert record.path.stat().st_mode & 0o077 == 0


def test_there_is_nothing_to_mend_without_a_record(tmp_path: Path) -> None:
    assert Record(tmp_path / "injected.json").read() is None


@pytest.mark.parametrize("text", ["", "[]", '{"fault": "nobody"}'], ids=["empty", "list", "no"])
def test_a_record_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "injected.json"
    path.write_text(text)
    with pytest.raises(Unreadable, match="revert the mesh by hand"):
        Record(path).read()


def test_several_ways_keep_their_own_memories() -> None:
    fault = found(FAULTS[0])
    other = Several(Scale("ns", ("a",)), Scale("ns", ("b",)))
    restore(other, saved_by(fault.action))
    assert saved_by(other) == [{"a": 2}, {"b": 3}]


def test_a_fault_follows_the_sample_into_its_namespace() -> None:
    way = in_namespace(LIVE["pod-label-inject-false"], "seatrial-r1").action
    assert isinstance(way, Template)
    assert way.namespace == "seatrial-r1"
    assert (
        in_namespace(LIVE["egress-gateway-missing"], "x").action
        == LIVE["egress-gateway-missing"].action
    )
