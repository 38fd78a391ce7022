"""A live mesh is broken and reverted, and reverted first where an earlier run was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import eventually
from fixtures.faults.fault import Fault
from fixtures.faults.live import LIVE
from fixtures.k8s import Kube, Refused
from fixtures.providers.base import Access
from fixtures.run.prove import Prove
from fixtures.run.state import RunState
from tests.embedded.conftest import VERSIONS, EmbeddedCluster, started

ROOT = Path(__file__).parents[2]
SECONDS = 500
VALIDATORS = "validatingwebhookconfigurations.admissionregistration.k8s.io"
VALIDATOR = "istiod-default-validator"
REVERTED = "ended before it reverted default-validator-missing: reverted now"
IN_EFFECT = timeout("the fault takes effect", 400)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[EmbeddedCluster]:
    """A mesh of our own that outlives the proof."""
    home = tmp_path / "there"
    home.mkdir()
    with started(home, *VERSIONS, "--termination-seconds", "0.5") as cluster:
        yield cluster


@pytest.fixture
def kube(there: EmbeddedCluster) -> Iterator[Kube]:
    context = there.ready["context"]
    door = Kube.connect(Access(there.kubeconfig, context, None, "rehearsal", "test", "1", "1"))
    yield door
    door.close()


def command(there: EmbeddedCluster, folder: Path, *options: str) -> list[str]:
    context = there.ready["context"]
    suites = [str(path) for path in (ROOT / "suites").glob("test_0[57]_*.py")]
    line = [sys.executable, "-m", "pytest", *suites, "-q", "--provider", "existing"]
    line += ["--kube-context", context, "--profile", "conformance", "--prove"]
    return [*line, "--reports-dir", str(folder), *options]


def proof(there: EmbeddedCluster, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(there, folder, *options),
        cwd=ROOT,
        env=environment(there),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def environment(there: EmbeddedCluster) -> dict[str, str]:
    home = there.kubeconfig.parent
    return {**os.environ, "KUBECONFIG": str(there.kubeconfig), "XDG_STATE_HOME": str(home)}


def only(*names: str) -> list[str]:
    return [part for name in names for part in ("--only-fault", name)]


def test_faults_are_noticed_and_reverted(there: EmbeddedCluster, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    names = ("default-validator-missing", "virtualservice-deleted")
    done = proof(there, folder, "--allow-break", there.ready["context"], *only(*names))
    assert done.returncode == 0, done.stdout[-3000:]
    rows = (folder / "prove.md").read_text()
    assert [line.split(" | ")[0] for line in rows.splitlines() if line.endswith("| yes |")] == [
        f"| {name}" for name in names
    ]
    assert "test_05_webhooks.py" not in done.stdout.partition("prove:")[0], "one line a claim"
    report = json.loads((folder / "report.json").read_text())
    unasked = [c for c in report["claims"] if c["verdict"] == "not-claimed"]
    assert {c["verdict"] for c in report["claims"] if c not in unasked} == {"passed"}
    assert {c["message"].partition(" ")[2] for c in unasked} <= {
        "Gateway API is not installed in this cluster",
        "the injector's values this mesh is without Istio's CNI plugin",
        "1.29.6 accepts any metrics port",
    }


def test_a_fault_left_by_a_killed_run_is_reverted_by_the_next(
    there: EmbeddedCluster, kube: Kube, tmp_path: Path
) -> None:
    allowed = ("--allow-break", there.ready["context"])
    first = command(there, tmp_path / "killed", *allowed, *only("default-validator-missing"))
    with subprocess.Popen(
        first,
        cwd=ROOT,
        env=environment(there),
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            eventually(lambda: must_be_gone(kube, process), within=IN_EFFECT, every=0.01)
        finally:
            process.send_signal(signal.SIGKILL)
    assert kube.find(VALIDATORS, VALIDATOR) is None
    kube.delete("leases.coordination.k8s.io", "seatrial", "default")  # else held for a minute
    done = proof(there, tmp_path / "next", *allowed, *only("injector-fails-open"))
    assert REVERTED in done.stdout, done.stdout[-3000:]
    assert done.returncode == 0, done.stdout[-3000:]
    assert kube.find(VALIDATORS, VALIDATOR)
    assert not list((there.kubeconfig.parent / "seatrial").glob("injected-*"))


IRREVERSIBLE = """
from fixtures.faults.actions import Delete

