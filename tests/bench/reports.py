"""`python -m tests.bench.reports`: what writing all reports of a run costs, for 300 claims.

A run over a cluster that only a fixture pretends: a third of its claims fail with evidence, as on
a bad day. It prints the seconds from the last claim to the last file (pytest-html's page among
them), the most memory that the whole process held, and the seconds of bundle and compare. Ends
with 1 if it is more than may be.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reports.__main__ import main as command
from tests.bench.run import yardstick
from tests.small_runs import CONFTEST, HEAD, INI, ROOT

CLAIMS = 300
MOST_SECONDS, MOST_MIB = 2.0, 150.0
MEASURE = """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish():
    import resource, time
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    try:
        return (yield)
    finally:
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        Path({file!r}).write_text(f"{{seconds}} {{before / 1024}} {{after / 1024}}")
"""
STAGES = ("01_cluster", "02_installation", "05_webhooks")
MODULE = """
@pytest.mark.parametrize("n", range({each}))
@so("A claim about number of which there are a hundred in this stage.")
def test_so(cluster, n):
    inspected([n] * 5)
    note(f"the thing with the number {{n}} is valid for another 90 days")
    image = f"registry.example/image:{{n}}@sha256:{{n:064}}"
    record("image", f"container of {stage}-{{n}}", image)
    if n % 3 == 0:
        look = (f"kubectl -n app describe pod {{n}}",) * 3
        log = "a line of a log\\n" * 200
        failure = {{"next_steps": look, "evidence": log}}
        raise ClaimFailed(f"pod app/{{n}}", expected="ready", got="Pending", **failure)
"""


def project(folder: Path, measured: Path) -> None:
    """Lay down a suite of that many claims."""
    (folder / "suites").mkdir()
    (folder / "suites" / "ledger.txt").write_text("")
    (folder / "pytest.ini").write_text(INI.format(root=ROOT))
    measure = MEASURE.format(file=str(measured))
    (folder / "conftest.py").write_text(CONFTEST.format(evidence="conformance") + measure)
    for stage in STAGES:
        source = HEAD + MODULE.format(each=CLAIMS // len(STAGES), stage=stage)
        (folder / "suites" / f"test_{stage}.py").write_text(source)


def main(arguments: list[str] | None = None) -> int:
    """Print what it costs."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reports", description=__doc__)
    parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder, measured = Path(name), Path(name) / "measured"
        project(folder, measured)
        run = [sys.executable, "-m", "pytest", "suites", "--provider", "embedded", "-q"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(run, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=False)
        seconds, before, after = map(float, measured.read_text().split())
        out = folder / "reports" / "out"
        sizes = {
            path.name: path.stat().st_size for path in sorted(out.iterdir()) if path.is_file()
        }
        _say(f"{CLAIMS} claims, a third failed; yardstick {yardstick():.2f} s")
        _say(f"all reports: {seconds:.2f} s (at most {MOST_SECONDS:g} s)")
        _say(f"memory: {after:.0f} MiB (at most {MOST_MIB:g} MiB), {before:.0f} MiB before")
        _say(", ".join(f"{name} {size / 1024:.0f} KiB" for name, size in sizes.items()))
        for words in (
            ["bundle", "--reports-dir", str(out)],
            ["verify", str(out / "bundle.zip")],
            [
                "compare",
                str(out),
                str(out),
                "--format",
                "html",
                "--output",
                str(folder / "c.html"),
            ],
        ):
            began = time.perf_counter()
            code = command(words)
            _say(f"{words[0]}: {time.perf_counter() - began:.2f} s, exit code {code}")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _say(f"memory of these three: {most:.0f} MiB")
    return 0 if seconds <= MOST_SECONDS and after <= MOST_MIB else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
