"""summary.md: the walk on half a page, for a CI job's summary or a comment on a pull request.

What is not so comes first, and however much that is, the file stays within what GitHub shows.
"""

from __future__ import annotations

import re
from collections import Counter

from fixtures.run.state import Verdict
from reports.model import EXIT_WORDS, Run, StageRun

MOST = 20
# GitHub takes 65,536 characters in a comment (and 1 MiB in a job's summary).
MOST_BYTES = 60_000
LONGEST = 600
CUT = "\n\nCut here: see report.html.\n"
# What Markdown or GitHub would make something of.
SPECIAL = re.compile(r"([\\`*|~\[])")


def as_markdown(run: Run) -> str:
    """The walk as Markdown."""
    subject = run.subject
    lines = [f"# Seatrial: {run.headline}", "", escape(run.sentence), ""]
    lines.append(
        f"Istio **{subject.istio or '?'}** · Kubernetes **{subject.kubernetes or '?'}** · "
        f"provider `{subject.provider or '?'}` ({subject.evidence}) · "
        f"profile `{subject.profile or '?'}` · "
        f"{run.seconds:.0f} s · exit code {run.exit_code}"
    )
    if run.exit_code:
        lines[-1] += f" ({EXIT_WORDS.get(run.exit_code, 'see report.html')})"
    if subject.fault:
        lines += ["", f"A fault was injected: `{subject.fault}`."]
    lines += _wrong(run)
    lines += _missing(run)
    lines += _by_cause(run, "blocked", "Blocked")
    if run.stages:
        lines += ["", "## The walk", "", "| stage | claims | verdicts |", "|---|---|---|"]
        lines += [_row(stage) for stage in run.stages]
    lines += _by_cause(run, "not-claimed", "Not claimed")
    lines += _notes(run)
    return within("\n".join(lines) + "\n")


def _row(stage: StageRun) -> str:
    counts: dict[str, int] = {}
    for result in stage.results:
        verdict = result.verdict.replace("-", " ") if result.tested else "not asked"
        counts[verdict] = counts.get(verdict, 0) + 1
    words = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    return f"| {stage.stage.number} {stage.stage.title} | {len(stage.results)} | {words} |"


def _wrong(run: Run) -> list[str]:
    """The causes: what failed; what is blocked by them is counted in the table."""
    found = [a for a in run.results if a.verdict in {"failed", "error"} and a.tested]
    if not found:
        return []
    lines = ["", "## Not so", ""]
    for result in found[:MOST]:
        first = escape(result.message.partition("\n")[0])
        lines.append(f"- {result.verdict} **{result.claim.id}**: {first}")
        lines += [f"  {code(command)}" for command in result.next_steps[:1]]
    return lines + _more(len(found))


def _missing(run: Run) -> list[str]:
    """What the ledger requires and nobody asked."""
    if not run.missing:
        return []
    lines = ["", "## Required and missing", ""]
    return lines + [f"- **{name}**" for name in run.missing[:MOST]] + _more(len(run.missing))


def _by_cause(run: Run, verdict: Verdict, title: str) -> list[str]:
    """What was not asked, a line a cause."""
    found = Counter(a.message.partition("\n")[0] for a in run.results if a.verdict == verdict)
    if not found:
        return []
    told = [f"- {n}: {escape(cause)}" for cause, n in found.most_common(MOST)]
    return ["", f"## {title}", "", *told, *_more(len(found))]


def _notes(run: Run) -> list[str]:
    """What a reader ought to know of the run: what was chosen, warned of, kept."""
    if not run.notes:
        return []
    told = [f"- {escape(note)}" for note in run.notes[:MOST]]
    return ["", "## Notes", "", *told, *_more(len(run.notes))]


def _more(found: int) -> list[str]:
    return [f"- and {found - MOST} more: see report.html"] if found > MOST else []


def escape(text: str) -> str:
    """Text that stays what it is in Markdown."""
    return SPECIAL.sub(r"\\\1", short(text)).replace("<", "&lt;")


def code(text: str) -> str:
    """Text as code, whatever it holds."""
    text = short(text)
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def short(text: str) -> str:
    """Text in one line that is not too long."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def within(text: str) -> str:
    """The text, or as many of its lines as GitHub shows."""
    held = text.encode()
    if len(held) <= MOST_BYTES:
        return text
    cut = held[: MOST_BYTES - len(CUT.encode())].decode(errors="ignore")
    return cut.rpartition("\n")[0] + CUT
