"""How the report of a broken walk is judged: exactly the claims, words and blocks of its fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fixtures.faults.catalog import CATALOGUE
from fixtures.faults.matrix import Noticed, has_cni, judge, main, table

FAULT = replace(
    CATALOGUE["gateway-object-deleted"],
    fails=("gateway/one", "gateway/many[*"),
    words=("nobody listens",),
    blocks=(12,),
)
GOOD = {
    "gateway/one": ("failed", "nobody listens there"),
    "gateway/many[a]": ("failed", "nobody listens there"),
    "gateway/many[b]": ("failed", "refused"),
    "gateway/other": ("passed", ""),
    "restart/again": ("blocked", "blocked by stage 7 gateway: refused"),
}


def report(claims: dict[str, tuple[str, str]], **more: Any) -> dict[str, Any]:
    rows = [
        {"id": i, "stage": i.split("/")[0], "verdict": verdict, "message": message}
        for i, (verdict, message) in claims.items()
    ]
    return {"claims": rows, "complete": True, **more}


def judged(**changes: tuple[str, str]) -> Noticed:
    renamed = {name.replace("__", "/"): told for name, told in changes.items()}
    return judge(FAULT, report(GOOD | renamed), 1.0)


def test_a_fault_that_is_noticed_as_it_says_is_right() -> None:
    assert judged().wrong == ()
    assert judged().blocked == {12}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gateway__one": ("passed", "")}, "gateway/one should have failed and did not"),
        ({"gateway__other": ("failed", "ouch")}, "gateway/other failed and should not: ouch"),
        ({"gateway__other": ("error", "a bug")}, "gateway/other is an error: a bug"),
        ({"restart__again": ("passed", "")}, "blocked stages [], expected [12]"),
    ],
    ids=["one stays green", "another turns red", "an error", "nothing is blocked"],
)
def test_what_is_not_as_it_says_is_told(changes: dict[str, tuple[str, str]], said: str) -> None:
    assert judged(**changes).wrong == (said,)


def test_words_that_nobody_says_are_missed() -> None:
    mute = {i: (verdict, "") for i, (verdict, _) in GOOD.items()}
    assert "no message holds 'nobody listens'" in judge(FAULT, report(mute), 1.0).wrong[0]


def test_a_fault_that_names_a_claim_nobody_asks_is_wrong() -> None:
    few = {i: told for i, told in GOOD.items() if i != "gateway/one"}
    assert judge(FAULT, report(few), 1.0).wrong == ("no claim asked is called gateway/one",)


def test_what_a_mesh_like_this_is_not_asked_need_not_notice() -> None:
    assert judged(gateway__one=("not-claimed", "not here")).wrong == ()
    unasked = {i: ("not-claimed", "not here") for i in GOOD if i in FAULT.fails or "many" in i}
    told = judge(FAULT, report(GOOD | unasked), 1.0).wrong
    assert told[:2] == tuple(f"no claim asked is called {one}" for one in FAULT.fails)


@pytest.mark.parametrize(
    ("settings", "has"),
    [
        ([], False),
        (["profile=demo", "components.cni.enabled=true"], True),
        (["values.pilot.cni.enabled=true"], True),
        (["values.istio_cni.enabled=true"], True),
        (["components.cni.enabled=true", "components.cni.enabled=false"], False),
        (["components.cni.enabled=truely", "values.cni.enabled=true"], False),
    ],
    ids=["nothing", "component", "newer-value", "older-value", "the-last-counts", "other-words"],
)
def test_a_pose_has_cni_where_its_settings_say_so(settings: list[str], *, has: bool) -> None:
    assert has_cni(settings) is has


def test_what_is_only_blocked_was_not_asked() -> None:
    assert "restart/again" not in judged().asked
    assert "gateway/other" in judged().asked


def test_with_cni_more_may_be_due() -> None:
    fault = CATALOGUE["interception-by-tproxy"]
    assert fault.on_mesh(cni=False) == fault
    assert set(fault.on_mesh(cni=True).fails) == {*fault.fails, *fault.fails_with_cni}
    assert fault.fails_with_cni


def test_a_fault_that_the_pose_cannot_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "cni-agent-missing"])
    assert "this pose cannot have: cni-agent-missing" in capsys.readouterr().err


def test_a_walk_that_was_cut_short_proves_nothing() -> None:
    cut = judge(FAULT, report(GOOD, complete=False), 1.0)
    assert cut.wrong == ("the walk did not end by itself",)


def test_the_table_names_faults_and_lonely_claims() -> None:
    text = table([judged()], ["sample/nobody-breaks-me"])
    assert (
        "| gateway-object-deleted | 7 | gateway/many[a], gateway/many[b], gateway/one | 12 |"
        in text
    )
    assert "Claims that no fault turned fails: sample/nobody-breaks-me." in text