def revert(self, kube):
    raise OSError("no way back")

Delete.revert = revert
"""


def test_a_fault_that_cannot_be_reverted_ends_with_one_line_that_says_how(
    there: EmbeddedCluster, kube: Kube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "irreversible.py").write_text(IRREVERSIBLE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    entries = ("--allow-break", there.ready["context"], *only("default-validator-missing"))
    done = proof(there, tmp_path / "out", *entries, "-p", "irreversible")
    printed = done.stdout + done.stderr
    assert done.returncode == 10, printed[-3000:]
    assert "default-validator-missing could not be reverted: OSError: no way back" in printed
    assert "Run --prove again to revert it" in printed
    assert "Traceback" not in printed
    assert kube.find(VALIDATORS, VALIDATOR) is None
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert not report["complete"]
    again = proof(there, tmp_path / "again", *entries)
    assert REVERTED in again.stdout, again.stdout[-3000:]
    assert kube.find(VALIDATORS, VALIDATOR)


def must_be_gone(kube: Kube, process: subprocess.Popen[bytes]) -> None:
    assert process.poll() is None, "the run ended by itself"
    if kube.find(VALIDATORS, VALIDATOR):
        raise ClaimFailed(VALIDATOR, expected="gone", got="there")


@pytest.mark.parametrize("allowed", [(), ("--allow-break", "another")], ids=["unsaid", "another"])
def test_nothing_is_broken_unless_its_context_is_named_again(
    tmp_path: Path, allowed: tuple[str, ...]
) -> None:
    line = [sys.executable, "-m", "pytest", "suites", "--prove", "--provider", "existing"]
    line += ["--kube-context", "staging", "--reports-dir", str(tmp_path / "out"), *allowed]
    done = subprocess.run(
        line, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 13
    assert "say --allow-break staging" in done.stdout + done.stderr


def test_a_fault_whose_object_is_not_there_is_a_row_of_the_table() -> None:
    proof = Prove(RunState(), Mock())
    gone = Refused(404, message='services "ratings" not found')
    action = Mock(snapshot=Mock(side_effect=gone))
    fault = Fault("shop-shut", "The shop is shut.", 3, action, fails=("shop/*",))
    journal = Mock()
    proven = proof._prove(Mock(), journal, fault, [])
    assert 'could not be injected: Refused: services "ratings" not found' in str(proven)
    journal.write.assert_not_called()

    of_ours = replace(LIVE["default-validator-missing"], action=action)  # of another profile
    assert proof._prove(Mock(), journal, of_ours, []) is None
    assert proof.left_out.reasons == {of_ours.name: 'services "ratings" not found'}


def test_in_ambient_mode_what_only_sidecars_show_is_left_out(tmp_path: Path) -> None:
    suites = [str(path) for path in (ROOT / "suites").glob("test_0[56]_*.py")]
    line = [sys.executable, "-m", "pytest", *suites, "-q", "--provider", "embedded"]
    line += ["--mesh", "ambient", "--profile", "conformance", "--prove"]
    line += ["--reports-dir", str(tmp_path), *only("default-validator-missing")]
    left_out = "outbound-ranges-narrowed"
    done = subprocess.run(
        [*line, *only(left_out)],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "prove: ok   default-validator-missing: " in done.stdout, done.stdout[-3000:]
    assert "prove: 1 fault was left out, of which this mesh can show nothing (" in done.stdout
    assert done.returncode == 1  # it was wanted by its name
    why = f"the proof failed: not injected: {left_out} (the sample is in ambient mode"
    assert why in done.stdout
    assert why in (tmp_path / "summary.md").read_text()
    assert "a claim failed" not in done.stdout


def test_at_least_fifteen_faults_can_be_injected_into_a_live_mesh() -> None:
    assert len(LIVE) >= 15
