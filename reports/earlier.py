"""The complete report of an earlier run, which a run that tests nothing must not replace.

A run that begins moves it into a folder of its own. From there it comes back if the run is refused
before its first claim, and goes once a run has a complete report again. Which files a run writes
is the recorder's business.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from reports.stored import Stored, Unreadable

FOLDER = "earlier"


class Earlier:
    """What an earlier run left in a folder for reports.

    Attributes:
        names: files and folders that belong to a report.
        started: when the run began whose complete report is kept from being replaced; else empty.
        found: the reports that stood there, complete or not.
    """

    def __init__(self, reports: Path, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self.started = ""
        self.found: tuple[Stored, ...] = ()
        self._reports = reports
        self._aside = reports / FOLDER

    def __str__(self) -> str:
        return f"the report of the run of {self.started}"

    @property
    def page(self) -> Path:
        """Where it can be read while it is set aside."""
        return self._aside / "report.html"

    @property
    def is_complete(self) -> bool:
        """Whether a complete report stands in the folder itself."""
        return any(stored.complete for stored in _read(self._reports))

    def set_aside(self) -> None:
        """Make room for a new report; only a complete one is kept."""
        latest = _read(self._reports)
        self.found = (*_read(self._aside), *latest)
        self.started = next((stored.started for stored in latest if stored.complete), "")
        if self.started:
            shutil.rmtree(self._aside, ignore_errors=True)
            self._aside.mkdir()
            _move(self.names, self._reports, self._aside)
        _remove(self.names, self._reports)

    def put_back(self) -> None:
        """Have it stand again where it stood before this run."""
        if self.started:
            _remove(self.names, self._reports)
            _move(self.names, self._aside, self._reports)
            self.forget()

    def forget(self) -> None:
        """Remove what was set aside."""
        shutil.rmtree(self._aside, ignore_errors=True)


def _read(folder: Path) -> tuple[Stored, ...]:
    """The report in a folder, if there is one."""
    try:
        return (Stored.read(folder),)
    except Unreadable:
        return ()


def _move(names: Iterable[str], source: Path, target: Path) -> None:
    for name in names:
        if (source / name).exists():
            (source / name).rename(target / name)


def _remove(names: Iterable[str], folder: Path) -> None:
    for name in names:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            (folder / name).unlink(missing_ok=True)
