"""Every claim can be turned red, and every fault names claims that there are."""

import re
import subprocess
import sys
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
    return set(re.findall(r"^(\S+/\S+)  \(", done.stdout, re.MULTILINE))


def test_there_are_claims_in_every_stage(claims: set[str]) -> None:
    assert {claim.partition("/")[0] for claim in claims} == {stage.name for stage in STAGES}


def test_a_fault_turns_each_claim_red(claims: set[str]) -> None:
    red = {claim for fault in CATALOGUE.values() for claim in fault.red}
    assert sorted(claims - red) == []


@pytest.mark.parametrize("fault", CATALOGUE.values(), ids=lambda fault: fault.name)
def test_a_fault_names_claims_and_words(fault: Fault, claims: set[str]) -> None:
    assert fault.red
    assert sorted(set(fault.red) - claims) == []
    assert all(fault.words)
    assert fault.stage in {stage.number for stage in STAGES}
    assert set(fault.blocks) <= {stage.number for stage in STAGES}
