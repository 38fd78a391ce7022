"""However a run is ended, nothing is left running and its report says INCOMPLETE."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import eventually
from tests.golden import Golden
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
BEGINS = timeout("what was started has begun its work", 60)
ENDS = timeout("what was started is there, or has ended", 20)


@dataclass
class Started:
    """A command with all processes that come of it, known by a mark in their environment."""

    process: subprocess.Popen[str]
    mark: str
    folder: Path
    lines: list[str] = field(default_factory=list)

    def read_until(self, words: str) -> None:
        """Read its output up to a line with these words."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if words in line:
                return
        pytest.fail(f"never said {words!r}:\n{''.join(self.lines)}")

    def rest(self) -> str:
        """Its output to the end."""
        assert self.process.stdout
        return "".join(self.lines) + self.process.stdout.read()

    @property
    def alive(self) -> dict[int, str]:
        """Processes that carry the mark: their ids and commands."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    if command:
                        found[int(folder.name)] = command.decode(errors="replace")
            except (OSError, ValueError):
                continue
        return found

    def sweep(self) -> None:
        """Kill what is left."""
        for pid in self.alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def one(self, words: str) -> int:
        """Wait for a process whose command holds these words."""

        def found() -> int:
            for pid, command in self.alive.items():
                if words in command:
                    return pid
            raise ClaimFailed(words, expected="a process", got=self.alive)

        return eventually(found, within=ENDS)

    def until_there(self, path: Path) -> None:
        """Wait until a file is there."""

        def there() -> None:
            if not path.exists():
                raise ClaimFailed(str(path), expected="there", got=self.alive)

        eventually(there, within=BEGINS)

    def left_nothing(self) -> None:
        """Wait until nothing is left running."""

        def nothing_left() -> None:
            alive = self.alive
            if alive:
                raise ClaimFailed("processes", expected="none", got=alive)

        eventually(nothing_left, within=ENDS)

    def ended(self) -> dict[str, Any]:
        """Wait until nothing is left; returns the report."""
        self.left_nothing()
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return report


@contextmanager
def started(command: list[str], cwd: Path, folder: Path) -> Iterator[Started]:
    """Start a command in a process group of its own, as a terminal does."""
    mark = f"SEATRIAL_TEST_MARK={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    with subprocess.Popen(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, name: value, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
        process_group=0,
    ) as process:
        begun = Started(process, mark, folder)
        too_long = threading.Timer(120, begun.sweep)  # a test that waits for ever fails instead
        too_long.start()
        try:
            yield begun
        finally:
            too_long.cancel()
            begun.sweep()


TOX = [sys.executable, "-m", "tox", "run", "-q", "-c", str(ROOT / "tox.ini"), "-e", "smoke"]


def through_tox(work: Path) -> list[str]:
    """The smoke environment of our tox.ini, with this interpreter's packages."""
    command = f"{sys.executable} -m fixtures.run suites --profile smoke {{posargs}}"
    return [
        *TOX,
        *("--workdir", str(work / "tox")),
        *("-x", "testenv.dependency_groups="),
        *("-x", "testenv:smoke.allowlist_externals=*"),
        *("-x", f"testenv:smoke.commands={command}"),
        *("--", "--provider", "embedded", "--reports-dir", str(work / "out")),
    ]


def interrupt_as_a_terminal_does(run: Started) -> None:
    os.killpg(run.process.pid, signal.SIGINT)


def terminate(run: Started) -> None:
    run.process.send_signal(signal.SIGTERM)


def kill(run: Started) -> None:
    run.process.kill()


@pytest.mark.parametrize("end", [interrupt_as_a_terminal_does, terminate, kill])
def test_ending_tox_ends_everything(tmp_path: Path, end: Any) -> None:
    with started(through_tox(tmp_path), ROOT, tmp_path / "out") as run:
        run.one("envoy")  # tox holds lines back where there is no terminal
        end(run)
        report = run.ended()
    assert report["complete"] is False
    assert report["exit_code"] == 2
    assert report["reason"].startswith("stopped ")
    assert "INCOMPLETE" in (tmp_path / "out" / "report.html").read_text()


def test_a_cluster_that_dies_ends_the_run_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "suites", "--provider", "embedded"]
    command += ["--reports-dir", str(tmp_path)]
    with started(command, ROOT, tmp_path) as run:
        run.read_until("passed")
        os.kill(run.one("fixtures.providers.embedded"), signal.SIGKILL)
        output = run.rest()
        assert run.process.wait() == 10
        report = run.ended()
    assert "the embedded cluster ended by signal 9 during the run" in report["reason"]
    assert (report["complete"], report["exit_code"]) == (False, 10)
    assert "Traceback" not in output


SLOW = """
from fixtures.claims.waiting import pause

@pytest.fixture(scope="session")
def plain_sample(cluster):
    print("PREPARING", flush=True)
    pause(30 if {where!r} == "preparing" else 0)
    yield "sample"
    print("TAKING DOWN", flush=True)
    pause({takes} if {where!r} == "taking down" else 0)
    print("UNDONE", flush=True)
"""
SLOW_CLAIM = """
from fixtures.claims.waiting import pause
@so()
def test_a(plain_sample):
    inspected_one(1)
    print("ASKING", flush=True)
    pause(30 if {where!r} == "asking" else 0)
"""


