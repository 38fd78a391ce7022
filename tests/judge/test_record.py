"""A recording is made by a run, says the same as it, and holds nobody's secrets and names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fixtures.claims.waiting import wait_policy
from tests import recordings
from tests.embedded.conftest import VERSIONS, started
from tests.judge import test_recordings as again
from tests.record import TEMPLATES, cleaned
from tests.recordings import Recording, recorded

ROOT = Path(__file__).parents[2]
SECONDS = 180
LONG = re.compile(r'"(?:token|ca\.key|tls\.key|key\.pem)": ?"(?!<redacted>)')


def test_a_run_is_recorded_and_says_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(tmp_path, *VERSIONS) as cluster:
        command = [sys.executable, "-m", "tests.record"]
        command += ["--kubeconfig", str(cluster.kubeconfig), "--into", str(tmp_path / "made")]
        command += ["--kube-context", cluster.ready["context"], "--profile", "readonly"]
        done = _done(command)
        assert done.returncode == 0, done.stdout.decode()
        part = ["suites/test_01_cluster.py", "--way", "part", "--broken", "nothing"]
        assert _done([*command, *part]).returncode == 0
        user = yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]
    monkeypatch.setattr(recordings, "FOLDER", tmp_path / "made")
    name, part_name = recorded()
    assert name == "1.29.6-1.34.4-none"  # the sample was not there
    assert {claim.partition("/")[0] for claim in again.verdicts(part_name)} == {"cluster"}
    assert Recording(part_name).about["broken"] == "nothing"
    reported = again.verdicts(name)
    assert sum(one["verdict"] == "passed" for one in reported.values()) > 30
    tested = [one.values for one in again.again()]
    assert len(tested) > 30
    for values in tested:
        with monkeypatch.context() as patch, wait_policy(factor=0.001):
            again.test_a_claim_says_the_same_of_the_recording(patch, *values)
    text = "".join(recordings._files(name).values())
    assert user["token"] not in text
    assert cluster.ready["node_name"] not in text


def _done(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "KUBECONFIG": ""}
    return subprocess.run(
        command, cwd=ROOT, env=environment, timeout=SECONDS, check=False, capture_output=True
    )


@pytest.mark.parametrize("name", recorded())
def test_no_recording_holds_a_secret_or_a_release_s_text(name: str) -> None:
    of = Recording(name)
    states = [of.json(f"states/{state}.json") for state in of.names("states", ".json")]
    for state in states:
        assert {v for s in state["v1/secrets"] for v in (s.get("data") or {}).values()} <= {
            "<redacted>"
        }
        for body in (b for bodies in state.values() for b in bodies):
            assert "managedFields" not in body["metadata"]
            if body["metadata"]["name"].startswith("istio-sidecar-injector") and "data" in body:
                assert body["data"].get("config") in (TEMPLATES, None)
    assert not [path for path, text in recordings._files(name).items() if LONG.search(text)]


def test_a_secret_is_emptied_and_a_machine_is_any_machine() -> None:
    secret = {"kind": "Secret", "metadata": {"name": "x"}, "data": {"token": "c2VjcmV0"}}
    node = {
        "kind": "Node",
        "metadata": {"name": "me", "managedFields": []},
        "status": {"nodeInfo": {"machineID": "abc"}, "conditions": []},
    }
    assert cleaned(secret)["data"] == {"token": "<redacted>"}
    assert "abc" not in json.dumps(cleaned(node))
    assert "managedFields" not in node["metadata"]
