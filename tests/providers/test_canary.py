"""Secrets that a cluster holds reach nothing that a run leaves or says."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from reports.__main__ import main
from tests.providers.canary import ENV, LOGGED, PLANTED

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Left:
    """What one run left and said.

    Attributes:
        texts: every file that it left, and its output.
        requested: what it requested of the API.
        credentials: the secrets of its kubeconfig.
    """

    folder: Path
    texts: dict[str, str]
    requested: list[str]
    credentials: list[str]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """A run over the embedded cluster, with secrets planted in it."""
    home = tmp_path_factory.mktemp("canary")
    folder, reported = home / "out", home / "told.json"
    command = [sys.executable, "-m", "pytest", "-p", "tests.providers.canary"]
    command += ["suites/test_03_sample.py", "suites/test_04_injection.py"]
    command += ["--provider", "embedded", "--reports-dir", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "CANARY": str(reported)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout
    assert main(["bundle", "--reports-dir", str(folder)]) == 0
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".zip"]
    texts = {str(path.relative_to(folder)): path.read_text() for path in files}
    with zipfile.ZipFile(folder / "bundle.zip") as archive:
        texts |= {f"bundle: {n}": archive.read(n).decode() for n in archive.namelist()}
    read = json.loads(reported.read_text())
    return Left(folder, texts | {"output": done.stdout}, read["asked"], read["credentials"])


@pytest.mark.parametrize("secret", PLANTED)
def test_no_planted_secret_is_found_anywhere(left: Left, secret: str) -> None:
    assert [name for name, text in left.texts.items() if secret in text] == []


def test_no_credential_of_the_kubeconfig_is_found_anywhere(left: Left) -> None:
    assert left.credentials
    found = [name for name, text in left.texts.items() for c in left.credentials if c in text]
    assert found == []


def test_secrets_are_never_requested(left: Left) -> None:
    assert "apply secrets" in left.requested
    assert [one for one in left.requested if "secrets" in one] == ["apply secrets"]


def test_what_was_planted_would_have_been_collected(left: Left) -> None:
    objects = left.texts["diagnostics/03-sample/bookinfons-objects.yaml"]
    assert "GREETING" in objects
    assert "example.com/note" in objects
    [log] = [
        t for n, t in left.texts.items() if n.startswith("diagnostics/03") and "details.log" in n
    ]
    assert "GET /health" in log
    assert "password=[redacted]" in log
    assert ENV not in log
    assert LOGGED not in log


def test_each_output_is_there(left: Left) -> None:
    for name in ("report.html", "report.json", "junit.xml", "summary.md", "statement.yaml"):
        assert "[redacted]" in left.texts[name] or name == "summary.md", name
        assert f"bundle: {name}" in left.texts
    assert "[redacted]" in left.texts["output"]