@contextmanager
def slow_run(
    runs: SmallRuns, where: str, takes: float = 1, shown: Sequence[str] = ("-s",)
) -> Iterator[Started]:
    """A run that takes its time at one place."""
    runs.begin(world=SLOW.format(where=where, takes=takes))
    (runs.pytester.path / "suites" / "test_01_cluster.py").unlink()
    runs.claims("03_sample", SLOW_CLAIM.format(where=where))
    command = [sys.executable, "-m", "pytest", "suites", *shown, "--provider", "embedded"]
    with started(command, runs.pytester.path, runs.folder) as run:
        yield run


@pytest.mark.parametrize(
    ("number", "where", "words"),
    [
        (signal.SIGTERM, "preparing", "PREPARING"),
        (signal.SIGTERM, "asking", "ASKING"),
        (signal.SIGINT, "asking", "ASKING"),
        (signal.SIGHUP, "asking", "ASKING"),
    ],
)
def test_a_signal_takes_down_what_was_made(
    runs: SmallRuns, number: signal.Signals, where: str, words: str
) -> None:
    with slow_run(runs, where) as run:
        run.read_until(words)
        run.process.send_signal(number)
        output = run.rest()
        assert run.process.wait() == 2
        report = run.ended()
    names = {"SIGINT": "Ctrl-C"}
    assert report["reason"] == f"stopped by {names.get(number.name, number.name)}"
    assert f"{names.get(number.name, number.name)}: what this run made is being removed" in output
    assert "TAKEN DOWN" in output
    assert where == "preparing" or "UNDONE" in output
    assert "Traceback" not in output


def test_ctrl_c_is_answered_at_once_though_pytest_keeps_what_a_claim_prints(
    runs: SmallRuns,
) -> None:
    with slow_run(runs, "asking", shown=()) as run:
        run.read_until("The sample without the mesh")
        run.process.send_signal(signal.SIGINT)
        run.read_until("Ctrl-C: what this run made is being removed")


def test_ctrl_c_twice_at_once_is_ctrl_c(runs: SmallRuns) -> None:
    with slow_run(runs, "asking") as run:
        run.read_until("ASKING")
        run.process.send_signal(signal.SIGINT)
        run.process.send_signal(signal.SIGINT)
        output = run.rest()
        assert "UNDONE" in output
        assert "once more: not waited for" not in output
        assert run.ended()["reason"] == "stopped by Ctrl-C"


def test_a_signal_while_things_are_taken_down_lets_that_finish(runs: SmallRuns) -> None:
    with slow_run(runs, "taking down", takes=0.5) as run:
        run.read_until("TAKING DOWN")
        run.process.send_signal(signal.SIGTERM)
        assert "UNDONE" in run.rest()
        assert run.process.wait() == 2
        assert run.ended()["complete"] is False


def test_a_later_ctrl_c_cuts_taking_down_short(runs: SmallRuns) -> None:
    with slow_run(runs, "taking down", takes=30) as run:
        run.read_until("TAKING DOWN")

        def interrupted() -> None:
            run.process.send_signal(signal.SIGINT)
            if run.process.poll() is None:
                raise ClaimFailed("the run", expected="ended", got="running")

        eventually(interrupted, within=ENDS, every=0.5)
        output = run.rest()
        assert "TAKEN DOWN" in output
        assert "Ctrl-C once more: not waited for any longer" in output
        assert run.ended()["complete"] is False


def test_a_kept_cluster_lives_until_ctrl_c(runs: SmallRuns) -> None:
    command = [sys.executable, "-m", "pytest", "suites", "-s", "--provider", "embedded", "--keep"]
    with started(command, runs.pytester.path, runs.folder) as run:
        run.read_until("kept: export KUBECONFIG=")
        assert "TAKEN DOWN" not in "".join(run.lines)
        run.process.send_signal(signal.SIGINT)
        assert "TAKEN DOWN" in run.rest()
        assert run.process.wait() == 0
        assert run.ended()["complete"] is True


def test_a_run_whose_parent_is_gone_ends(runs: SmallRuns, golden: Golden) -> None:
    runs.begin(world=SLOW.format(where="asking", takes=0))
    (runs.pytester.path / "suites" / "test_01_cluster.py").unlink()
    runs.claims("03_sample", SLOW_CLAIM.format(where="asking"))
    command = f"{sys.executable} -m pytest suites -s --provider embedded & wait"
    with started(["/bin/sh", "-c", command], runs.pytester.path, runs.folder) as run:
        run.read_until("ASKING")
        run.process.kill()
        report = run.ended()
    golden(report["reason"])


def test_a_run_that_is_killed_leaves_an_incomplete_report(runs: SmallRuns) -> None:
    with slow_run(runs, "asking") as run:
        run.read_until("ASKING")
        run.process.kill()
        report = run.ended()
    assert report["complete"] is False
    assert "it was killed" in report["reason"]
