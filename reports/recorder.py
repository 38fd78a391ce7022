"""Writes the files of a state, on every way out: its end, a signal, bad input, a dead cluster.

From its first moment a walk has a report that says INCOMPLETE; only its end replaces that. How
each file looks is the business of the modules beside this one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from fixtures.diagnostics.plugin import FOLDER, tidy
from fixtures.providers.base import Access
from fixtures.run.state import RunState, is_suite_run, state_of
from fixtures.run.verdicts import first_line
from reports import bundle
from reports.data import as_json
from reports.html import page
from reports.junit import as_junit
from reports.model import Run, run_of
from reports.statement import as_yaml
from reports.summary import as_markdown
from reports.table import Page
from reports.terminal import answer_of

BEGUN = "the walk has begun and not ended (if nothing runs any more, it was killed)"


@pytest.hookimpl(tryfirst=True)  # before the options are checked: bad input has a report, too
def pytest_configure(config: pytest.Config) -> None:
    """Begin the report before anything can go wrong."""
    if is_suite_run(config) and not config.option.list_claims:
        state = state_of(config)
        folder = config.invocation_params.dir / config.option.reports_dir
        recorder = Recorder(state, folder, config)
        recorder.begin()
        config.add_cleanup(recorder.close)
        config.pluginmanager.register(recorder, "seatrial-recorder")
        config.pluginmanager.register(recorder.page, "seatrial-page")
        recorder.page.ask_for(config)


class Recorder:
    """The files of one state."""

    def __init__(self, state: RunState, folder: Path, config: pytest.Config) -> None:
        self.state = state
        self.folder = folder
        self.config = config
        self.redact = state.redact
        self.page = Page(folder)
        self._closed = False

    def begin(self) -> None:
        """Make room for the new report.

        Raises:
            pytest.UsageError: it cannot be written there.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.folder / FOLDER, ignore_errors=True)
            for name in (bundle.PROOF, bundle.NAME):  # an earlier run's would be taken for ours
                (self.folder / name).unlink(missing_ok=True)
            (self.folder / FOLDER).mkdir()
            self.write(run_of(self.state, exit_code=2, reason=BEGUN))
        except OSError as e:
            line = f"--reports-dir {self.folder}: cannot be written ({e.strerror})"
            raise pytest.UsageError(f"{line}; name another folder") from None

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
        if result := answer_of(report):
            state.results[result.claim.id] = result
        state.broken = {name: self.redact.of(broken) for name, broken in state.broken.items()}

    @pytest.hookimpl(trylast=True, wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Write the report when everything is taken down, and say the contract's exit code."""
        try:
            yield
        except (Exception, KeyboardInterrupt) as e:  # noqa: BLE001  # the report must be written
            self.state.notes.append(f"Not everything was taken down in order: {first_line(e)}")
        session.exitstatus = self.finish(int(session.exitstatus))

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str], session: pytest.Session) -> None:
        """Give pytest-html our page, now that everything is known."""
        self.page.fill(prefix, self._run(int(session.exitstatus)))

    def _run(self, pytests: int) -> Run:
        self.state.finish()
        return self.redact.of(run_of(self.state, exit_code=self.state.exit_code(pytests)))

    def finish(self, pytests: int) -> int:
        """Write what is known at the end; returns the exit code."""
        tidy(self.folder / FOLDER, self.state)
        run = self._run(pytests)
        self.write(run, self.page.take(self.config))
        self._closed = True
        return run.exit_code

    def close(self) -> None:
        """Write the report if the session did not get to it."""
        if not self._closed:
            self.state.stop("the walk ended before its first claim", 3)
            self.finish(0)

    def write(self, run: Run, drawn: str = "") -> None:
        """Write all files of a walk; `drawn` is its page with pytest-html's table."""
        self._replace("report.html", drawn or page(run))
        self._replace("junit.xml", as_junit(run))
        self._replace("summary.md", as_markdown(run))
        self._replace("statement.yaml", as_yaml(run))
        data = json.dumps(as_json(run), indent=2, ensure_ascii=False)
        self._replace("report.json", data + "\n")

    def _replace(self, name: str, text: str) -> None:
        """Put a file in place of the former one, whole or not at all."""
        part = self.folder / f".{name}.part"
        part.write_bytes(self.redact.text(text).encode(errors="replace"))
        part.replace(self.folder / name)
