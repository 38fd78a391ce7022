"""`python -m tests.providers.roles`: write docs/rbac again, from runs over the embedded cluster.

Each run takes it as `--provider existing` takes any cluster, and writes down what it requested.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from fixtures.istio.releases.versions import PAIRS, Pair
from fixtures.k8s.roles import Permission, granted, smallest, text
from tests.embedded.conftest import started

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "rbac"
CONTEXT = "seatrial-embedded"
PROFILES = {
    "readonly": ("--profile", "readonly"),
    "smoke": ("--profile", "smoke"),
    "conformance": ("--profile", "conformance"),
    "mesh-writes": ("--profile", "conformance", "--allow-mesh-writes"),
}


def run_suite(
    kubeconfig: Path, reports: Path, *options: str, context: str = CONTEXT
) -> subprocess.CompletedProcess[str]:
    """Run over a cluster that is there already."""
    command = [sys.executable, "-m", "pytest", "suites", "-q", "--provider", "existing"]
    command += ["--kube-context", context, "--reports-dir", str(reports), *options]
    environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def cluster_of(pair: Pair) -> tuple[str, ...]:
    """The options of a cluster of these versions, whose dying pods take no half minute.

    Its mesh is with CNI, and the Gateway API is there: whatever is asked of a cluster without is
    asked of it, too.
    """
    versions = ("--istio-version", pair.istio, "--kube-version", pair.kube)
    cni = ("--istio-set", "components.cni.enabled=true")
    return (*versions, *cni, "--gateway-api", "--termination-seconds", "2")


def main() -> int:
    """Run once for each role on the newest and the oldest pair; a role grants what both need."""
    argparse.ArgumentParser(
        prog="python -m tests.providers.roles", description=__doc__
    ).parse_args()
    needed: dict[str, set[Permission]] = {name: set() for name in PROFILES}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for pair in (PAIRS[0], PAIRS[-1]):  # what they have in between, one of them has, too
            with started(home, *cluster_of(pair)) as cluster:
                for name, options in PROFILES.items():
                    path = home / f"{name}-{pair.istio}.yaml"
                    done = run_suite(cluster.kubeconfig, home, *options, "--write-role", str(path))
                    sys.stdout.write(f"Istio {pair.istio}, {name}: {done.returncode}\n")
                    if not path.exists():
                        sys.stdout.write(done.stdout + done.stderr)
                        return 1
                    needed[name] |= set(granted(yaml.safe_load_all(path.read_text())))
    for name, permissions in needed.items():
        (FOLDER / f"{name}.yaml").write_text(text(name, smallest(permissions)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
