"""junit.xml: claims as cases, stages as suites; nothing that was not shown to be so looks green.

Pytest's own --junitxml is empty, hence green, when a run is aborted: this one has a failing case.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from fixtures.walk import Answer
from reports.model import Run, StageRun

# What XML 1.0 cannot hold, however escaped.
UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TAGS = {"failed": "failure", "blocked": "error", "error": "error", "not-claimed": "skipped"}


def as_junit(run: Run) -> str:
    """The walk as JUnit XML."""
    top = ET.Element("testsuites", name=f"seatrial: {run.headline}", time=f"{run.seconds:.3f}")
    top.extend(_suite(stage, run) for stage in run.stages)
    if not run.complete:
        top.append(_incomplete(run))
    for count in ("tests", "failures", "errors", "skipped"):
        top.set(count, str(sum(int(suite.get(count, "0")) for suite in top)))
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, "unicode") + "\n"


def _suite(stage: StageRun, run: Run) -> ET.Element:
    title = f"{stage.stage.number:02} {stage.stage.name}"
    cases = [_case(answer) for answer in stage.answers]
    suite = _with_counts(title, cases, sum(answer.seconds for answer in stage.answers))
    suite.set("timestamp", run.started.isoformat(timespec="seconds"))
    properties = ET.Element("properties")
    subject = run.subject
    held = {"istio": subject.istio, "kubernetes": subject.kubernetes}
    held |= {"provider": subject.provider, "evidence": subject.evidence}
    for name, value in held.items():
        ET.SubElement(properties, "property", name=name, value=value)
    suite.insert(0, properties)
    return suite


def _incomplete(run: Run) -> ET.Element:
    case = ET.Element("testcase", classname="seatrial", name="the walk is complete", time="0.000")
    _say(case, "error", "INCOMPLETE", run.reason)
    return _with_counts("00 walk", [case], 0.0)


def _with_counts(name: str, cases: list[ET.Element], seconds: float) -> ET.Element:
    suite = ET.Element("testsuite", name=name, tests=str(len(cases)), time=f"{seconds:.3f}")
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _case(answer: Answer) -> ET.Element:
    stage, _, name = answer.claim.id.partition("/")
    case = ET.Element(
        "testcase", classname=f"seatrial.{stage}", name=name, time=f"{answer.seconds:.3f}"
    )
    if answer.verdict != "passed":
        tag = TAGS[answer.verdict]
        kind = answer.verdict if answer.asked else "not asked"
        parts = [answer.claim.text, "", answer.message]
        parts += [f"look further: {command}" for command in answer.look]
        parts += [f"hint: {answer.claim.hint}"] if answer.verdict == "failed" else []
        _say(case, tag, kind, answer.message, "\n".join(parts))
    if answer.notes:
        ET.SubElement(case, "system-out").text = _clean("\n".join(answer.notes))
    return case


def _say(case: ET.Element, tag: str, kind: str, message: str, text: str = "") -> None:
    first = _clean(message.partition("\n")[0])
    element = ET.SubElement(case, tag, message=first)
    if tag != "skipped":
        element.set("type", kind)
    element.text = _clean(text or message)


def _clean(text: str) -> str:
    return UNPRINTABLE.sub("�", text)
