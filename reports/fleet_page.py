"""fleet.html and fleet.json: one page for all clusters, and the same as data.

What they say is decided by `reports.fleet`. The form of fleet.json is held by
`fleet.schema.json` beside this module.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reports.fleet import Cluster, Ending, Fleet, Row
from reports.html import document, render
from reports.stored import FILE, Unreadable

PAGE, DATA = "fleet.html", "fleet.json"
SCHEMA_VERSION = 1
# Of more claims that are wrong somewhere the page has no columns: nobody reads them side by side.
MOST_COLUMNS = 30
MOST_ENDINGS = 20
# Tables that are longer fold what is good.
OPEN_ROWS = 50
MARKS = {"passed": "·", "failed": "F", "blocked": "B", "error": "E", "not-claimed": "-"}
STYLE = Path(__file__).parent / "fleet.css"


def write(fleet: Fleet, folder: Path) -> None:
    """Write both files, each whole or not at all.

    Raises:
        Unreadable: they cannot be written.
    """
    for name, text in ((DATA, as_json(fleet)), (PAGE, page(fleet))):
        part = folder / f".{name}.part"
        try:
            part.write_text(text, encoding="utf-8", errors="replace")
            part.replace(folder / name)
        except OSError as e:
            part.unlink(missing_ok=True)
            line = f"{folder / name}: cannot be written ({e.strerror})"
            raise Unreadable(f"{line}; make room, or name another folder") from None


def page(fleet: Fleet) -> str:
    """The whole page."""
    wrong = [row for row in fleet.rows if row.wrong]
    body = render(
        "fleet.html.jinja2",
        fleet=fleet,
        tone=tone(fleet),
        now=datetime.now(UTC).date(),
        columns=wrong[:MOST_COLUMNS],
        more_columns=wrong[MOST_COLUMNS:],
        endings=fleet.endings[:MOST_ENDINGS],
        bad=[one for one in fleet.clusters if not one.good],
        good=[one for one in fleet.clusters if one.good],
        open_rows=OPEN_ROWS,
        marks=MARKS,
    )
    return document(f"{fleet.headline} · Seatrial", body, STYLE.read_text(encoding="utf-8"))


def tone(fleet: Fleet) -> str:
    """The colour that the verdict has; a rehearsal is never as green as the real thing."""
    if not fleet.complete:
        return "incomplete"
    if fleet.exit_code:
        return "bad"
    return "rehearsed" if fleet.rehearsals else "good"


def as_json(fleet: Fleet) -> str:
    """The whole fleet as data, a line for each cluster and each claim."""
    data = {
        "schema": SCHEMA_VERSION,
        "headline": fleet.headline,
        "verdict": fleet.sentence,
        "complete": fleet.complete,
        "reason": fleet.reason,
        "exit_code": fleet.exit_code,
        "started": fleet.started.isoformat(timespec="seconds"),
        "seconds": round(fleet.seconds, 3),
        "rehearsals": fleet.rehearsals,
        "versions": {what.lower(): dict(counted) for what, counted in fleet.versions},
        "skew": {what.lower(): minors for what, minors in fleet.skew},
        "clusters": [_cluster(one) for one in fleet.clusters],
        "claims": [_claim(row) for row in fleet.rows],
    }
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _cluster(one: Cluster) -> dict[str, Any]:
    return {
        "name": one.name,
        "report": f"{one.folder}/{FILE}" if one.stored else "",
        "headline": one.headline,
        "exit_code": one.exit_code,
        "reason": one.why,
        "evidence": str(one.stored.subject["evidence"]) if one.stored else "none",
        "istio": one.istio,
        "kubernetes": one.kubernetes,
        "sidecars": one.sidecars,
        "started": one.stored.started if one.stored else "",
        "seconds": one.stored.seconds if one.stored else 0,
        "certificate": _ending(one.ending) if one.ending else None,
        "wrong": {claim.id: claim.verdict for claim in one.wrong},
    }


def _ending(ending: Ending) -> dict[str, str]:
    return {"name": ending.name, "ends": ending.day.isoformat()}


def _claim(row: Row) -> dict[str, Any]:
    return {"id": row.id, "text": row.text, "counts": dict(row.counts)}
