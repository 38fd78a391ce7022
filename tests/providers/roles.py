"""`python -m tests.providers.roles`: write docs/rbac again, from walks over the embedded cluster.

Each walk takes it as `--provider existing` takes any cluster, and writes down what it asked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.embedded.conftest import started

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "rbac"
# The newest pair, and dying pods that take no half minute.
CLUSTER = ("--istio-version", "1.31.0", "--kube-version", "1.35.0", "--termination-seconds", "2")
CONTEXT = "seatrial-embedded"
PROFILES = {
    "readonly": ("--profile", "readonly"),
    "smoke": ("--profile", "smoke"),
    "conformance": ("--profile", "conformance"),
    "mesh-writes": ("--profile", "conformance", "--allow-mesh-writes"),
}


def walk(
    kubeconfig: Path, reports: Path, *options: str, context: str = CONTEXT
) -> subprocess.CompletedProcess[str]:
    """Walk over a cluster that is there already."""
    command = [sys.executable, "-m", "pytest", "suites", "-q", "--provider", "existing"]
    command += ["--kube-context", context, "--reports-dir", str(reports), *options]
    environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def main() -> int:
    """Walk once for each role."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with started(home, *CLUSTER) as cluster:
            for name, options in PROFILES.items():
                path = FOLDER / f"{name}.yaml"
                path.unlink(missing_ok=True)
                done = walk(cluster.kubeconfig, home, *options, "--write-role", str(path))
                sys.stdout.write(f"{path.relative_to(ROOT)}: exit code {done.returncode}\n")
                if not path.exists():
                    sys.stdout.write(done.stdout + done.stderr)
                    wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
