"""What a run is at right now: a line in place on a terminal, a plain line now and then elsewhere.

Waits (`fixtures.claims.waiting`) and steps (`fixtures.run.timeline`) report from any thread;
nothing here waits for them. The lines that stay are the business of `reports.terminal`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from fixtures.claims.waiting import Waiting
from fixtures.run.timeline import Step

REFRESH_SECONDS = 0.5
# What is over sooner is not worth a line: in place, it would only flicker.
BRIEF_SECONDS = 0.4
# A plain line is written when something lasts so long, and then again and again.
FIRST_SECONDS = 5.0
AGAIN_SECONDS = 30.0
PLAIN_WIDTH = 100
ERASE = "\r\x1b[2K"
INDENT = "   "


def takes_lines_in_place(out: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a line can be written over: on a terminal that is one, and not in a CI's log."""
    return out.isatty() and environment.get("TERM") != "dumb" and not environment.get("CI")


def undisturbed(out: TextIO) -> TextIO:
    """The same place by a descriptor of its own: pytest turns the usual one away in tests."""
    try:
        descriptor = os.dup(out.fileno())
    except (OSError, ValueError):  # no file, in tests of ours
        return out
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="replace")


@dataclass
class Activity:
    """Something that goes on; `due` is after how many seconds a plain line reports it next."""

    words: str
    began: float
    budget: float = 0.0
    due: float = FIRST_SECONDS

    def line(self, seconds: float, width: int = PLAIN_WIDTH) -> str:
        """The line about it after so many seconds; the time stays where words are cut."""
        time_used = f", {seconds:.0f} s" + (f" of {self.budget:.0f} s" if self.budget else "")
        room = max(width - len(time_used), 10)
        words = self.words if len(self.words) <= room else f"{self.words[: room - 1]}…"
        return words + time_used


class Live:
    """The line that shows what is waited for."""

    def __init__(self, out: TextIO, *, in_place: bool, width: int) -> None:
        self._out = out
        self._in_place = in_place
        self._width = width
        self._activities: dict[str, Activity] = {}
        self._drawn = False
        self._lock = threading.RLock()
        self._over = threading.Event()

    def begin(self) -> None:
        """Show how long things take while they do."""
        threading.Thread(target=self._refresh, daemon=True, name="live").start()

    def end(self) -> None:
        """Show no more."""
        self._over.set()
        self.clear()

    def waiting(self, waiting: Waiting) -> None:
        """Take note of how far a wait of this thread is, or that it is over."""
        key = f"wait {threading.get_ident()} {waiting.what}"
        with self._lock:
            if waiting.over:
                self._activities.pop(key, None)
                self.clear()
                return
            began = time.monotonic() - waiting.used
            known = self._activities.setdefault(key, Activity("", began))
            known.words, known.budget = " ".join(waiting.brief.split()), waiting.budget
        self.show()

    def step(self, what: str | Step) -> None:
        """Take note of a step that begins or is over."""
        with self._lock:
            if isinstance(what, str):
                self._activities[f"step {what}"] = Activity(what, time.monotonic())
                return
            self._activities.pop(f"step {what.name}", None)
            if what.seconds >= FIRST_SECONDS or not what.well:
                word = "took" if what.well else "failed after"
                self._keep(f"{what.name}: {word} {what.seconds:.0f} s")
            self.clear()

    def show(self) -> None:
        """Show what goes on now: what began last, for that is what the rest waits for."""
        now = time.monotonic()
        with self._lock:
            if not self._in_place:
                self._report_long_ones(now)
                return
            lasting = [a for a in self._activities.values() if now - a.began >= BRIEF_SECONDS]
            if lasting:
                newest = max(lasting, key=lambda activity: activity.began)
                room = self._width - len(INDENT) - 1
                self._write(ERASE + INDENT + newest.line(now - newest.began, room))
                self._drawn = True

    def clear(self) -> None:
        """Make room for a line that stays."""
        with self._lock:
            if self._drawn:
                self._write(ERASE)
                self._drawn = False

    def _report_long_ones(self, now: float) -> None:
        for activity in list(self._activities.values()):
            seconds = now - activity.began
            if seconds >= activity.due:
                activity.due = seconds + AGAIN_SECONDS
                self._keep(f"waiting: {activity.line(seconds)}")

    def _keep(self, line: str) -> None:
        """Write a line that stays."""
        self.clear()
        self._write(f"{INDENT}{line}\n")

    def _write(self, text: str) -> None:
        # A terminal that is gone must not end the run.
        with contextlib.suppress(OSError, ValueError):
            self._out.write(text)
            self._out.flush()

    def _refresh(self) -> None:
        while not self._over.wait(REFRESH_SECONDS):
            self.show()
