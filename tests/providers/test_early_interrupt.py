"""Ctrl-C before the run began is one line and exit code 2, whatever is imported right then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import Golden

ROOT = Path(__file__).parents[2]
# Presses Ctrl-C at the moment in which a module is imported.
PRESSED = """
import os, signal, sys

def press(event, arguments):
    at = os.environ["PRESS_AT"]
    imported = event == "import" and arguments[0] == at
    read = event == "open" and at.endswith(".") and at in str(arguments[0])
    if imported or read:
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(press)
"""
STARTS = [
    pytest.param("fixtures.run", "_pytest.config", id="tox, pytest"),
    pytest.param("fixtures.run", "jinja2", id="tox, a plugin of pytest"),
    pytest.param("fixtures.run", "tenacity", id="tox, a library of ours"),
    pytest.param("pytest", "fixtures.run.timeline", id="pytest, a plugin of ours"),
    pytest.param("pytest", "reports.terminal", id="pytest, the last plugin of ours"),
]


def pressed(tmp_path: Path, module: str, at: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "sitecustomize.py").write_text(PRESSED)
    ours = {"PYTHONPATH": str(tmp_path), "PRESS_AT": at, "TMPDIR": str(tmp_path)}
    reports = tmp_path / "reports"
    command = [sys.executable, "-m", module, "suites", "--provider", "embedded"]
    return subprocess.run(
        [*command, f"--reports-dir={reports}", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, **ours, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("module", "at"), STARTS)
def test_ctrl_c_while_importing_is_one_line(
    tmp_path: Path, module: str, at: str, golden: Golden
) -> None:
    ended = pressed(tmp_path, module, at)
    assert (ended.returncode, ended.stdout) == (2, "")
    [line] = ended.stderr.split("\n")[1:-1]
    golden(line)
    assert [path.name for path in tmp_path.iterdir()] == ["sitecustomize.py"]


def test_ctrl_c_while_collecting_is_the_runs_own(tmp_path: Path) -> None:
    ended = pressed(tmp_path, "fixtures.run", "test_05_webhooks.")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "INCOMPLETE: stopped by Ctrl-C" in ended.stdout


@pytest.mark.parametrize(
    ("command", "at"),
    [
        (("fixtures.providers.embedded", "--istio-version=1.31", "--kubeconfig=kc"), "asyncio"),
        (("fixtures.providers", "clean"), "tenacity"),
        (("fixtures.faults.matrix",), "concurrent.futures"),
        (("reports", "compare", "a", "b"), "jinja2"),
    ],
    ids=["embedded", "clean", "matrix", "compare"],
)
def test_ctrl_c_is_no_traceback_of_any_command(
    tmp_path: Path, command: tuple[str, ...], at: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(PRESSED)
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PRESS_AT": at},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode != 0
    assert (ended.stdout, ended.stderr) == ("", "\nCtrl-C: stopped.\n")
