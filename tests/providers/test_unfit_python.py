"""Where the suite cannot run, whatever starts it says so in one line and with the host's code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRETEND = "import runpy, sys; {}; sys.argv = {!r}; runpy.run_module({!r}, run_name='__main__')"
UNFIT = [
    pytest.param(
        "sys.version_info = (3, 10, 13, 'final', 0)", "needs Python 3.11 or newer", id="3.10"
    ),
    pytest.param("sys.platform = 'win32'", "on Windows run it inside WSL2", id="Windows"),
]
STARTS = [
    pytest.param(("fixtures.providers", "clean"), id="clean"),
    pytest.param(("fixtures.providers.embedded", "--help"), id="embedded"),
    pytest.param(("fixtures.faults.matrix", "--help"), id="matrix"),
]


def pretended(machine: str, *command: str) -> subprocess.CompletedProcess[str]:
    code = PRETEND.format(machine, list(command), command[0])
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("machine", "words"), UNFIT)
@pytest.mark.parametrize("command", STARTS)
def test_one_line_and_no_traceback(machine: str, words: str, command: tuple[str, ...]) -> None:
    ended = pretended(machine, *command)
    assert (ended.returncode, ended.stdout) == (11, "")
    [line] = ended.stderr.splitlines()
    assert words in line


def test_pytest_says_it_before_anything_is_collected(tmp_path: Path) -> None:
    # Pytest is loaded by then, as it is there: what is pretended begins with our own code.
    (tmp_path / "pretend.py").write_text(
        "import sys\nsys.version_info = (3, 10, 13, 'final', 0)\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "pretend", "suites", "--list-claims"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 11
    [line] = ended.stderr.splitlines()
    assert "needs Python 3.11 or newer" in line
