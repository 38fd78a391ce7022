"""The run itself, short: what a user's machine may have set must not matter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


FOLDER = "a folder"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "there is no such file", id="missing"),
        pytest.param("{: no", "is not YAML", id="no YAML"),
        pytest.param(FOLDER, "is a folder; name the file in it", id="a folder"),
    ],
)
def test_a_kubeconfig_that_cannot_be_read_is_one_line(
    tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "kubeconfig"
    if content == FOLDER:
        file.mkdir()
    elif content is not None:
        file.write_text(content)
    command = [sys.executable, "-m", "pytest", "suites", "--provider", "existing"]
    command += ["--kubeconfig", str(file), "--kube-context", "c", "--reports-dir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert json.loads((tmp_path / "report.json").read_text())["exit_code"] == 10
    [line] = [one for one in done.stdout.splitlines() if words in one][:1]
    assert str(file) in line
    assert "Traceback" not in done.stdout + done.stderr
