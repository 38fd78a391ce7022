"""The walk itself, short: what a user's machine may have set must not matter."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_companys_certificates_and_proxies_do_not_matter(tmp_path: Path) -> None:
    elsewhere = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), str(tmp_path / "none.pem"))
    elsewhere |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy"), "http://127.0.0.1:9")
    elsewhere |= {"KUBECONFIG": str(tmp_path / "none"), "NO_PROXY": "", "no_proxy": ""}
    command = [sys.executable, "-m", "pytest", "suites/test_07_gateway.py"]
    command += ["--provider", "embedded", "--reports-dir", str(tmp_path / "out")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **elsewhere},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["partial"] is True
    assert {claim["verdict"] for claim in report["claims"]} == {"passed"}
