"""Small runs for tests: a suite of its own over a cluster that does not really exist."""

from __future__ import annotations

import json
import sys
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
INI = """
[pytest]
strict = true
addopts = -p no:pytest-kind --import-mode=importlib
pythonpath = {root}
testpaths = suites
markers = claim(text, source, hint, level, feature, blocking, run_last, asks_istiod): a claim
"""
CONFTEST = """
from contextlib import contextmanager
from pathlib import Path
import pytest
from fixtures.providers.base import Access

pytest_plugins = [
    "fixtures.run.cluster", "fixtures.run.plan", "fixtures.run.collecting",
    "fixtures.run.gating", "fixtures.run.options",
    "reports.terminal", "reports.recorder", "fixtures.run.signals",
]

class Pretended:
    name = "embedded"

    @contextmanager
    def provide(self):
        print("PROVIDED", flush=True)
        yield Access(Path("none"), "x", "127.0.0.1", {evidence!r}, "embedded", "1.31.0", "1.35.2",
                     ("CoreDNS",), frozenset({{"node-port"}}), True, ends_with_us=True)
        print("TAKEN DOWN", flush=True)

def pytest_configure(config):
    import fixtures.run.cluster as plugin
    config.add_cleanup(lambda was=plugin.provider_for: setattr(plugin, "provider_for", was))
    plugin.provider_for = lambda settings, config: Pretended()

@pytest.fixture(scope="session")
def kube():
    return None

@pytest.fixture(scope="session")
def cluster(access):
    return access

@pytest.fixture(scope="session")
def control_plane(cluster):
    return "Istio"
"""
HEAD = """
import pytest
from fixtures.claims import *
def so(text="It is so.", **more):
    return claim(text, source="a test", hint="look", **more)
"""


@dataclass(frozen=True)
class Ended:
    """A run that ended."""

    output: str
    code: int
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        """What report.json says."""
        read: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return read

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of each claim by its id."""
        return {c["id"]: c["verdict"] for c in self.report["claims"]}

    def message(self, claim: str) -> str:
        """What is said of one claim."""
        return next(str(c["message"]) for c in self.report["claims"] if c["id"] == claim)


@dataclass(frozen=True)
class SmallRuns:
    """Runs in a folder of their own."""

    pytester: pytest.Pytester

    def begin(self, *, evidence: str = "rehearsal", world: str = "") -> SmallRuns:
        """Lay down a project whose cluster is only said to be there."""
        self.pytester.makeini(INI.format(root=ROOT))
        self.pytester.makeconftest(CONFTEST.format(evidence=evidence) + HEAD + world)
        (self.pytester.path / "suites").mkdir(exist_ok=True)
        self.ledger("")
        return self

    def ledger(self, text: str) -> None:
        """Write what the run must test; by itself it requires nothing."""
        (self.pytester.path / "suites" / "ledger.txt").write_text(text)

    def claims(self, module: str, source: str) -> None:
        """Write one stage's claims."""
        path = self.pytester.path / "suites" / f"test_{module}.py"
        path.write_text(HEAD + source)

    def run(self, *options: str, paths: tuple[str, ...] = ("suites",)) -> Ended:
        """Run in this process, in a context of its own."""
        given = (*paths, "--provider", "embedded", *options)
        with pytest.MonkeyPatch.context() as patch:
            # Other tests import the real suites; this run would take them for its own.
            for name in [name for name in sys.modules if name.partition(".")[0] == "suites"]:
                patch.delitem(sys.modules, name)
            result = copy_context().run(self.pytester.runpytest_inprocess, *given)
        return Ended(str(result.stdout) + str(result.stderr), int(result.ret), self.folder)

    @property
    def folder(self) -> Path:
        """Where its report is."""
        return self.pytester.path / "reports" / "out"
