"""A run that is ended at any of its stages says INCOMPLETE in every file."""

from xml.etree import ElementTree as ET

import pytest
import yaml

from fixtures.run.stages import STAGES, Stage
from tests.small_runs import Ended, SmallRuns

pytest_plugins = ["pytester"]

WORLD = """
import os, signal
from fixtures.run.signals import stop_of

def nothing(name):
    @pytest.fixture(scope="session", name=name)
    def prepare(request):
        abort("preparing", name, request.config)
        return name
    return prepare

{preparations}

@pytest.fixture
def asking(request):
    return lambda stage: abort("asking", stage, request.config)

def pytest_runtest_logfinish(nodeid):
    abort("reporting", nodeid, None)

def abort(where, what, config):
    if where != {where!r} or {what!r} not in what:
        return
    if {how!r} == "Ctrl-C":
        os.kill(os.getpid(), signal.SIGINT)
    if {how!r} == "the cluster died":
        stop_of(config)("the cluster died", 10)
    raise RuntimeError("our own mistake")
"""
CLAIM = "@so()\ndef test_a({prepared}asking):\n    inspected_one(1)\n    asking('{stage}')\n"
WAYS = [
    pytest.param("preparing", "Ctrl-C", 2, "stopped by Ctrl-C", id="Ctrl-C while preparing"),
    pytest.param("asking", "Ctrl-C", 2, "stopped by Ctrl-C", id="Ctrl-C while asking"),
    pytest.param("preparing", "the cluster died", 10, "the cluster died", id="dead, preparing"),
    pytest.param("asking", "the cluster died", 10, "the cluster died", id="dead, asking"),
    pytest.param("reporting", "a mistake", 3, "internal error", id="internal error"),
]


def aborted(pytester: pytest.Pytester, stage: Stage, where: str, how: str) -> Ended:
    """A run of one claim a stage, ended in this one."""
    what = {"preparing": stage.preparation, "asking": stage.name}.get(
        where, f"_{stage.number:02}_"
    )
    names = [one.preparation for one in STAGES if one.preparation]
    preparations = "\n".join(f"{name} = nothing({name!r})" for name in names)
    world = WORLD.format(where=where, what=what, how=how, preparations=preparations)
    runs = SmallRuns(pytester).begin(world=world)
    for one in STAGES:
        prepared = f"{one.preparation}, " if one.preparation else ""
        source = CLAIM.format(prepared=prepared, stage=one.name)
        runs.claims(f"{one.number:02}_{one.name.replace('-', '_')}", source)
    return runs.run()


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize(("where", "how", "code", "reason"), WAYS)
def test_a_run_that_is_ended_is_incomplete(
    pytester: pytest.Pytester, stage: Stage, where: str, how: str, code: int, reason: str
) -> None:
    if where == "preparing" and not stage.preparation:
        where = "asking"  # it is ready when what it needs is
    ended = aborted(pytester, stage, where, how)
    report = ended.report
    assert ended.code == report["exit_code"] == code
    assert report["complete"] is False
    assert report["headline"] == "INCOMPLETE"
    assert reason in report["reason"]
    at = STAGES.index(stage) + (where == "reporting")
    assert [c["asked"] for c in report["claims"]] == [n < at for n in range(len(STAGES))]

    top = ET.parse(ended.folder / "junit.xml").getroot()
    error = top.find("testsuite[@name='00 run']/testcase[@name='the run is complete']/error")
    assert error is not None
    assert reason in str(error.text)
    left = len(STAGES) - at
    assert top.get("errors") == str(left + 1)

    statement = yaml.safe_load((ended.folder / "statement.yaml").read_text())
    assert statement["result"] == "incomplete"
    assert (ended.folder / "summary.md").read_text().startswith("# Seatrial: INCOMPLETE\n")
    assert "INCOMPLETE" in (ended.folder / "report.html").read_text()
