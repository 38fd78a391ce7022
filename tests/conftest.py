"""What all tests of the suite stand on: signals, no unlisted skip, and how cores are shared."""

import os
import re
import signal
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from fixtures.claims.deadlines import Deadline
from tests import golden as sentences

# The only reasons for which a test may be skipped, each with why it cannot be mended here.
SKIPS = {
    "needs upstream's own files": "other people's text stays outside; it lies beside the checkout",
    "needs Chromium": "a browser is in no package index; .ci/run installs one",
    "no kubectl on the PATH": "it is in no package index; CI's machines have it",
    "no helm on the PATH": "the same; docs/deploy/chart is rendered where it is",
    "needs Prometheus and promtool": "they are in no package index; .ci/run installs them",
    "makes real clusters": "takes minutes and a container engine; CONTRIBUTING.md says how",
    "needs a container engine": "was asked for by that setting, on a machine without one",
}


# Folders whose tests wait longest for what they start; where they came last, one worker would run
# them while the others had nothing left.
FIRST = ("prove", "providers", "embedded", "judge")


# Factors of `wait_policy` by which only tests shorten their waits.
HURRIED = 0.001


@pytest.fixture(autouse=True)
def _nothing_is_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cluster needs at least, no recorded one does: who hurries so waits for nothing."""
    scaled = Deadline.scaled

    def hurried(deadline: Deadline, factor: float) -> Deadline:
        least = timedelta(0) if factor == HURRIED else deadline.least
        return replace(scaled(replace(deadline, least=least), factor), least=deadline.least)

    monkeypatch.setattr(Deadline, "scaled", hurried)


@pytest.hookimpl(optionalhook=True)  # a run of the suite may load this without xdist
def pytest_xdist_auto_num_workers() -> int:
    """Two workers a core: most of the time a test waits for processes that it started."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have workers begin with what takes longest; tox keeps xdist from sorting files anew."""
    if hasattr(config, "workerinput"):
        order = {folder: number for number, folder in enumerate(FIRST)}
        items.sort(key=lambda item: order.get(item.path.parent.name, len(FIRST)))


WRITTEN = pytest.StashKey[sentences.Sentences]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--write-golden`: what a test compares with a whole sentence is taken to be right."""
    text = "write the sentences of the tests that run anew, and print the difference"
    parser.addoption("--write-golden", action="store_true", help=text)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Iterator[sentences.Golden]:
    """Compare a text with the next sentence of this test in `tests/golden/sentences.yaml`."""
    test = request.node.nodeid.removeprefix("tests/").partition("[")[0]
    known, compared = sentences.read().get(test, []), list[str]()

    def compare(text: str) -> None:
        compared.append(text)
        if not request.config.getoption("--write-golden"):
            assert [text] == known[len(compared) - 1 :][:1], "a wording: see tests/golden"

    yield compare
    if request.config.getoption("--write-golden"):
        request.config.stash.setdefault(WRITTEN, {})[test] = compared
    else:
        assert len(compared) == len(known), "tests/golden holds more than was compared"


def pytest_configure(config: pytest.Config) -> None:
    """Hear Ctrl-C and hang-ups, which what a CI starts in the background ignores.

    Runs honour an ignored signal, as under nohup; those that tests start and end by signals
    inherit ours.

    Raises:
        UsageError: sentences cannot be written by several workers.
    """
    if config.getoption("--write-golden") and config.getoption("numprocesses", default=None):
        raise pytest.UsageError("--write-golden: one process writes; run it without -n")
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is skipped for a reason that nobody listed fails: it hides a gap."""
    report = yield
    if why := unlisted(report):
        report.outcome = "failed"
        report.longrepr = f"skipped, and tests/conftest.py does not list why: {why}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself whole."""
    report = yield
    if why := unlisted(report):
        report.outcome = "failed"
        report.longrepr = f"skipped, and tests/conftest.py does not list why: {why}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end how many tests were skipped for which listed reason, and why that is."""
    if changes := terminalreporter.config.stash.get(WRITTEN, None):
        terminalreporter.write_line(sentences.written(changes))
    reports = terminalreporter.stats.get("skipped", [])
    for reason, why in SKIPS.items():
        if count := sum(reason in str(report.longrepr) for report in reports):
            terminalreporter.write_line(f"skipped {count}: {reason} ({why})")


def unlisted(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The reason of a skip that is not on the list; empty otherwise."""
    if not report.skipped or not isinstance(report.longrepr, tuple) or hasattr(report, "wasxfail"):
        return ""
    why = re.sub("^Skipped: ", "", report.longrepr[2])
    return "" if why.startswith(tuple(SKIPS)) else why
