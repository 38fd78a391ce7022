"""`python -m tests.bench audit PODS`: what the audit of a large mesh costs, embedded.

Injected pods are stored in it as objects of a node that nobody serves, with their workloads and
namespaces; then one run of profile readonly tests them. It counts requests and bytes, which do not
depend on the machine, and the most memory that the run's own process held; its time is shown as a
ratio to that of a bare list of the same pods. Ends with 1 if it is more than may be.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fixtures.claims.waiting import pause
from fixtures.istio.releases.versions import PAIRS
from fixtures.k8s import Body, Kube
from tests.embedded.conftest import started

ROOT = Path(__file__).parents[2]
NODE = "seatrial-bench"
PODS_A_NAMESPACE, PODS_A_WORKLOAD = 200, 10
WRITERS = 8
SAMPLE_SECONDS = 0.1
MIB = 1024
# What pytest, the client and the reports need before the first pod, and what each pod adds.
MOST_MEMORY, MOST_MEMORY_A_POD = 100.0, 0.003
# Requests do not grow with pods but by their pages; a page of a list holds 500.
MOST_REQUESTS, PODS_A_PAGE = 150, 500
# Read once: hardly more bytes than the bare list of the pods has.
MOST_BYTES, MOST_BYTES_BESIDE = 1.25, 6_000_000


@dataclass(frozen=True)
class Cost:
    """What one audit cost.

    Attributes:
        seconds: from its start to its end.
        memory: the most that its process held, in MiB.
        requests: how many it sent; `answered` how many bytes it got.
        passed: how many claims held; `tested` how many were tested.
    """

    seconds: float
    memory: float
    requests: int
    answered: int
    passed: int
    tested: int


def pods_of(template: Body, count: int) -> Iterator[Body]:
    """So many pods like one, in their namespaces and workloads."""
    for number in range(count):
        body = copy.deepcopy(template)
        meta, workload = body["metadata"], f"app-{number // PODS_A_WORKLOAD % 20}"
        for generated in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            meta.pop(generated, None)
        meta["name"] = f"{workload}-abc-{number}"
        meta["namespace"] = namespace_of(number)
        meta["labels"] |= {"app": workload, "pod-template-hash": "abc"}
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{workload}-abc"}
        meta["ownerReferences"] = [{**owner, "uid": f"of {workload}", "controller": True}]
        body["spec"]["nodeName"] = NODE
        yield body


def namespace_of(number: int) -> str:
    """The namespace of a pod by its number."""
    return f"team-{number // PODS_A_NAMESPACE:05}"


def populate(kube: Kube, count: int) -> None:
    """Store so many injected pods like one of the sample's."""
    running = kube.list("pods", "bookinfons", labels="app=ratings")[0]
    account = running["spec"]["serviceAccountName"]
    names = sorted({namespace_of(number) for number in range(count)})
    with ThreadPoolExecutor(WRITERS) as writers:

        def make(name: str) -> None:
            kube.create("namespaces", {"metadata": {"name": name}})
            kube.create("serviceaccounts", {"metadata": {"name": account}}, name)

        def store(pod: Body) -> None:
            name, where = pod["metadata"]["name"], pod["metadata"]["namespace"]
            status = {"status": pod.pop("status")}
            kube.create("pods", pod, where)
            kube.patch("pods", name, where, status, subresource="status")

        list(writers.map(make, names))
        pods = pods_of(running, count)
        while batch := list(islice(pods, PODS_A_NAMESPACE)):
            list(writers.map(store, batch))
        # Only now: pods that are stored are not to be injected a second time.
        label = {"metadata": {"labels": {"istio-injection": "enabled"}}}
        list(writers.map(lambda name: kube.patch("namespaces", name, None, label), names))


def audited(kubeconfig: Path, context: str) -> Cost:
    """Run profile readonly once in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests.json"
        command = [sys.executable, "-m", "pytest", "suites", "--profile", "readonly", "-q"]
        command += ["--provider", "existing", "--kube-context", context]
        command += ["--reports-dir", folder, "--write-requests", str(log)]
        environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
        began = time.perf_counter()
        most = 0.0
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        ) as process:
            while process.poll() is None:
                most = max(most, peak(process.pid))
                pause(SAMPLE_SECONDS)
        seconds = time.perf_counter() - began
        sent = json.loads(log.read_text())
        claims = json.loads((Path(folder) / "report.json").read_text())["claims"]
    verdicts = [claim["verdict"] for claim in claims]
    tested = [verdict for verdict in verdicts if verdict != "not-claimed"]
    return Cost(
        seconds,
        most,
        sent["requests"],
        sent["bytes"],
        verdicts.count("passed"),
        len(tested),
    )


def peak(pid: int) -> float:
    """The most memory that a process held so far, in MiB; what its parent held does not count."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / MIB for line in lines if line.startswith("VmHWM:")), 0.0)


def main(arguments: list[str]) -> int:
    """Print what it costs, and what it may cost."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench audit", description=__doc__)
    parser.add_argument("pods", type=int, nargs="?", default=2_000, help="how many pods (2000)")
    count = parser.parse_args(arguments).pods
    pair = ("--istio-version", PAIRS[0].istio, "--kube-version", PAIRS[0].kube)
    with (
        tempfile.TemporaryDirectory() as home,
        started(Path(home), *pair, "--state", "gateway") as there,
    ):
        context: str = there.ready["context"]
        with closing(Kube.of_context(there.kubeconfig, context)) as kube:
            began = time.perf_counter()
            populate(kube, count)
            _say(f"{count} pods stored in {time.perf_counter() - began:.0f} s")
            began, before = time.perf_counter(), kube.requests.bytes
            there_are = len(kube.read("pods", dict, _nothing))
            bare, listed = time.perf_counter() - began, kube.requests.bytes - before
            _say(f"a bare list of {there_are} pods: {bare:.1f} s, {listed / 1e6:.1f} MB")
        cost = audited(there.kubeconfig, context)
    most_memory = MOST_MEMORY + MOST_MEMORY_A_POD * count
    most_requests = MOST_REQUESTS + there_are // PODS_A_PAGE
    most_bytes = listed * MOST_BYTES + MOST_BYTES_BESIDE
    _say(f"{cost.passed} of {cost.tested} claims passed")
    _say(f"time: {cost.seconds:.1f} s, {cost.seconds / bare:.1f} times the bare list")
    _say(f"memory: {cost.memory:.0f} MiB (at most {most_memory:.0f} MiB)")
    _say(f"requests: {cost.requests} (at most {most_requests})")
    _say(f"answers: {cost.answered / 1e6:.1f} MB (at most {most_bytes / 1e6:.1f} MB)")
    good = cost.memory <= most_memory and cost.requests <= most_requests
    return 0 if good and cost.answered <= most_bytes and cost.passed == cost.tested else 1


def _nothing(_: Any) -> None:
    return None


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
