"""An embedded cluster in a process of its own, for tests that reach it from outside."""

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# What the recorded cluster was.
VERSIONS = ("--istio-version", "1.29.6", "--kube-version", "1.34.4")
PATIENCE = 60


@dataclass(frozen=True)
class EmbeddedCluster:
    """A running embedded cluster: how to reach it, and what it said when it was ready."""

    kubeconfig: Path
    ready: dict[str, Any]


@contextmanager
def started(home: Path, *options: str) -> Iterator[EmbeddedCluster]:
    """Run an embedded cluster until the block ends."""
    kubeconfig, errors = home / "kubeconfig", home / "stderr"
    command = [sys.executable, "-m", "fixtures.providers.embedded"]
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            [*command, "--kubeconfig", str(kubeconfig), *options],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        try:
            spoke, _, _ = select.select([process.stdout], [], [], PATIENCE)
            line = process.stdout.readline() if spoke else b""
            if not line:
                pytest.fail(
                    f"the embedded cluster did not get ready: {errors.read_text()[-2000:]}"
                )
            yield EmbeddedCluster(kubeconfig, json.loads(line))
        finally:
            process.stdin.close()  # which ends it
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    """The run up to the gateway, done: Istio, the injected sample and its routes."""
    home = tmp_path_factory.mktemp("embedded")
    with started(home, *VERSIONS, "--state", "gateway") as cluster:
        yield cluster
