"""report.html: one self-contained page that a person decides by; verdicts need no script.

The page is ours, static and made of a template; pytest-html draws its own table below it
(`reports.table`). Where pytest-html does not get to write (an aborted run), the same page stands
alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import escape

from fixtures.run.state import Result
from reports.model import EXIT_WORDS, Run, StageRun
from reports.pictures.mesh import mesh_of, proxies_of
from reports.pictures.timeline import CHART, LEFT, in_words, timeline_of
from reports.terminal import WORDS

HERE = Path(__file__).parent
STYLE = HERE / "report.css"
# Evidence longer than this is folded.
OPEN_LINES = 24
UNKNOWN = "not known"
_JINJA = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_DIGEST = re.compile(r"(?P<image>[^@,\s]+)@(?P<digest>[^,\s]+)")
MEANINGS = {
    "blocked": "not checked, because something that it needs is broken",
    "not-claimed": "not checked, because this cluster does not offer what it is about",
    "error": "it could not be checked, or the check proved nothing",
    "not-asked": "the run ended before it",
}


@dataclass(frozen=True)
class Fact:
    """One thing known of the subject, and from where."""

    name: str
    value: str
    small: str = ""


def article(run: Run) -> str:
    """The page's content, without its frame."""
    return _JINJA.get_template("report.html.jinja2").render(
        run=run,
        tone=tone(run),
        facts=tuple(facts(run)),
        images=images(run),
        causes=causes(run),
        meanings=MEANINGS,
        mesh=mesh_of(run),
        line=timeline_of(run),
        left=LEFT,
        chart=CHART,
        open_lines=OPEN_LINES,
        in_words=in_words,
        word=word_of,
        files=lambda stage: files(run, stage),
    )


def page(run: Run) -> str:
    """The whole page, without pytest-html's table."""
    style = STYLE.read_text(encoding="utf-8")
    title = escape(title_of(run))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{title}</title><style>{style}</style></head><body>{article(run)}</body></html>\n"
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
    return WORDS[result.verdict][0].lower() if result.tested else "not asked"


def facts(run: Run) -> Iterator[Fact]:
    """What was looked at, as far as the run got to know."""
    subject, seen = run.subject, run.seen
    told = seen["version"]
    istiod = told.get("istiod", "")
    yield Fact(
        "Istio control plane",
        istiod.partition("-")[0] or subject.istio or UNKNOWN,
        f"istiod says {istiod}" if istiod else "as asked for, not read from the cluster",
    )
    proxies = {tag for tag in proxies_of(seen).values() if tag}
    proxies |= {told["sidecars"]} if "sidecars" in told else set()
    yield Fact(
        "Istio data plane",
        ", ".join(sorted(proxies)) or UNKNOWN,
        "image tags of the proxies" if proxies else "no proxy was looked at",
    )
    installer = told.get("istioctl", "")
    label = "label operator.istio.io/version" if installer else "nothing in the cluster tells it"
    yield Fact("istioctl", installer or UNKNOWN, label)
    yield Fact("Kubernetes", subject.kubernetes or UNKNOWN)
    for name, runs in seen["node"].items():
        yield Fact(f"Node {name}", runs)
    yield Fact("Provider", subject.provider or UNKNOWN)
    yield Fact("Evidence", _EVIDENCE.get(subject.evidence, subject.evidence))
    yield Fact("Profile", subject.profile or UNKNOWN)
    yield Fact("Duration", in_words(run.seconds))
    yield Fact("Exit code", str(run.exit_code), EXIT_WORDS.get(run.exit_code, ""))


_EVIDENCE = {
    "conformance": "conformance: a real cluster answered",
    "rehearsal": "rehearsal: a simulated cluster answered",
    "none": "none: no cluster answered",
}


def images(run: Run) -> tuple[tuple[str, str, str], ...]:
    """What ran: container, image and digest, a row for each that differs."""
    rows = []
    for name, told in run.seen["image"].items():
        for one in told.split(", "):
            found = _DIGEST.fullmatch(one)
            image, digest = found.group("image", "digest") if found else (one, "")
            rows.append((name, image, digest))
    return tuple(rows)


def causes(run: Run) -> list[tuple[StageRun, Result]]:
    """What failed, each cause once: claims that fail with their stage's one cause are one."""
    found: list[tuple[StageRun, Result]] = []
    for stage in run.stages:
        seen = set()
        for result in stage.results:
            if result.verdict in {"failed", "error"} and result.tested:
                if result.message not in seen:
                    found.append((stage, result))
                seen.add(result.message)
    return found


def files(run: Run, stage: StageRun) -> tuple[str, ...]:
    """The files that were collected about a stage, for who wants to look further."""
    folder = f"{stage.stage.number:02}-{stage.stage.name}/"
    return tuple(name for name in run.diagnostics if name.startswith(folder))
