"""How audits run side by side: places, deadlines, and what their processes say at the end."""

import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.fleet.audits import Audit, Ended, run

SAYS = "print('x'); raise SystemExit('a: error: token: abcdefghijklmnopqrstuvwxyz')"


@dataclass(frozen=True)
class Posed(Audit):
    """A process of our own in the place of a run."""

    code: str = ""

    @property
    def command(self) -> list[str]:
        """What is started."""
        return [sys.executable, "-c", self.code]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give the signals back, which a fleet keeps until its process ends."""
    held = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    held[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)
    yield
    for number, handler in held.items():
        signal.signal(number, handler)


def ended(folder: Path, deadline: float, **codes: str) -> list[Ended]:
    """The posed audits in the order in which they ended, with one place for all."""
    told: list[Ended] = []
    audits = [Posed(name, folder / name, (), code) for name, code in codes.items()]
    done = run(audits, at_once=1, deadline=deadline, tell=told.append)
    assert {one.audit.name for one in done.ended} == {*codes}
    assert done.stopped == ""
    return told


def test_one_that_hangs_gives_its_place_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixtures.fleet.audits.PLACE_SECONDS", 0.05)
    done = tmp_path / "done"
    waits = f"import os, time\nwhile not os.path.exists({str(done)!r}): time.sleep(0.05)"
    told = ended(tmp_path, 60, hangs=waits, next=f"open({str(done)!r}, 'w')")
    # The first one ends only if the next one ran beside it; which is told first is open.
    assert {(one.audit.name, one.code) for one in told} == {("next", 0), ("hangs", 0)}


def test_one_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixtures.fleet.audits.GRACE_SECONDS", 0.05)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile 1: signal.pause()"
    [one] = ended(tmp_path, 1, deaf=deaf)
    assert (one.code, one.why) == (2, "stopped after 1 s (--deadline)")


def test_what_a_process_says_at_its_end_is_told_without_secrets(tmp_path: Path) -> None:
    [one] = ended(tmp_path, 60, a=SAYS)
    assert (one.code, one.why) == (1, "a: error: token: [redacted]")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    [one] = ended(tmp_path, 60, a="")
    assert one.code == 4
    assert one.why == f"{tmp_path / 'a'}: cannot be written (File exists)"
