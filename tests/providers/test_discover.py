"""A container engine is one that answers, not one whose command is installed."""

from pathlib import Path

import pytest

from fixtures.providers import discover
from fixtures.providers.discover import Engine, NoEngine, find_engine


@pytest.mark.parametrize(
    ("script", "found"),
    [
        pytest.param("echo 28.1.0", Engine("docker", "28.1.0"), id="a server answers"),
        pytest.param(
            "echo 'Cannot connect' >&2; exit 1",
            NoEngine("docker is installed, but its server does not answer"),
            id="no server",
        ),
        pytest.param(
            "echo 'permission denied while trying to connect' >&2; exit 1",
            NoEngine(
                "docker is installed, but this user may not use its server (permission denied)"
            ),
            id="no right",
        ),
        pytest.param(
            "echo",
            NoEngine("docker is installed, but its server does not answer"),
            id="no server, and no exit code either",
        ),
        pytest.param(
            "exec tail -f /dev/null",
            NoEngine("docker is installed, but its server did not answer within 0.2 s"),
            id="silence",
        ),
    ],
)
def test_the_server_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: Engine | NoEngine
) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(discover, "ANSWERS_SECONDS", 0.2)
    assert find_engine() == found


def test_without_a_command_there_is_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_engine() == NoEngine("no docker or podman on the PATH")
