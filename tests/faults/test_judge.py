"""Whether a fault was noticed: exactly its claims, words and blocked stages, and one cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fixtures.faults.catalog import CATALOGUE
from fixtures.faults.judge import Outcome, differences

FAULT = replace(
    CATALOGUE["gateway-object-deleted"],
    fails=("gateway/one", "gateway/many[*"),
    words=("no listener",),
    blocks=(12,),
)
GOOD = {
    "gateway/one": ("failed", "there is no listener"),
    "gateway/many[a]": ("failed", "there is no listener"),
    "gateway/many[b]": ("failed", "refused"),
    "gateway/other": ("passed", ""),
    "restart/again": ("blocked", "blocked by stage 7 gateway: refused"),
}


def outcomes(results: Mapping[str, tuple[str, str]]) -> list[Outcome]:
    stages = {"gateway": 7, "restart": 12}
    return [Outcome(c, stages[c.partition("/")[0]], *result) for c, result in results.items()]


def wrong(**changes: tuple[str, str]) -> tuple[str, ...]:
    renamed = {name.replace("__", "/"): result for name, result in changes.items()}
    return differences(FAULT, outcomes(GOOD | renamed))


def test_a_fault_that_is_noticed_as_its_entry_says_is_right() -> None:
    assert wrong() == ()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"gateway__one": ("passed", "")}, "gateway/one should have failed and did not"),
        ({"gateway__one": ("blocked", GOOD["restart/again"][1])}, "gateway/one should have"),
        ({"gateway__other": ("failed", "ouch")}, "gateway/other failed and should not: ouch"),
        ({"gateway__other": ("error", "a bug")}, "gateway/other is an error: a bug"),
        ({"restart__again": ("passed", "")}, "blocked stages [], expected [12]"),
        ({"restart__more": ("blocked", "blocked by b")}, "stage 12 is blocked by more than one"),
    ],
    ids=["passes", "is-blocked", "fails-too", "error", "nothing-blocked", "two-causes"],
)
def test_each_difference_is_a_line(changes: dict[str, tuple[str, str]], line: str) -> None:
    assert wrong(**changes)[0].startswith(line)


def test_words_that_no_message_contains_are_missed() -> None:
    mute = {claim: (verdict, "") for claim, (verdict, _) in GOOD.items() if verdict != "blocked"}
    fault = replace(FAULT, blocks=())
    assert "no message contains 'no listener'" in differences(fault, outcomes(mute))[0]
    assert differences(fault, outcomes(mute), words=False) == ()


def test_what_a_mesh_does_not_allow_to_be_tested_need_not_fail() -> None:
    assert wrong(gateway__one=("not-claimed", "not here")) == ()
    untested = {c: ("not-claimed", "not here") for c in GOOD if FAULT.must_fail(c)}
    assert differences(FAULT, outcomes(GOOD | untested)) == (
        "no claim that was tested could notice it",
    )


def test_stages_that_were_not_run_need_not_be_blocked() -> None:
    ran = {claim: result for claim, result in GOOD.items() if claim != "restart/again"}
    assert differences(FAULT, outcomes(ran)) == ()
