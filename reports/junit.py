"""junit.xml: claims as cases, stages as suites; nothing that was not shown to be so looks green.

Pytest's own --junitxml is empty, hence green, when a run is aborted: this one has a failing case,
as it has for every other reason for which a run ends with an exit code that is not 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree as ET

from fixtures.run.state import Result
from reports.failures import Failure, unprepared
from reports.model import Run, StageRun

# What XML 1.0 cannot hold, however escaped.
UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
GONE = "required by the ledger, and not among the claims of this run"
ASK = "Was it renamed, deleted, or left out by a plugin? If it is meant to go: tox -e docs."
TAGS = {"failed": "failure", "blocked": "error", "error": "error", "not-claimed": "skipped"}
BAD = ("failure", "error")


def as_junit(run: Run) -> str:
    """The run as JUnit XML."""
    top = ET.Element("testsuites", name=f"seatrial: {run.headline}", time=f"{run.seconds:.3f}")
    top.extend(_suite(stage, run) for stage in run.stages)
    top.extend(_unprepared(run))
    top.extend(_of_the_run(run))
    if run.exit_code and not any(case.find(tag) is not None for case in top.iter() for tag in BAD):
        why = f"exit code {run.exit_code}: {run.why or 'see report.html'}"
        top.append(_with_counts("00 run", [_synthetic("the run is good", "exit code", why)]))
    for count in ("tests", "failures", "errors"):  # Jenkins' schema knows no "skipped" here
        top.set(count, str(sum(int(suite.get(count, "0")) for suite in top)))
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, "unicode") + "\n"


def _suite(stage: StageRun, run: Run) -> ET.Element:
    title = f"{stage.stage.number:02} {stage.stage.name}"
    cases = [_case(result, run.failures) for result in stage.results]
    suite = _with_counts(title, cases, sum(result.seconds for result in stage.results))
    suite.set("timestamp", run.started.isoformat(timespec="seconds"))
    properties = ET.Element("properties")
    subject = run.subject
    held = {"istio": subject.istio, "kubernetes": subject.kubernetes}
    held |= {"provider": subject.provider, "evidence": subject.evidence}
    held |= {"data_plane": subject.data_plane}
    for name, value in held.items():
        ET.SubElement(properties, "property", name=name, value=value)
    suite.insert(0, properties)
    return suite


def _unprepared(run: Run) -> Iterator[ET.Element]:
    """Each preparation that failed, once; the claims that it blocks only name it."""
    cases = [
        _synthetic(
            unprepared(broken.stage),
            "preparation",
            "\n".join((broken.cause, *(f"next: {command}" for command in broken.next_steps))),
        )
        for broken in (stage.broken for stage in run.stages)
        if broken and broken.by_preparation
    ]
    if cases:
        yield _with_counts("00 preparations", cases)


def _of_the_run(run: Run) -> Iterator[ET.Element]:
    """What is wrong with the run itself: it did not end, or did not test what it must."""
    if not run.complete:
        yield _with_counts("00 run", [_synthetic("the run is complete", "INCOMPLETE", run.reason)])
    if run.missing:
        cases = [_synthetic(name, "missing", f"{name} is {GONE}. {ASK}") for name in run.missing]
        yield _with_counts("00 ledger", cases)


def _synthetic(name: str, kind: str, why: str) -> ET.Element:
    case = ET.Element("testcase", classname="seatrial", name=name, time="0.000")
    _say(case, "error", kind, why)
    return case


def _with_counts(name: str, cases: list[ET.Element], seconds: float = 0.0) -> ET.Element:
    suite = ET.Element("testsuite", name=name, tests=str(len(cases)), time=f"{seconds:.3f}")
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _of_its_cause(result: Result, failures: Iterable[Failure]) -> Iterator[str]:
    """What else does not pass because of the same; of all but the first claim, which that is."""
    for failure in failures:
        if failure.id == result.claim.id:
            yield from (f"of the same cause: {name}" for name in failure.others)
            yield from [failure.blocks] if failure.blocked else []
        elif result in failure.claims:
            first, _, _ = failure.message.partition("\n")
            yield f"of the same cause as {failure.id}: {first}"


def _case(result: Result, failures: Iterable[Failure]) -> ET.Element:
    stage, _, name = result.claim.id.partition("/")
    case = ET.Element(
        "testcase", classname=f"seatrial.{stage}", name=name, time=f"{result.seconds:.3f}"
    )
    if result.verdict != "passed":
        tag = TAGS[result.verdict]
        kind = result.verdict if result.tested else "not tested"
        parts = [result.claim.text, "", result.message]
        parts += [f"next: {command}" for command in result.next_steps]
        parts += [f"hint: {result.hint}"] if result.verdict == "failed" else []
        parts += _of_its_cause(result, failures)
        _say(case, tag, kind, result.message, "\n".join(parts))
    if result.notes:
        ET.SubElement(case, "system-out").text = _clean("\n".join(result.notes))
    return case


def _say(case: ET.Element, tag: str, kind: str, message: str, text: str = "") -> None:
    first = _clean(message.partition("\n")[0])
    element = ET.SubElement(case, tag, message=first)
    if tag != "skipped":
        element.set("type", kind)
    element.text = _clean(text or message)


def _clean(text: str) -> str:
    return UNPRINTABLE.sub("�", text)
