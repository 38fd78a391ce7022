"""`python -m tests.bench fleet`: what a fleet's audits cost side by side, and the page of many.

So many embedded clusters are started, and audited by one command. Told are the time from its start
to its page, the processor time of the audits and of the clusters that answer them (a real fleet's
are elsewhere), and what else the machine did meanwhile. The page of `--stand-ins` clusters is made
of copies of the first one's report. Ends with 1 if it is more than may be.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import yaml

from fixtures.fleet.options import cores
from fixtures.istio.releases.versions import PAIRS
from reports.__main__ import main as command
from tests.bench.run import ROOT, children_of
from tests.embedded.conftest import EmbeddedCluster, started
from tests.fleets import StandIn, leave

MOST_RATIO = 1.2
MOST_PAGE_SECONDS, MOST_PAGE_MIB, MOST_PAGE_MB = 5.0, 250.0, 2.0
TICKS = os.sysconf("SC_CLK_TCK")


def merged(clusters: Iterable[EmbeddedCluster], path: Path) -> list[str]:
    """Write one kubeconfig of all; returns the names of its contexts."""
    whole: dict[str, Any] = {"apiVersion": "v1", "kind": "Config"}
    whole |= {"clusters": [], "users": [], "contexts": []}
    for number, cluster in enumerate(clusters):
        name = f"cluster-{number:02}"
        one = yaml.safe_load(cluster.kubeconfig.read_text())
        whole["clusters"].append(one["clusters"][0] | {"name": name})
        whole["users"].append(one["users"][0] | {"name": name})
        whole["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    path.write_text(yaml.safe_dump(whole))
    return [context["name"] for context in whole["contexts"]]


def processor(pids: Iterable[int]) -> float:
    """Seconds of processor time that processes have taken so far."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def busy() -> float:
    """Seconds of processor time that this machine has spent on anything."""
    fields = list(map(int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:]))
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICKS


def audited(count: int, home: Path, options: list[str]) -> float:
    """Audit so many clusters; returns how often it took what their processor time takes at least.

    What else ran on this machine is taken out, as far as it took processors.
    """
    with ExitStack() as stack:
        clusters = []
        for number, pair in enumerate(islice(cycle(PAIRS[:2]), count)):
            (folder := home / str(number)).mkdir()
            versions = ("--istio-version", pair.istio, "--kube-version", pair.kube)
            clusters.append(
                stack.enter_context(started(folder, *versions, "--state", "installed"))
            )
        contexts = merged(clusters, home / "kubeconfig")
        theirs = children_of(os.getpid())
        before, others = processor(theirs), busy()
        used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        code = subprocess.run(
            [
                *(sys.executable, "-m", "fixtures.fleet", "--contexts", ",".join(contexts)),
                *("--kubeconfig", str(home / "kubeconfig"), "--reports-dir", str(home / "out")),
                *options,
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            check=False,
        ).returncode
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        answering, others = processor(theirs) - before, busy() - others
    audits = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    fleet = json.loads((home / "out" / "fleet.json").read_text())
    passed = sum(one["exit_code"] == 0 for one in fleet["clusters"])
    floor, others = audits / cores(), max(others - audits - answering, 0.0)
    ratio = (wall - others / cores()) / floor
    _say(f"{passed} of {count} clusters passed, exit code {code}; {cores()} processors")
    _say(f"audits: {audits:.1f} s of processor time, so {floor:.1f} s at least; took {wall:.1f} s")
    _say(f"their clusters: {answering:.1f} s; what else ran: {others:.1f} s")
    _say(f"ratio: {wall / floor:.2f}, without what else ran {ratio:.2f} (at most {MOST_RATIO})")
    return ratio if passed == count else float("inf")


def paged(count: int, report: dict[str, Any], home: Path) -> bool:
    """Make the page of so many clusters; returns whether it costs no more than it may."""
    claims = [claim["id"] for claim in report["claims"]]
    good = StandIn("", evidence="rehearsal", certificates={"istio-system/istiod": "2027-05-01"})
    clusters = []
    for number in range(count):
        istio = f"1.{29 + number % 4}.{number % 3}"
        one = replace(good, name=f"cluster-{number:04}", istio=istio, sidecars=istio)
        if number % 10 == 0:  # one in ten is not good, each in two claims of its own kind
            wrong = dict.fromkeys((claims[number % 60], claims[number % 7]), "failed")
            one = replace(one, wrong=wrong, exit_code=1)
        elif number % 97 == 0:
            one = replace(one, exit_code=10, reason="the API server does not answer")
        clusters.append(one)
    leave(home / "many", report, clusters)
    began = time.perf_counter()
    code = command(["fleet", str(home / "many")])
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = (home / "many" / "fleet.html").stat().st_size / 1e6
    _say(
        f"page of {count} clusters: {seconds:.1f} s (at most {MOST_PAGE_SECONDS:g} s), code {code}"
    )
    _say(f"its size: {size:.2f} MB (at most {MOST_PAGE_MB:g})")
    _say(f"memory: {memory:.0f} MiB (at most {MOST_PAGE_MIB:g})")
    small = memory <= MOST_PAGE_MIB and size <= MOST_PAGE_MB
    return seconds <= MOST_PAGE_SECONDS and small


def main(arguments: list[str]) -> int:
    """Print what it costs, and what it may cost."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench fleet", description=__doc__)
    parser.add_argument("clusters", type=int, nargs="?", default=20, help="embedded ones (20)")
    parser.add_argument("--stand-ins", type=int, default=1_000, help="reports of the page (1000)")
    given, options = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        ratio = audited(given.clusters, home, options)
        report = json.loads((home / "out" / "cluster-00" / "report.json").read_text())
        small = paged(given.stand_ins, report, home)
    return 0 if ratio <= MOST_RATIO and small else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
