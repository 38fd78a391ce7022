"""report.html: one self-contained page that a person decides by; verdicts need no script.

Static, and made of a template; pytest-html's table is a page of its own (`reports.table`), which
this one links to where it was written.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import escape

from fixtures.run.state import Result
from reports.failures import Failure, unprepared
from reports.guide import anchor
from reports.model import Run
from reports.pictures.mesh import mesh_of, proxies_of
from reports.pictures.timeline import CHART, LEFT, in_words, timeline_of
from reports.terminal import WORDS

HERE = Path(__file__).parent
STYLE = HERE / "report.css"
# Evidence longer than this is folded.
OPEN_LINES = 24
UNKNOWN = "not known"
# Compiled templates are kept where Python keeps compiled modules, as far as it does so.
_KEPT = HERE / "__pycache__"
_JINJA = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    bytecode_cache=jinja2.FileSystemBytecodeCache(str(_KEPT))
    if os.access(_KEPT, os.W_OK) and not sys.dont_write_bytecode
    else None,
)
_DIGEST = re.compile(r"(?P<image>[^@,\s]+)@(?P<digest>[^,\s]+)")
MEANINGS = {
    "blocked": "not tested, because something that it needs is broken",
    "not-claimed": "not tested, because this cluster does not offer what it is about",
    "error": "it could not be tested, or the test proved nothing",
    "not-tested": "the run ended before it",
}


@dataclass(frozen=True)
class Fact:
    """One thing known of the subject, and from where."""

    name: str
    value: str
    small: str = ""


def article(run: Run, table: str = "", claims: str = "") -> str:
    """The page's content, without its frame; see `page`."""
    return render(
        "report.html.jinja2",
        run=run,
        tone=tone(run),
        facts=tuple(facts(run)),
        images=images(run),
        table=table,
        claims=claims,
        anchor=anchor,
        unprepared=unprepared,
        meanings=MEANINGS,
        mesh=mesh_of(run),
        line=timeline_of(run),
        left=LEFT,
        chart=CHART,
        open_lines=OPEN_LINES,
        in_words=in_words,
        word=word_of,
        files=lambda failure: files(run, failure),
    )


def page(run: Run, table: str = "", claims: str = "") -> str:
    """The whole page.

    Args:
        run: what it shows.
        table: the name of pytest-html's page beside it.
        claims: the address of docs/claims.md (`reports.guide`); empty where it cannot be linked.
    """
    return document(title_of(run), article(run, table, claims))


def render(template: str, **data: object) -> str:
    """The content of a page, of a template of this folder."""
    return _JINJA.get_template(template).render(data)


def document(title: str, body: str, style: str = "") -> str:
    """The frame of every page: self-contained, in one style.

    Args:
        title: what a browser's tab shows.
        body: the page's content, as HTML.
        style: rules of this page alone.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}{style}</style>"
        f"</head><body>{body}</body></html>\n"
    )


def title_of(run: Run) -> str:
    """What a browser's tab shows."""
    return f"{run.headline}: Istio {run.subject.istio} · Seatrial"


def tone(run: Run) -> str:
    """The colour that the verdict has; a rehearsal is never as green as the real thing."""
    if not run.complete:
        return "incomplete"
    if not run.good:
        return "bad"
    return "rehearsed" if run.subject.rehearsal else "good"


def word_of(result: Result) -> str:
    """The verdict on a claim, in a word or two."""
    return WORDS[result.verdict][0].lower() if result.tested else "not tested"


def facts(run: Run) -> Iterator[Fact]:
    """What was tested, as far as the run got to know."""
    subject, seen = run.subject, run.seen
    versions = seen["version"]
    istiod = versions.get("istiod", "")
    yield Fact(
        "Istio control plane",
        istiod.partition("-")[0] or subject.istio or UNKNOWN,
        f"istiod reports {istiod}" if istiod else "as requested, not read from the cluster",
    )
    proxies = {tag for tag in proxies_of(seen).values() if tag}
    proxies |= {versions[name] for name in ("sidecars", "ztunnel") if name in versions}
    yield Fact(
        "Istio data plane",
        ", ".join(sorted(proxies)) or UNKNOWN,
        "versions of the proxies" if proxies else "no proxy was inspected",
    )
    if subject.data_plane:
        yield Fact("Data plane mode", subject.data_plane, MODES[subject.data_plane])
    installer = versions.get("istioctl", "")
    label = "label operator.istio.io/version" if installer else "nothing in the cluster shows it"
    yield Fact("istioctl", installer or UNKNOWN, label)
    yield Fact("Kubernetes", subject.kubernetes or UNKNOWN)
    for name, runs in seen["node"].items():
        yield Fact(f"Node {name}", runs)
    yield Fact("Provider", subject.provider or UNKNOWN)
    yield Fact("Evidence", _EVIDENCE.get(subject.evidence, subject.evidence))
    yield Fact("Profile", subject.profile or UNKNOWN)
    yield Fact("Duration", in_words(run.seconds))
    yield Fact("Exit code", str(run.exit_code), run.why)


MODES: dict[str, str] = {
    "sidecar": "each pod of the run's own sample has a sidecar",
    "ambient": "the pods of the run's own sample have no sidecars: ztunnel carries their traffic",
}
_EVIDENCE = {
    "conformance": "conformance: a real cluster",
    "rehearsal": "rehearsal: the embedded, simulated cluster",
    "none": "none: there was no cluster",
}


def images(run: Run) -> tuple[tuple[str, str, str], ...]:
    """What ran: container, image and digest, a row for each that differs."""
    rows = []
    for name, images_seen in run.seen["image"].items():
        for one in images_seen.split(", "):
            found = _DIGEST.fullmatch(one)
            image, digest = found.group("image", "digest") if found else (one, "")
            rows.append((name, image, digest))
    return tuple(rows)


def files(run: Run, failure: Failure) -> tuple[str, ...]:
    """The files that were collected when a failure's stage failed."""
    folder = f"{failure.stage.folder}/"
    return tuple(name for name in run.diagnostics if name.startswith(folder))
