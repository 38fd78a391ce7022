"""Each kind of what a user expects, and his own claims, are proven by faults of his own.

What is run is the example of docs/your-own-claims.md, as a user would run it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from fixtures.faults.fault import matches
from fixtures.run.own_claims import own_claims, own_faults

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "shop"
SUITE = ROOT / "suites" / "test_17_expected.py"
SECONDS = 600


def test_the_example_holds_and_each_of_its_faults_is_noticed(tmp_path: Path) -> None:
    faults = own_faults(own_claims([str(EXAMPLE)], ROOT))
    line = [sys.executable, "-m", "pytest", str(SUITE), str(EXAMPLE), "-q"]
    line += ["--config", str(EXAMPLE / "seatrial.toml"), "--provider", "embedded"]
    line += ["--profile", "conformance", "--prove", "--reports-dir", str(tmp_path / "out")]
    line += [part for fault in faults for part in ("--only-fault", fault.name)]
    done = subprocess.run(
        line,
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    for fault in faults:
        assert f"prove: ok   {fault.name}: " in done.stdout

    # A kind of table, or a claim of one's own, that no fault makes fail would prove nothing.
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    claims = [claim["id"] for claim in report["claims"]]
    assert {claim.partition("[")[0] for claim in claims} >= {
        "expected/served",
        "expected/mode",
        "expected/mutual-tls",
        "expected/reached",
        "expected/rising",
        "shop/checkout/there-is-a-book",
    }
    fails = [pattern for fault in faults for pattern in fault.fails]
    assert [claim for claim in claims if not matches(claim, fails)] == []
