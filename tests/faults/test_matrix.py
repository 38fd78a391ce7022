"""The matrix: which faults it takes, and what it makes of the report of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.faults.catalog import CATALOGUE, ON_ARRIVAL
from fixtures.faults.catalog.names import SAMPLE
from fixtures.faults.fault import has_cni
from fixtures.faults.matrix import (
    Broken,
    Noticed,
    _unfit,
    judge,
    main,
    table,
    touched_stages,
)
from fixtures.istio.releases.versions import Pair
from fixtures.run.stages import STAGES
from tests.golden import Golden

FAULT = replace(
    CATALOGUE["gateway-object-deleted"], fails=("gateway/one",), words=(), blocks=(12,)
)
CLAIMS = [
    {"id": "gateway/one", "stage": "gateway", "verdict": "failed", "message": "no listener"},
    {"id": "gateway/two", "stage": "gateway", "verdict": "passed", "message": ""},
    {"id": "gateway/api", "stage": "gateway", "verdict": "not-claimed", "message": "no"},
    {"id": "restart/again", "stage": "restart", "verdict": "blocked", "message": "blocked"},
]


def report(**more: Any) -> str:
    return json.dumps({"claims": CLAIMS, "complete": True, **more})


def test_a_report_is_judged_and_summed_up() -> None:
    noticed = judge(FAULT, report(), 1.0)
    assert noticed.wrong == ()
    assert noticed.fails == {"gateway/one": "no listener"}
    assert noticed.blocked == {12}
    assert noticed.tested == {"gateway/one", "gateway/two"}


def test_a_run_that_was_cut_short_proves_nothing() -> None:
    cut = judge(FAULT, report(complete=False, reason="killed"), 1.0)
    assert cut.wrong == ("the run did not end by itself: killed",)


@pytest.mark.parametrize(
    ("settings", "has"),
    [
        ([], False),
        (["profile=demo", "components.cni.enabled=true"], True),
        (["values.pilot.cni.enabled=true"], True),
        (["values.istio_cni.enabled=true"], True),
        (["components.cni.enabled=true", "components.cni.enabled=false"], False),
        (["components.cni.enabled=truely", "values.cni.enabled=true"], False),
        (["profile=ambient"], True),
        (["components.cni.enabled=true", "profile=default"], False),
    ],
    ids=[
        *("nothing", "component", "newer-value", "older-value", "the-last-counts", "other-words"),
        *("ambient", "another-profile"),
    ],
)
def test_a_mesh_has_cni_where_its_settings_say_so(settings: list[str], *, has: bool) -> None:
    assert has_cni(settings) is has


def test_with_cni_more_claims_fail() -> None:
    fault = CATALOGUE["interception-by-tproxy"]
    assert fault.on_mesh(cni=False) == fault
    assert set(fault.on_mesh(cni=True).fails) == {*fault.fails, *fault.fails_with_cni}
    assert fault.fails_with_cni


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--only", "cni-agent-missing"],
            "cni-agent-missing: it breaks a mesh with Istio's CNI plugin, and this is one without",
        ),
        (
            ["--only", "dns-down", "server-not-captured"],
            "only a live mesh shows it, the embedded cluster does not: tox -e prove -- --provider",
        ),
        (["--mesh", "ambiant", "--only", "ztunnel-on-no-node"], "ambiant: unknown; did you mean"),
        (["--mesh=ambiant"], "--mesh ambiant: unknown; did you mean ambient"),
        (["--only", "dns-dwon"], "--only dns-dwon: unknown; did you mean dns-down"),
        (["--only", "zzzzzz"], "--only zzzzzz: unknown; see pytest suites --list-faults"),
        (["dns-down"], "dns-down: say --only dns-down"),
        (["--before-run", "--only", "image-pull-fails"], "cannot be there before a run"),
        (["--before-run", "--touched"], "--touched: with --before-run everything is run"),
    ],
    ids=[
        *("unfit", "only-live", "mesh", "mesh-of-all", "near", "unknown", "without-option"),
        *("only-in-a-run", "two-ways"),
    ],
)
def test_a_fault_that_cannot_be_injected_is_refused(
    options: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(options)
    assert line in capsys.readouterr().err


def test_a_fault_of_ambient_mode_gets_a_mesh_that_is_in_it() -> None:
    fault, other = CATALOGUE["ztunnel-on-no-node"], CATALOGUE["dns-down"]
    usual = Broken(Pair("1.31.4", "1.35"))
    assert usual.needed_by(other) == usual
    broken = usual.needed_by(fault)
    assert (broken.mesh, broken.cni, broken.extra) == ("ambient", True, ("--mesh", "ambient"))
    assert broken.needed_by(fault) == broken
    reasons = [_unfit(fault, Broken(Pair(v, "1.30"))) for v in ("1.23.6", "1.24.0")]
    assert reasons == ["ambient mode is stable since 1.24, not in Istio 1.23.6", ""]
    assert fault.name not in ON_ARRIVAL


def test_a_mesh_arrives_with_its_own_faults_and_with_none_of_the_run() -> None:
    assert {"istiod-scaled-to-zero", "dns-down", "injector-webhooks-deleted"} <= set(ON_ARRIVAL)
    own = {name for name, fault in CATALOGUE.items() if SAMPLE in repr(fault.action)}
    assert own.isdisjoint(ON_ARRIVAL)
    assert {"image-pull-fails", "kiali-scaled-to-zero"}.isdisjoint(ON_ARRIVAL)


def test_a_fault_that_cannot_be_injected_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_broken: object, _fault: object, _folder: object) -> None:
        raise OSError("no way")

    monkeypatch.setattr("fixtures.faults.matrix.Broken.run", run)
    assert main(["--only", "dns-down", "node-not-ready", "--reports-dir", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert printed.count("the fault could not be injected: OSError: no way") == 2
    assert "0 passed, 2 failed" in printed


def test_a_fault_touches_its_stage_and_those_that_it_names() -> None:
    fault = replace(FAULT, stage=5, fails=("sample/one", "*/two"), blocks=(12,))
    assert set(touched_stages(fault)) == set(STAGES)
    fault = replace(fault, fails=("sample/one", "gate*/two"))
    assert [one.number for one in touched_stages(fault)] == [3, 5, 7, 12, 13]
    assert all(touched_stages(fault) for fault in CATALOGUE.values())


def test_the_table_names_faults_and_claims_without_one() -> None:
    text = table([judge(FAULT, report(), 1.0)], ["sample/nothing-breaks-me"])
    assert "| gateway-object-deleted | 7 | gateway/one | 12 |" in text
    assert "1 fault, 1 claim failed." in text
    assert "Claims that no fault makes fail: sample/nothing-breaks-me." in text


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--onyl", "option --onyl: unknown; did you mean --only"),
        ("--patiense", "option --patiense: unknown; did you mean --patience"),
        ("-k", "option -k: unknown; see --help"),
    ],
)
def test_an_option_that_no_run_has_is_refused_at_once(
    option: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([option, "gateway-object-deleted"])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_ctrl_c_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    golden: Golden,
) -> None:
    def press(*_: object) -> Noticed:
        raise KeyboardInterrupt

    monkeypatch.setattr(Broken, "run", press)
    assert main(["--only", "dns-down", "--reports-dir", str(tmp_path)]) == 2
    golden(capsys.readouterr().out.splitlines()[-1])
