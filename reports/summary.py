"""summary.md: the run on half a page, for a CI job's summary or a comment on a pull request.

What failed comes first, and however much that is, the file stays within what GitHub shows.
"""

from __future__ import annotations

import re

from reports.model import Run, StageRun

MOST = 20
# GitHub takes 65,536 characters in a comment (and 1 MiB in a job's summary).
MOST_BYTES = 60_000
LONGEST = 600
CUT = "\n\nCut here: see report.html.\n"
# What Markdown or GitHub would make something of.
SPECIAL = re.compile(r"([\\`*|~\[])")


def as_markdown(run: Run) -> str:
    """The run as Markdown."""
    subject = run.subject
    lines = [f"# Seatrial: {run.headline}", "", escape(run.sentence), ""]
    lines += [f"**{escape(warning)}**\n" for warning in run.warnings[:MOST]]
    lines.append(
        f"Istio **{subject.istio or '?'}** · Kubernetes **{subject.kubernetes or '?'}** · "
        f"provider `{subject.provider or '?'}` ({subject.evidence}) · "
        f"profile `{subject.profile or '?'}` · "
        f"{f'{subject.data_plane} mode · ' if subject.data_plane else ''}"
        f"{run.seconds:.0f} s · exit code {run.exit_code}"
    )
    if run.exit_code:
        lines[-1] += f" ({escape(run.why or 'see report.html')})"
    if subject.fault:
        lines += ["", f"A fault was injected: `{subject.fault}`."]
    lines += _failures(run)
    lines += _missing(run)
    if run.stages:
        lines += ["", "## Stages", "", "| stage | claims | verdicts |", "|---|---|---|"]
        lines += [_row(stage) for stage in run.stages]
    lines += _not_claimed(run)
    lines += _left_out(run)
    lines += _notes(run)
    return within("\n".join(lines) + "\n")


def _row(stage: StageRun) -> str:
    counts: dict[str, int] = {}
    for result in stage.results:
        verdict = result.verdict.replace("-", " ") if result.tested else "not tested"
        counts[verdict] = counts.get(verdict, 0) + 1
    words = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    return f"| {stage.stage.number} {stage.stage.title} | {len(stage.results)} | {words} |"


def _failures(run: Run) -> list[str]:
    """What failed, each cause once."""
    if not run.failures:
        return []
    lines = ["", "## Failures", ""]
    for failure in run.failures[:MOST]:
        first = escape(failure.message.partition("\n")[0])
        lines.append(f"- {failure.verdict} **{failure.id}**: {escape(failure.title)}")
        lines.append(f"  - {first}")
        lines.append(f"  - hint: {escape(failure.hint)}")
        lines += [f"  - next: {code(command)}" for command in failure.next_steps[:1]]
        if (streak := run.streak_of(failure)) and streak.runs > 1:
            lines.append(f"  - red since {streak}")
        if failure.may_follow_from:
            lines.append(f"  - may follow from: {escape(failure.may_follow_from)}")
        if failure.others:
            others = escape(", ".join(failure.others))
            lines.append(f"  - {len(failure.others)} more of this cause: {others}")
        if failure.blocked:
            lines.append(f"  - {failure.blocks}")
    lines += _more(len(run.failures))
    if run.reach and any(failure.next_steps for failure in run.failures):
        lines += ["", escape(f"{run.reach}.")]
    return lines


def _missing(run: Run) -> list[str]:
    """What is required and was not tested."""
    lines = [f"- **{name}**: {escape(why)}" for name, why in run.lacking[:MOST]]
    return ["", "## Required and missing", "", *lines, *_more(len(run.lacking))] if lines else []


def _not_claimed(run: Run) -> list[str]:
    """What was not claimed, a line a reason."""
    found = run.reasons
    lines = [f"- {n}: {escape(cause)}" for cause, n in found[:MOST]]
    return ["", "## Not claimed", "", *lines, *_more(len(found))] if found else []


def _left_out(run: Run) -> list[str]:
    """What the profile does not include."""
    if not run.left_out:
        return []
    title = f"## Not in profile {run.subject.profile}"
    lines = [f"- {escape(name)}" for name in run.left_out[:MOST]]
    return ["", title, "", *lines, *_more(len(run.left_out))]


def _notes(run: Run) -> list[str]:
    """What a reader ought to know of the run: what was chosen, warned of, kept."""
    notes = [note for note in run.notes if note not in run.warnings]
    lines = [f"- {escape(note)}" for note in notes[:MOST]]
    return ["", "## Notes", "", *lines, *_more(len(notes))] if notes else []


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
