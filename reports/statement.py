"""statement.yaml: what a run shows of its subject, after the Gateway API's ConformanceReport.

To be attached to a release and read by machines. Only a run over a real cluster makes a
`ConformanceReport`, and only a whole and good one reads `result: conformant`; one over
the embedded cluster is a `RehearsalReport`, whose result never is. What went on in the run is
report.json's business.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

from fixtures.run.state import Result, Verdict
from reports.failures import Failure
from reports.model import Run

API_VERSION = "seatrial.example/v1"
KINDS = {"conformance": "ConformanceReport", "rehearsal": "RehearsalReport"}
NOTHING = "NoReport"
GOOD = {"ConformanceReport": "conformant", "RehearsalReport": "rehearsal passed"}
BAD = {"ConformanceReport": "not conformant", "RehearsalReport": "rehearsal failed"}
LEVELS = ("core", "extended")
COUNTED: dict[Verdict, str] = {
    "passed": "Passed",
    "failed": "Failed",
    "blocked": "Blocked",
    "error": "Error",
    "not-claimed": "NotClaimed",
}


def as_yaml(run: Run) -> str:
    """The statement's text."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # in C where it is there
    data = statement(run)
    text: str = yaml.dump(data, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000)
    return text


def statement(run: Run) -> dict[str, Any]:
    """The statement as plain data."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind(run),
        "date": run.begun,
        "result": result(run),
        "summary": run.sentence,
        "subject": _subject(run),
        "profiles": [_profile(run)] if run.subject.profile else [],
        "reproduce": {"suite": run.suite, "command": run.command},
    }


def kind(run: Run) -> str:
    """What it is: decided by the evidence alone."""
    return KINDS.get(run.subject.evidence, NOTHING)


def result(run: Run) -> str:
    """The verdict in a word or two."""
    what = kind(run)
    if not run.complete or what == NOTHING:
        return "incomplete"
    if not run.good or run.subject.fault:
        return BAD[what]
    return "partial" if run.partial else GOOD[what]


def _subject(run: Run) -> dict[str, Any]:
    subject = run.subject
    data = {
        "istio": subject.istio,
        "kubernetes": subject.kubernetes,
        "dataPlane": subject.data_plane,
        "provider": subject.provider,
        "evidence": subject.evidence,
        "images": run.seen.get("image", {}),
        "features": list(subject.features),
    }
    data |= {"posed": list(subject.simulated)} if subject.simulated else {}
    return data | ({"fault": subject.fault} if subject.fault else {})


def _profile(run: Run) -> dict[str, Any]:
    name = run.subject.profile
    data: dict[str, Any] = {"name": name}
    for level in LEVELS:
        results = [a for a in run.results if a.claim.level == level]
        if results:
            counts = Counter(result.verdict for result in results)
            statistics = {word: counts[verdict] for verdict, word in COUNTED.items()}
            data[level] = {"result": _level_result(counts), "statistics": statistics}
    wrong = [a for a in run.results if a.verdict not in {"passed", "not-claimed"}]
    unclaimed = [a for a in run.results if a.verdict == "not-claimed"]
    data["missing"] = list(run.missing)
    data["preparationsFailed"] = [
        {"stage": broken.stage.name, "reason": broken.cause}
        for broken in (stage.broken for stage in run.stages)
        if broken and broken.by_preparation
    ]
    data["causes"] = [_cause(failure) for failure in run.failures]
    data["failed"] = [_wrong(a) for a in wrong if a.verdict != "blocked"]
    data["blocked"] = [_wrong(a) for a in wrong if a.verdict == "blocked"]
    data["notClaimed"] = [{"claim": a.claim.id, **_why(a)} for a in unclaimed]
    data["passed"] = [a.claim.id for a in run.results if a.verdict == "passed"]
    return data


def _cause(failure: Failure) -> dict[str, Any]:
    """One cause with all that does not pass because of it, by ids."""
    return {
        "shownBy": failure.id,
        "reason": failure.message.partition("\n")[0],
        "alsoFails": list(failure.others),
        "blocks": [result.claim.id for result in failure.blocked],
    }


def _level_result(counts: Counter[Verdict]) -> str:
    """In the words of the Gateway API's report."""
    if any(counts[verdict] for verdict in COUNTED if verdict not in {"passed", "not-claimed"}):
        return "failure"
    return "partial" if counts["not-claimed"] else "success"


def _wrong(result: Result) -> dict[str, str]:
    return {"claim": result.claim.id, "verdict": _verdict(result), **_why(result)}


def _verdict(result: Result) -> str:
    return result.verdict if result.tested else "not tested"


def _why(result: Result) -> dict[str, str]:
    return {"reason": result.message.partition("\n")[0]}
