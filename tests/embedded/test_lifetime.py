"""The embedded cluster as a process: what it prints, how it ends, and that nothing is left."""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 30
COMMAND = (sys.executable, "-m", "fixtures.providers.embedded", "--istio-version", "1.31.0")
# A parent that starts the embedded cluster, passes its line on, and waits to be killed.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
sys.stdout.buffer.write(b"%d " % child.pid + child.stdout.readline()); sys.stdout.flush()
time.sleep(60)
"""


def command(home: Path, *options: str) -> list[str]:
    return [*COMMAND, "--kubeconfig", str(home / "kubeconfig"), *options]


@contextmanager
def process(home: Path, *words: str, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **how,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line_of(running: subprocess.Popen[bytes]) -> bytes:
    assert running.stdout
    spoke, _, _ = select.select([running.stdout], [], [], PATIENCE)
    assert spoke, "it said nothing"
    return running.stdout.readline()


def inside(home: Path) -> list[int]:
    """Processes that work in a folder below this one, as the cluster's Envoys do."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            if one.name.isdigit() and (one / "cwd").readlink().is_relative_to(home):
                found.append(int(one.name))
        except OSError:
            continue
    return found


def gone(pid: int) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], PATIENCE)[0])
    finally:
        os.close(handle)


def end_input(running: subprocess.Popen[bytes]) -> None:
    assert running.stdin
    running.stdin.close()


def terminate(running: subprocess.Popen[bytes]) -> None:
    running.send_signal(signal.SIGTERM)


def interrupt(running: subprocess.Popen[bytes]) -> None:
    running.send_signal(signal.SIGINT)


@pytest.mark.parametrize("end", [end_input, terminate, interrupt])
def test_it_ends_on_a_signal_and_leaves_nothing(tmp_path: Path, end: Any) -> None:
    with process(tmp_path, *command(tmp_path, "--state", "empty"), stdin=subprocess.PIPE) as one:
        about = json.loads(line_of(one))
        assert about["ready"] is True
        kubeconfig = tmp_path / "kubeconfig"
        assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
        assert about["server"] in kubeconfig.read_text("utf-8")
        envoys = inside(tmp_path)
        assert envoys
        end(one)
        assert one.wait(PATIENCE) == 0
        assert one.stderr
        assert one.stderr.read() == b""
    assert all(map(gone, envoys))
    assert list(tmp_path.iterdir()) == [kubeconfig]


def test_it_says_what_follows_from_its_installation(tmp_path: Path) -> None:
    settings = ["revision=canary", "components.cni.enabled=true"]
    settings += ["components.egressGateways[0].enabled=false"]
    how = [f"--istio-set={one}" for one in settings]
    with process(tmp_path, *command(tmp_path, "--state", "empty", *how)) as one:
        about = json.loads(line_of(one))
    assert (about["revision"], about["absent"]) == ("canary", ["istio-egressgateway"])
    assert {"ingress-gateway", "default-tag", "writes"} <= set(about["features"])
    assert "egress-gateway" not in about["features"]
    assert any(line.startswith("istio-cni-node") for line in about["simulated"])


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    words = [sys.executable, "-c", PARENT, *command(tmp_path, "--state", "empty")]
    with process(tmp_path, *words) as parent:
        number, _, about = line_of(parent).partition(b" ")
        assert json.loads(about)["ready"] is True
        processes = [int(number), *inside(tmp_path)]
        parent.kill()
    assert all(map(gone, processes))
    assert inside(tmp_path) == []


def test_its_envoys_end_with_it_however_it_ends(tmp_path: Path) -> None:
    with process(tmp_path, *command(tmp_path, "--state", "empty")) as one:
        assert line_of(one)
        envoys = inside(tmp_path)
        assert envoys
        one.kill()
    assert all(map(gone, envoys))
    # The next one removes what this one could not.
    (left,) = tmp_path.glob("seatrial-embedded-*")
    with process(tmp_path, *command(tmp_path, "--state", "empty")) as one:
        assert line_of(one)
        assert not left.exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--istio-version", "1.2.3"), 11, "Istio 1.2.3"),
        (("--install", "magic"), 4, "only by istioctl, helm"),
        (("--istio-set", "a.b=c"), 4, "it cannot simulate a.b=c, but with: profile=demo"),
        (("--kubeconfig", "/nonexistent/file"), 4, "/nonexistent/file: its folder does not"),
        (("--kubeconfig", "/"), 4, "--kubeconfig /: is a folder; name a file to write"),
        (("--gateway-api", "newest"), 4, "a version like 1.7.0 is needed, not newest"),
        (("--kube-version", "two"), 4, "no Kubernetes version it could simulate: two"),
        (("--state", "happy"), 4, "invalid choice: 'happy'"),
    ],
    ids=[
        "istio-version",
        "install",
        "istio-set",
        "kubeconfig",
        "folder",
        "bundle",
        "kube-version",
        "state",
    ],
)
def test_what_it_cannot_do_is_one_clear_line(
    tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    done = subprocess.run(
        command(tmp_path, *options),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    last = done.stderr.decode().splitlines()[-1]
    assert (done.returncode, done.stdout) == (code, b"")
    assert words in last
    assert "Traceback" not in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []
