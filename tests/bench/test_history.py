"""What the page of a year of nights costs: time as a ratio to this machine's speed, and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from reports.data import as_json
from reports.model import Run, StageRun
from tests.bench.run import ROOT
from tests.bench.test_page import result
from tests.unit.runs import run

RUNS, CLAIMS = 365, 200
# 2 s and 150 MB are allowed; where this was written two seconds are seventeen yardsticks.
MOST_RATIO = 17.0
MOST_MIB = 150 * 1e6 / 2**20
MOST_SIZE = 2 << 20
# Time of the processor, and what the process held at most, imports and all (its ru_maxrss would
# count what the process held that started it).
MEASURE = """
import sys, time
from reports.__main__ import main
code = main(["history", *sys.argv[1:]])
taken, status = time.process_time(), open("/proc/self/status").read()
held = int(status.partition("VmHWM:")[2].split()[0])
from tests.bench.run import yardstick
before = time.process_time()
yardstick()
print(code, taken / (time.process_time() - before), held / 1024)
"""


def night(number: int) -> Run:
    """A night of 200 claims, of which now and then some fail with evidence of 2 KB."""
    failing = number % 30 < 5
    results = [result(n if failing and n < 20 else n + 1000, ()) for n in range(CLAIMS)]
    stages = [stage.stage for stage in run().stages]
    made = tuple(
        StageRun(stages[n % len(stages)], tuple(results[n * 40 : n * 40 + 40]), 1.0, None)
        for n in range(5)
    )
    started = run().started + timedelta(days=number)
    return replace(run(), stages=made, started=started, exit_code=int(failing))


def test_a_year_of_nights_is_drawn_at_once(tmp_path: Path) -> None:
    for number in range(RUNS):
        folder = tmp_path / f"night-{number:03}"
        folder.mkdir()
        (folder / "report.json").write_text(json.dumps(as_json(night(number)), indent=2))
    page = tmp_path / "page.html"
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), "-o", str(page)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, ratio, held = map(float, done.stdout.splitlines()[-1].split())
    assert code == 0
    assert "365 runs of 1 subject" in page.read_text()
    assert ratio < MOST_RATIO
    assert held < MOST_MIB
    assert page.stat().st_size < MOST_SIZE
    print(f"{ratio:.1f} yardsticks, {held:.0f} MiB, {page.stat().st_size >> 10} KiB")  # noqa: T201  # the figures
