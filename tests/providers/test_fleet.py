"""Many clusters audited side by side: who is refused or hangs holds up nobody."""

import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import filelock
import pytest
import yaml

from fixtures.fleet.command import main
from tests.providers.test_lifetime import ROOT, Started, started

COMMAND = [sys.executable, "-m", "fixtures.fleet"]


def kubeconfig(path: Path, **servers: str) -> Path:
    """A file with a context for each server."""
    names = list(servers)
    clusters = [
        {"server": server, "insecure-skip-tls-verify": True} for server in servers.values()
    ]
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": n, "cluster": c} for n, c in zip(names, clusters, strict=True)],
        "contexts": [{"name": n, "context": {"cluster": n, "user": "u"}} for n in names],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(body))
    return path


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refusing() -> str:
    """An address where nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param((), 13, "no context is named; say which with --contexts A,B", id="none"),
        pytest.param(("--contexts", " , "), 13, "no context is named", id="an empty list"),
        pytest.param(("--contexts-from", "empty"), 13, "empty: names no context", id="empty"),
        pytest.param(("--contexts", "a,b,a"), 4, "--contexts: a is there twice", id="twice"),
        pytest.param(
            ("--contexts", "x/y,X-y"), 4, "x/y and X-y would write to one folder, x-y", id="one"
        ),
        pytest.param(("--contexts-from", "none"), 4, "none: cannot be read (No such", id="file"),
        pytest.param(("--contexts-from", "."), 4, ": cannot be read (Is a directory)", id="dir"),
        pytest.param(("--contexts-from", "bytes"), 4, "(it is no text)", id="no text"),
        pytest.param(
            ("--contexts", "a", "--contexts-from", "empty"), 4, "both name clusters", id="both"
        ),
        pytest.param(
            ("--contexts", "a,c"), 10, "--kube-context c: unknown; there are a, b", id="c"
        ),
        pytest.param(
            ("--contexts", "a", "--kubeconfig", "none"),
            10,
            "there is no such file",
            id="kubeconfig",
        ),
        pytest.param(("--contexts", "a", "--at-once", "0"), 4, "--at-once 0: a whole", id="0"),
        pytest.param(("--contexts", "a", "--deadline", "-1"), 4, "--deadline -1: a wh", id="-1"),
        pytest.param(
            ("--contexts", "a", "--profile=smoke"), 4, "--profile: a fleet sets this", id="profile"
        ),
        pytest.param(
            ("--contexts", "a", "--allow-context", "b"), 4, "--allow-context b: unkn", id="allowed"
        ),
        pytest.param(
            ("--contexts", "a", "--reports-dir", "empty"), 4, "cannot be written", id="reports"
        ),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("# nobody\n\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    known = kubeconfig(tmp_path / "kubeconfig", a="https://127.0.0.1:1", b="https://127.0.0.1:1")
    monkeypatch.setenv("KUBECONFIG", str(known))
    assert main(options) == code
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_one_that_hangs_and_one_that_is_refused_hold_up_nobody(
    tmp_path: Path, silent: str, refusing: str
) -> None:
    file = kubeconfig(tmp_path / "k", hangs=silent, gone=refusing)
    out = tmp_path / "out"
    command = [*COMMAND, "--kubeconfig", str(file), "--contexts", "hangs,gone"]
    command += ["--at-once", "2", "--deadline", "60", "--reports-dir", str(out)]
    with started(command, ROOT, out / "hangs") as run:
        output = run.rest()
        assert run.process.wait() == 10
        run.left_nothing()
    data: Any = json.loads((out / "fleet.json").read_text())
    assert {one["name"]: one["exit_code"] for one in data["clusters"]} == {
        "gone": 10,
        "hangs": 10,
    }
    assert data["complete"]
    assert "2 clusters: 2 without a verdict." in output
    assert all((out / name / "report.html").exists() for name in ("hangs", "gone"))


def test_what_a_run_does_not_know_is_told_for_each(tmp_path: Path, refusing: str) -> None:
    file = kubeconfig(tmp_path / "k", a=refusing)
    command = [*COMMAND, "--kubeconfig", str(file), "--contexts", "a", "--reports-dir"]
    with started([*command, str(tmp_path / "out"), "--pateince", "2"], ROOT, tmp_path) as run:
        output = run.rest()
        assert run.process.wait() == 4
    assert "a: No report, python -m pytest: error: unrecognized arguments: --pateince 2" in output


def hanging(tmp_path: Path, silent: str, *options: str) -> tuple[list[str], Path]:
    """A fleet of two clusters that never answer, one place."""
    file, out = kubeconfig(tmp_path / "k", a=silent, b=silent), tmp_path / "out"
    words = ("--kubeconfig", str(file), "--contexts", "a,b", "--at-once", "1", *options)
    return [*COMMAND, *words, "--reports-dir", str(out)], out


def of(run: Started, out: Path) -> Any:
    """What its page says as data, once nothing is left of it."""
    run.left_nothing()
    return json.loads((out / "fleet.json").read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_the_page_says_so(
    tmp_path: Path, silent: str, number: signal.Signals
) -> None:
    command, out = hanging(tmp_path, silent)
    with started(command, ROOT, out / "a") as run:
        run.until_there(out / "a" / "report.json")
        run.process.send_signal(number)
        assert run.process.wait() == 2
        data = of(run, out)
    assert (data["complete"], data["reason"]) == (False, f"stopped by {number.name}")
    reasons = {one["name"]: one["reason"] for one in data["clusters"]}
    assert reasons["a"] == f"the fleet was stopped by {number.name}"
    assert reasons["b"] == f"not audited: the fleet was stopped by {number.name}"
    assert json.loads((out / "a" / "report.json").read_text())["reason"] == "stopped by SIGTERM"
    assert "INCOMPLETE" in (out / "fleet.html").read_text()


def test_a_fleet_that_is_killed_leaves_nothing_running(tmp_path: Path, silent: str) -> None:
    command, out = hanging(tmp_path, silent)
    with started(command, ROOT, out / "a") as run:
        run.one("fixtures.run suites")
        run.until_there(out / "a" / "report.json")
        run.process.kill()
        data = of(run, out)
    assert data["reason"].startswith("the fleet has begun and not ended")


def test_the_deadline_ends_one_and_the_next_begins(tmp_path: Path, silent: str) -> None:
    command, out = hanging(tmp_path, silent, "--deadline", "1")
    with started(command, ROOT, out / "b") as run:
        assert run.process.wait() == 2
        data = json.loads((out / "fleet.json").read_text())
    assert {one["reason"] for one in data["clusters"]} == {"stopped after 1 s (--deadline)"}
    assert data["complete"]


def test_two_fleets_do_not_share_a_folder(
    tmp_path: Path, refusing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = kubeconfig(tmp_path / "k", a=refusing), tmp_path / "out"
    out.mkdir()
    with filelock.FileLock(out / ".lock"):
        words = ["--contexts", "a", "--kubeconfig", str(file), "--reports-dir", str(out)]
        assert main(words) == 4
    assert "another fleet writes its page there" in capsys.readouterr().err
