"""`python -m tests.bench.run`: what the embedded run costs, as a ratio to this machine's speed.

Runs whole runs one after the other and tells wall time, processor time, the most memory that all
processes held together, and the requests that were put to the API. Seconds depend on the machine;
the ratio to a fixed piece of Python, timed before and after, is what two runs can be compared by.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fixtures.claims.waiting import pause

ROOT = Path(__file__).parents[2]
SAMPLE_SECONDS = 0.2
MIB = 1024


@dataclass(frozen=True)
class Cost:
    """What one run cost: seconds, MiB, and how fast the machine was meanwhile."""

    wall: float
    cpu: float
    memory: float
    yardstick: float
    claims: int
    code: int


def yardstick() -> float:
    """Seconds for a fixed piece of work of this interpreter."""
    began = time.perf_counter()
    total = 0
    for number in range(3_000_000):
        total += number % 7
    assert total
    return time.perf_counter() - began


def memory(leader: int) -> float:
    """MiB that a process and all it started hold now; shared pages are shared out (PSS)."""
    return sum(map(_proportional, (leader, *children_of(leader)))) / MIB


def children_of(leader: int) -> list[int]:
    """All processes that one has started, and theirs."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    family, left = [], [leader]
    while left:
        family.append(left.pop())
        left += children.get(family[-1], [])
    return family[1:]


def _proportional(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:"), 0)


def measured(options: list[str]) -> Cost:
    """RunState once, and look at the processes meanwhile."""
    before = yardstick()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "suites", "--provider", "embedded", "-q"]
        command += ["--reports-dir", folder, *options]
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        peak = 0.0
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                peak = max(peak, memory(process.pid))
                pause(SAMPLE_SECONDS)
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        report = json.loads((Path(folder) / "report.json").read_text())
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    speed = (before + yardstick()) / 2
    return Cost(wall, cpu, peak, speed, len(report["claims"]), process.returncode)


def main(arguments: list[str] | None = None) -> int:
    """Print a row a run, and the medians."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    parser.add_argument(
        "-n", type=int, default=3, help="runs that count (3), after one to warm up"
    )
    given, options = parser.parse_known_args(arguments)
    _say(f"{os.cpu_count()} processors; wall and cpu in seconds, memory in MiB")
    costs = [measured(options) for _ in range(given.n + 1)][1:]
    for cost in costs:
        _row("run", cost.wall, cost.cpu, cost.memory, cost.wall / cost.yardstick)
    columns = [(c.wall, c.cpu, c.memory, c.wall / c.yardstick) for c in costs]
    _row("median", *map(statistics.median, zip(*columns, strict=True)))
    _say(f"{costs[-1].claims} claims; exit codes {sorted({c.code for c in costs})}")
    return max(cost.code for cost in costs)


def _row(name: str, wall: float, cpu: float, peak: float, ratio: float) -> None:
    figures = f"wall {wall:6.1f}  cpu {cpu:6.1f}  memory {peak:6.0f}"
    _say(f"{name:7} {figures}  wall/yardstick {ratio:5.0f}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
