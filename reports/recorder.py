"""Writes the files of a run, on every way out: its end, a signal, bad input, a dead cluster.

From its first moment a run has a report marked INCOMPLETE; only its end replaces that. A run
that is refused before it tests or makes anything leaves an earlier, complete report as it is
(`reports.earlier`). How each file looks is the business of the modules beside this one.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from fixtures.diagnostics.plugin import FOLDER, tidy
from fixtures.providers.base import Access
from fixtures.run.state import RunState, Stop, is_suite_run, state_of
from fixtures.run.verdicts import first_line
from reports import bundle, delivery, metrics
from reports.data import as_json
from reports.earlier import Earlier
from reports.guide import guide
from reports.html import page
from reports.junit import as_junit
from reports.model import Run, run_of
from reports.past import followed
from reports.statement import as_yaml
from reports.summary import as_markdown
from reports.table import DRAWN, NAME, Table
from reports.terminal import result_of

BEGUN = "the run has begun and not ended (if nothing runs any more, it was killed)"
LOCK = ".lock"
# What a run replaces when it begins; its gauges stay until there are new ones, for who reads them
# would take a run that goes on for one that failed.
NAMES = tuple({*bundle.WRITTEN, *bundle.ALSO, bundle.NAME, DRAWN} - {metrics.NAME})
# The host's fault, not the mesh's: no room for the report.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_FIT, UNSAFE = 11, 13
# With these nothing was made yet of which something could be seen.
REFUSALS = {4, 5, NOT_FIT, UNSAFE}


@pytest.hookimpl(tryfirst=True)  # before the options are checked: bad input has a report, too
def pytest_configure(config: pytest.Config) -> None:
    """Be there before anything can go wrong."""
    if is_suite_run(config) and not config.option.list_claims:
        state = state_of(config)
        folder = config.invocation_params.dir / config.option.reports_dir
        recorder = Recorder(state, folder, config)
        recorder.take_folder()
        config.add_cleanup(recorder.close)
        config.pluginmanager.register(recorder, "seatrial-recorder")
        config.pluginmanager.register(recorder.table, "seatrial-table")
        recorder.table.ask_for(config)


class Recorder:
    """The files of one run."""

    def __init__(self, state: RunState, folder: Path, config: pytest.Config) -> None:
        self.state = state
        self.folder = folder
        self.config = config
        self.redact = state.redact
        self.table = Table(folder)
        self._lock = filelock.FileLock(folder / LOCK, blocking=False)
        self._earlier = Earlier(folder, NAMES)
        self._begun = False
        self._closed = False

    def take_folder(self) -> None:
        """Hold the folder, which two runs at once would both write to.

        Raises:
            pytest.UsageError: another run holds it, or nothing can be written there.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except filelock.Timeout:
            line = f"--reports-dir {self.folder}: another run writes its report there"
            raise pytest.UsageError(f"{line}; wait for it, or name another folder") from None
        except OSError as e:
            raise self._unwritable(e) from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_seatrial_start(self) -> None:
        """Make room for the new report, now that the options are known to be good.

        Raises:
            pytest.UsageError: it cannot be written there.
        """
        try:
            self._earlier.set_aside()  # else what is left of it would be taken for ours
            (self.folder / FOLDER).mkdir()
            self.write(run_of(self.state, exit_code=2, reason=BEGUN))
        except OSError as e:
            with contextlib.suppress(OSError):
                self._earlier.put_back()
            raise self._unwritable(e) from None
        self._begun = True
        self.state.report = str(self.folder / "report.html")

    def _unwritable(self, e: OSError) -> Exception:
        self._closed = True
        line = f"--reports-dir {self.folder}: cannot be written ({e.strerror})"
        if e.errno in NO_ROOM:
            line = f"{line}; make room, or name another folder"
            return pytest.exit.Exception(line, returncode=NOT_FIT)
        return pytest.UsageError(f"{line}; name another folder")

    @pytest.hookimpl(tryfirst=True)
    def pytest_seatrial_cluster_answers(self, access: Access) -> None:
        """Know the cluster's secrets before anything can show them."""
        self.redact.learn(access.kubeconfig)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep secrets out of what the terminal shows, and of what is known from here on."""
        if isinstance(report.longrepr, str):
            report.longrepr = self.redact.text(report.longrepr)
        report.sections = [(name, self.redact.text(text)) for name, text in report.sections]
        report.user_properties = self.redact.of(report.user_properties)
        state = self.state
        state.notes[:] = map(self.redact.text, state.notes)
        if result := result_of(report):
            state.results[result.claim.id] = result
        state.broken = {name: self.redact.of(broken) for name, broken in state.broken.items()}

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Leave what is there to the end of the process: nobody needs to search it for cycles.

        pytest does, and Python itself; of a large mesh that takes as long as to write the report.
        """
        gc.freeze()

    @pytest.hookimpl(trylast=True, wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Write the report when everything is taken down, and set the contract's exit code."""
        try:
            yield
        except (Exception, KeyboardInterrupt) as e:  # noqa: BLE001  # the report must be written
            if not (isinstance(e, OSError) and e.errno in NO_ROOM):  # `finish` says that
                line = f"Not everything was taken down in order: {first_line(e)}"
                self.state.notes.append(line)
        session.exitstatus = self.finish(int(session.exitstatus))

    def _run(self, pytests: int) -> Run:
        self.state.finish()
        run = run_of(self.state, exit_code=self.state.exit_code(pytests))
        settings = self.state.settings
        history = settings.nightly.history if settings else None
        past = followed(vars(run.subject), self._earlier.found, history, besides=self.folder)
        return self.redact.of(replace(run, past=past))

    def finish(self, pytests: int) -> int:
        """Write what is known at the end, and tell whoever wants it; returns the exit code."""
        self._closed = True
        run = self._run(pytests)
        code = self._leave(run)
        if self._begun and self.state.settings:
            wanted = self.state.settings.nightly
            known = wanted.history
            folder = known if known and os.access(known, os.W_OK) else self.folder
            for line in delivery.tell(run, wanted, folder, os.environ):
                self._say(f"WARNING: {line}")
        return code

    def _leave(self, run: Run) -> int:
        """Write what is known, unless an earlier report is worth more; returns the exit code."""
        try:
            tidy(self.folder / FOLDER, self.state)
            table = self.table.take(self.config) if self._begun else ""
            if self._refused(run):
                self._earlier.put_back()
                self.state.report = (
                    f"{self.folder / 'report.html'} is {self._earlier}, left as it is"
                )
                return run.exit_code
            self.write(run, table)
            if run.complete:
                self._earlier.forget()
            elif self._earlier.started:
                self.state.report += f"\n{self._earlier.page} is {self._earlier}"
        except OSError as e:
            return self._unwritten(run, e)
        return run.exit_code

    def _unwritten(self, run: Run, e: OSError) -> int:
        """Have the verdict say that there is no report; a run without one did not pass."""
        code = run.exit_code if run.exit_code == UNSAFE else NOT_FIT
        line = f"--reports-dir {self.folder}: the report cannot be written ({e.strerror})"
        self.state.stopped = Stop(f"{line}; make room, or name another folder", code)
        self.state.report = f"{self.folder / 'report.html'} is INCOMPLETE"
        return code

    def _refused(self, run: Run) -> bool:
        """Whether this run has nothing to show that is worth the report of an earlier one."""
        if not self._earlier.started or any(result.tested for result in run.results):
            return False
        left = any(path.is_file() for path in (self.folder / FOLDER).rglob("*"))
        return run.exit_code in REFUSALS or not left

    def _say(self, line: str) -> None:
        """Tell the user where no file can."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, pytest.TerminalReporter):
            reporter.ensure_newline()
            reporter.write_line(self.redact.text(line), red=True)

    def close(self) -> None:
        """Write the report if the session did not get to it, and let the folder go."""
        if not self._closed and (self._begun or not self._earlier.is_complete):
            self.state.stop("the run ended before its first claim", 3)
            if self.finish(0) == NOT_FIT and self.state.stopped:  # no verdict is shown any more
                self._say(self.state.stopped.reason)
        self._lock.release()

    def write(self, run: Run, table: str = "") -> None:
        """Write all files of a run; `table` is pytest-html's page."""
        if table:
            self._replace(NAME, table)
        self._replace("report.html", page(run, NAME if table else "", guide(self.folder)))
        self._replace("junit.xml", as_junit(run))
        self._replace("summary.md", as_markdown(run))
        self._replace("statement.yaml", as_yaml(run))
        data = json.dumps(as_json(run), indent=2, ensure_ascii=False)
        self._replace("report.json", data + "\n")
        if run.reason != BEGUN or not (self.folder / metrics.NAME).exists():
            self._replace(metrics.NAME, metrics.as_prometheus(run))

    def _replace(self, name: str, text: str) -> None:
        """Put a file in place of the former one, whole or not at all."""
        part = self.folder / f".{name}.part"
        try:
            part.write_bytes(self.redact.text(text).encode(errors="replace"))
            part.replace(self.folder / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise
