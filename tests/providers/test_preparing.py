"""A roll-out that fails is collected while its pods are still there."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BROKEN = """
from fixtures.setup import sample

documents = sample.documents

def broken(expected):
    made = list(documents(expected))
    for body in made:
        if body["kind"] == "Deployment" and body["metadata"]["name"] == "ratings-v1":
            body["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.invalid/none:1"
    return made

sample.documents = broken
"""


def test_a_roll_out_that_fails_leaves_its_pods_to_the_reader(tmp_path: Path) -> None:
    (tmp_path / "broken_sample.py").write_text(BROKEN)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pytest", "-p", "broken_sample", "suites/test_03_sample.py"]
    # An image that cannot be pulled is awaited until the deadline, which is shortened here.
    command += ["--provider", "embedded", "--reports-dir", str(out), "--patience", "0.02"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout
    left = out / "diagnostics" / "03-sample"
    objects = (left / "bookinfons-objects.yaml").read_text()
    assert "kind: pods" in objects
    assert re.search("reason: (ErrImagePull|ImagePullBackOff)", objects)
    assert "Failed Pod/ratings-v1-" in (left / "bookinfons-events.txt").read_text()
    assert list(left.glob("bookinfons-details-v1-*-details.log"))
