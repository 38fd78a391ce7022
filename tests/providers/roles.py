"""`python -m tests.providers.roles`: write docs/rbac again, from runs over the embedded cluster.

Each run takes it as `--provider existing` takes any cluster, and writes down what it requested.
The embedded cluster has no traffic in ambient mode: what that takes besides is measured over a
real mesh, `--kube-context NAME [-- OPTION...]`, of the kubeconfig in KUBECONFIG.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
# What a mesh with ztunnel takes besides one of these; besides the others it takes nothing more.
BESIDE = {"ambient-smoke": "smoke", "ambient-mesh-writes": "mesh-writes"}


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
    """Write the roles of every profile, or what a real mesh in ambient mode takes besides."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.providers.roles", description=__doc__, allow_abbrev=False
    )
    of_context = "measure this mesh, in ambient mode"
    parser.add_argument("--kube-context", default="", metavar="NAME", help=of_context)
    parser.add_argument("options", nargs="*", metavar="OPTION", help="of its runs, behind --")
    given = parser.parse_args()
    if given.options and not given.kube_context:
        parser.error(f"{given.options[0]}: options are for the runs over --kube-context")
    with tempfile.TemporaryDirectory() as folder:
        try:
            if given.kube_context:
                write_besides(Path(folder), given.kube_context, given.options)
            else:
                write_all(Path(folder))
        except RuntimeError as e:
            sys.stderr.write(f"{e}\n")
            return 1
    return 0


def write_all(home: Path) -> None:
    """Run once for each role on the newest and the oldest pair; a role grants what both need."""
    needed: dict[str, set[Permission]] = {name: set() for name in PROFILES}
    for pair in (PAIRS[0], PAIRS[-1]):  # what they have in between, one of them has, too
        with started(home, *cluster_of(pair)) as cluster:
            for name, options in PROFILES.items():
                path = home / f"{name}-{pair.istio}.yaml"
                needed[name] |= measured(cluster.kubeconfig, path, *options)
    for name, permissions in needed.items():
        (FOLDER / f"{name}.yaml").write_text(text(name, smallest(permissions)))


def write_besides(home: Path, context: str, options: Sequence[str]) -> None:
    """Run over a real mesh, and leave out what the role beside it grants."""
    kubeconfig = Path(os.environ.get("KUBECONFIG", "~/.kube/config")).expanduser()
    for name, other in BESIDE.items():
        run = (*PROFILES[other], *options)
        needed = measured(kubeconfig, home / f"{name}.yaml", *run, context=context)
        held = granted(yaml.safe_load_all((FOLDER / f"{other}.yaml").read_text()))
        besides = {p for p in needed if p not in held and not any(h.covers(p) for h in held)}
        (FOLDER / f"{name}.yaml").write_text(text(name, smallest(besides), beside=other))


def measured(
    kubeconfig: Path, path: Path, *options: str, context: str = CONTEXT
) -> set[Permission]:
    """What one run needs, by way of a file.

    Raises:
        RuntimeError: the run did not pass, or was not whole; with what it printed.
    """
    written = ("--write-role", str(path))
    done = run_suite(kubeconfig, path.parent, *options, *written, context=context)
    if not path.exists():
        raise RuntimeError(f"{path.stem}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    sys.stdout.write(f"{path.stem}: measured\n")
    return set(granted(yaml.safe_load_all(path.read_text())))


if __name__ == "__main__":
    sys.exit(main())
