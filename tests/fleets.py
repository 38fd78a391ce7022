"""Stand-ins for the reports of a fleet: so many clusters, in the folders that audits leave."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reports.stored import FILE


@dataclass(frozen=True)
class StandIn:
    """What is different of one cluster.

    Attributes:
        wrong: verdicts by the id of a claim; every other one is as in the report it is made of.
        certificates: the last days of certificates, by name.
    """

    name: str
    istio: str = "1.32.0"
    kubernetes: str = "1.36.0"
    sidecars: str = "1.32.0"
    wrong: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[str, str] = field(default_factory=dict)
    exit_code: int = 0
    reason: str = ""
    evidence: str = "conformance"


def leave(folder: Path, report: Mapping[str, Any], clusters: Iterable[StandIn]) -> None:
    """Write a report for each, after one that a run wrote."""
    for one in clusters:
        data = copy.deepcopy(dict(report))
        versions = {"istio": one.istio, "kubernetes": one.kubernetes, "evidence": one.evidence}
        data["subject"] |= versions
        data["exit_code"], data["reason"] = one.exit_code, one.reason
        data["complete"] = not one.reason
        data["headline"] = (
            ("Failed" if one.exit_code else "Passed") if not one.reason else "INCOMPLETE"
        )
        data["seen"]["version"] = {"sidecars": one.sidecars}
        data["seen"]["certificate"] = {n: f"until {day}" for n, day in one.certificates.items()}
        for claim in data["claims"]:
            claim["verdict"] = one.wrong.get(claim["id"], claim["verdict"])
        (folder / one.name).mkdir(parents=True)
        (folder / one.name / FILE).write_text(json.dumps(data))
