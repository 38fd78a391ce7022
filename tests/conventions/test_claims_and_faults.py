"""Every claim can be turned red, and every fault names claims that there are."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.faults import CATALOGUE, Fault
from fixtures.stages import STAGES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def claims() -> set[str]:
    """The ids of all claims."""
    command = [sys.executable, "-m", "pytest", "suites", "--list-claims"]
    command += ["--profile", "conformance", "--provider", "embedded"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return set(re.findall(r"^(\S+/\S+) +(?:core|extended) ", done.stdout, re.MULTILINE))


def test_there_are_claims_in_every_stage(claims: set[str]) -> None:
    assert {claim.partition("/")[0] for claim in claims} == {stage.name for stage in STAGES}


def test_a_fault_turns_each_claim_red(claims: set[str]) -> None:
    faults = CATALOGUE.values()
    assert sorted(c for c in claims if not any(fault.turns_red(c) for fault in faults)) == []


@pytest.mark.parametrize("fault", CATALOGUE.values(), ids=lambda fault: fault.name)
def test_a_fault_names_claims_and_words(fault: Fault, claims: set[str]) -> None:
    assert fault.red
    alone = (replace(fault, red=(pattern,)) for pattern in fault.red)
    assert [one.red for one in alone if not any(map(one.turns_red, claims))] == []
    assert all(fault.words)
    assert fault.stage in {stage.number for stage in STAGES}
    assert set(fault.blocks) <= {stage.number for stage in STAGES}
