"""summary.md: the walk on half a page, for a pull request or a CI job's summary."""

from __future__ import annotations

from reports.model import Run, StageRun

MOST = 20


def as_markdown(run: Run) -> str:
    """The walk as Markdown."""
    subject = run.subject
    lines = [f"# Seatrial: {run.headline}", "", _escape(run.sentence), ""]
    lines.append(
        f"Istio **{subject.istio or '?'}** · Kubernetes **{subject.kubernetes or '?'}** · "
        f"provider `{subject.provider or '?'}` ({subject.evidence}) · "
        f"profile `{subject.profile or '?'}` · "
        f"{run.seconds:.0f} s · exit code {run.exit_code}"
    )
    if subject.fault:
        lines += ["", f"A fault was injected: `{subject.fault}`."]
    if run.stages:
        lines += ["", "| stage | claims | verdicts |", "|---|---|---|"]
        lines += [_row(stage) for stage in run.stages]
    lines += _wrong(run)
    return "\n".join(lines) + "\n"


def _row(stage: StageRun) -> str:
    counts: dict[str, int] = {}
    for answer in stage.answers:
        verdict = answer.verdict.replace("-", " ") if answer.asked else "not asked"
        counts[verdict] = counts.get(verdict, 0) + 1
    words = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    return f"| {stage.stage.number} {stage.stage.title} | {len(stage.answers)} | {words} |"


def _wrong(run: Run) -> list[str]:
    """The causes: what failed; what is blocked by them is counted above."""
    found = [a for a in run.answers if a.verdict in {"failed", "error"} and a.asked]
    if not found:
        return []
    lines = ["", "## Not so", ""]
    for answer in found[:MOST]:
        first = _escape(answer.message.partition("\n")[0])
        lines.append(f"- {answer.verdict} **{answer.claim.id}**: {first}")
        lines += [f"  `{command}`" for command in answer.look[:1]]
    if len(found) > MOST:
        lines.append(f"- and {len(found) - MOST} more: see report.html")
    return lines


def _escape(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")
