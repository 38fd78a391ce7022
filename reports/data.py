"""report.json: the run as data, for machines and for comparing two runs.

Its form is held by `report.schema.json` beside this module.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fixtures.run.state import Result
from fixtures.run.timeline import critical_path
from reports.failures import Failure
from reports.model import Run, StageRun, Subject
from reports.past import Streak
from reports.stored import SCHEMA_VERSION


def as_json(run: Run) -> dict[str, Any]:
    """The whole run as plain data."""
    return {
        "schema": SCHEMA_VERSION,
        "subject": _subject(run.subject),
        "headline": run.headline,
        "verdict": run.sentence,
        "suite": run.suite,
        "command": run.command,
        "complete": run.complete,
        "partial": run.partial,
        "reason": run.reason,
        "exit_code": run.exit_code,
        "started": run.begun,
        "last_good": run.last_good or None,
        "seconds": round(run.seconds, 3),
        "counts": dict(run.counts),
        "missing": list(run.missing),
        "left_out": list(run.left_out),
        "stages": [_stage(stage) for stage in run.stages],
        "claims": [_claim(result, run.streak(result)) for result in run.results],
        "failures": [_failure(failure) for failure in run.failures],
        "seen": run.seen,
        "waits": [
            {
                "what": wait.what,
                "used": round(wait.used, 3),
                "budget": wait.budget,
                "met": wait.met,
            }
            for wait in run.waits
        ],
        "plan": _plan(run),
        "notes": list(run.notes),
        "diagnostics": list(run.diagnostics),
    }


def _subject(subject: Subject) -> dict[str, Any]:
    held = asdict(subject)
    simulated = held.pop("simulated")
    return {**held, "features": list(subject.features), "posed": list(simulated)}


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "title": failure.title,
        "stage": failure.stage.name,
        "message": failure.message,
        "look": list(failure.next_steps),
        "hint": failure.hint,
        "claims": [result.claim.id for result in failure.claims],
        "preparations": [broken.stage.name for broken in failure.preparations],
        "blocked": [result.claim.id for result in failure.blocked],
        "may_follow_from": failure.may_follow_from,
    }


def _plan(run: Run) -> list[dict[str, Any]]:
    """The run's steps; `began` is in seconds since the run began."""
    critical = critical_path(run.steps)
    return [
        {
            "name": step.name,
            "began": round(step.began - run.began, 3),
            "seconds": round(step.seconds, 3),
            "after": list(step.after),
            "well": step.well,
            "critical": step in critical,
        }
        for step in run.steps
    ]


def _stage(run: StageRun) -> dict[str, Any]:
    return {
        "number": run.stage.number,
        "name": run.stage.name,
        "title": run.stage.title,
        "prepared": None if run.prepared is None else round(run.prepared, 3),
        "broken": run.broken.cause if run.broken else None,
        "by_preparation": bool(run.broken and run.broken.by_preparation),
    }


def _claim(result: Result, streak: Streak | None) -> dict[str, Any]:
    claim = result.claim
    data = {
        "id": claim.id,
        "text": claim.text,
        "stage": claim.stage.name,
        "level": claim.level,
        "feature": claim.feature,
        "source": claim.source,
        "hint": claim.hint,
        "verdict": result.verdict,
        "asked": result.tested,
        "seconds": round(result.seconds, 3),
        "examined": result.inspected,
        "message": result.message,
        "look": list(result.next_steps),
        "evidence": result.evidence,
        "notes": list(result.notes),
        "blocked_by": result.blocked_by,
    }
    return data | ({"red_since": streak.since, "red_runs": streak.runs} if streak else {})
