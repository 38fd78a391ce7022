"""What the page of a big run costs: time as a ratio to this machine's speed, memory, and size."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace

from fixtures.claims import Call, Observation
from fixtures.claims.waiting import Wait
from fixtures.run.state import Mismatch, Result
from fixtures.run.timeline import Step
from reports.html import page
from reports.model import Run, StageRun
from tests.bench.run import yardstick
from tests.unit.runs import claim, run

CLAIMS = 300
FAILURES = 60
MIB = 1 << 20
# It took two thirds of the yardstick where this was written; writing all files may take 2 s.
MOST_RATIO = 2.0
MOST_MEMORY = 40 * MIB
MOST_SIZE = 3 * MIB


def big() -> Run:
    """A run of 300 claims in ten stages, of which every fifth failed with evidence of 2 KB."""
    stages = [stage.stage for stage in run().stages]
    calls = tuple(
        Call("client", "gateway", "200", answered=True, known_from="replies") for _ in range(20)
    )
    results = [result(number, calls) for number in range(CLAIMS)]
    return replace(
        run(),
        stages=tuple(
            StageRun(stages[n % len(stages)], tuple(results[n * 30 : n * 30 + 30]), 1.0, None)
            for n in range(10)
        ),
        steps=tuple(Step(f"step {n}", 100.0 + n, 1.0, (f"step {n - 1}",)) for n in range(40)),
        waits=tuple(Wait(f"wait {n}", 100.0 + n, 1.0, 120, met=True) for n in range(500)),
        seconds=600.0,
    )


def result(number: int, calls: tuple[Call, ...]) -> Result:
    made = claim("cluster", f"claim-{number}", f"Something holds of thing {number}.")
    failed = number < FAILURES
    return Result(
        made,
        "failed" if failed else "passed",
        seconds=0.2,
        inspected=3,
        message=f"thing {number}: expected a, got b" if failed else "",
        mismatch=Mismatch(f"thing {number}", "a", "b") if failed else None,
        next_steps=("kubectl get things",),
        evidence="evidence " * 220 if failed else "",
        notes=("a note",),
        observations=(
            Observation(
                "image", f"istio-proxy of app{number % 40}-v1", "proxyv2:1.31.0@sha256:00"
            ),
        ),
        calls=calls,
        began=100.0 + number,
    )


def test_the_page_of_a_big_run_is_small_and_made_at_once() -> None:
    whole = big()
    page(whole)  # what is made once for all pages is not counted
    speed = yardstick()
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        html = page(whole)
        taken.append(time.perf_counter() - began)
    tracemalloc.start()
    try:
        page(whole)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert html.count("thing 299.") == 1
    assert min(taken) / speed < MOST_RATIO
    assert most < MOST_MEMORY
    assert len(html.encode()) < MOST_SIZE
