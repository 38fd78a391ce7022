"""A finished run as the reports see it: frozen, ordered, with its verdict in one sentence.

Only what all reports share; how each of them looks is its own module's business.
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from fixtures.claims.observations import Kind
from fixtures.claims.waiting import Wait
from fixtures.providers.base import DataPlane
from fixtures.run.cluster import origin
from fixtures.run.next_steps import reach
from fixtures.run.settings import Settings
from fixtures.run.stages import Stage
from fixtures.run.state import VERDICTS, BrokenStage, Result, RunState, Verdict
from fixtures.run.timeline import Step
from reports.command import command_of, suite
from reports.failures import Failure, failures_of, unprepared
from reports.past import Past, Streak
from reports.stored import mode_of

EXIT_WORDS = {
    0: "all required claims passed",
    1: "a claim failed",
    2: "interrupted",
    3: "internal error",
    4: "bad input",
    5: "nothing was selected",
    10: "the cluster could not be provided, or was lost",
    11: "this host is not fit, or the versions do not go together",
    12: "a required claim is missing, blocked, inspected nothing, or not claimed (--require-all)",
    13: "unsafe target refused",
}
# With these the run came to its end.
ENDED = {0, 1, 12}
# A note that begins so stands beside the verdict.
WARNING = "WARNING: "
# Missing claims that the verdict's sentence names; the others are counted.
NAMED = 3
# What the context of the pod's own cluster is called.
IN_CLUSTER = "in-cluster"
UNTESTED = "the ledger requires it, and there was no such claim"
WORTH = (
    "A rehearsal runs over the embedded, simulated cluster and proves nothing about a real one."
)


@dataclass(frozen=True)
class Subject:
    """What was tested, and what its results are worth.

    Attributes:
        simulated: what the embedded cluster shows without running it.
        cluster: what the user calls it, or the name of its context in the kubeconfig.
        data_plane: how the run's own sample is in the mesh; empty where the run has none.
    """

    istio: str
    kubernetes: str
    provider: str
    evidence: str
    profile: str
    fault: str
    features: tuple[str, ...]
    simulated: tuple[str, ...]
    python: str
    cluster: str = ""
    data_plane: DataPlane | Literal[""] = ""

    @property
    def rehearsal(self) -> bool:
        """Whether this proves nothing about any real cluster."""
        return self.evidence != "conformance"


@dataclass(frozen=True)
class StageRun:
    """One stage of the run with its results."""

    stage: Stage
    results: tuple[Result, ...]
    prepared: float | None
    broken: BrokenStage | None


@dataclass(frozen=True)
class Run:
    """One state, ended.

    Attributes:
        missing: ids of claims that the ledger requires and that were not among the claims.
        left_out: ids of claims that the profile does not include.
        reach: when the commands of its failures work after the run; empty where they do as usual.
        command: what runs the same again; empty where the user narrowed it.
        suite: version and commit of the suite.
        require_all: what is not claimed fails the run (`--require-all`).
        past: what is known of earlier runs of the same subject.
        unproven: what `--prove` did not show, and where that stands; empty where it showed all.
    """

    subject: Subject
    stages: tuple[StageRun, ...]
    complete: bool
    partial: bool
    exit_code: int
    reason: str
    started: datetime
    seconds: float
    notes: tuple[str, ...]
    waits: tuple[Wait, ...]
    began: float
    steps: tuple[Step, ...]
    diagnostics: tuple[str, ...]
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    reach: str = ""
    command: str = ""
    suite: str = ""
    require_all: bool = False
    past: Past = field(default_factory=Past)
    unproven: str = ""

    @property
    def why(self) -> str:
        """Why it ended with its exit code, in words; empty where the code says nothing."""
        return self.unproven or EXIT_WORDS.get(self.exit_code, "")

    @property
    def results(self) -> tuple[Result, ...]:
        """All results in the order of the run."""
        return tuple(result for stage in self.stages for result in stage.results)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why claims were not claimed, and how many: the most frequent reason first."""
        unclaimed = (result for result in self.results if result.verdict == "not-claimed")
        return Counter(one.message.partition("\n")[0] for one in unclaimed).most_common()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes that a reader of the verdict must not miss."""
        return tuple(note for note in self.notes if note.startswith(WARNING))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What failed, each cause once, the earliest in the chain of causes first."""
        broken = [stage.broken for stage in self.stages if stage.broken]
        return failures_of(self.results, broken)

    @property
    def lacking(self) -> tuple[tuple[str, str], ...]:
        """The ids of what is required and was not tested, each with the reason."""
        missing = tuple((name, UNTESTED) for name in self.missing)
        unclaimed = (r for r in self.results if r.verdict == "not-claimed" and r.required)
        reasons = ((r.claim.id, r.message.partition("\n")[0]) for r in unclaimed)
        return missing + (tuple(reasons) if self.require_all else ())

    @property
    def seen(self) -> dict[str, dict[str, str]]:
        """What the claims recorded, by kind and name; values that differ stand side by side."""
        found: dict[str, dict[str, set[str]]] = {kind: {} for kind in get_args(Kind)}
        for one in (one for result in self.results for one in result.observations):
            found[one.kind].setdefault(one.name, set()).add(one.value)
        return {
            kind: {name: ", ".join(sorted(values)) for name, values in sorted(named.items())}
            for kind, named in found.items()
        }

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many claims got which verdict; every verdict is there."""
        counted = Counter(result.verdict for result in self.results)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    @property
    def tally(self) -> dict[str, int]:
        """The counts for people, with what was not tested apart from what went wrong."""
        untested = sum(not result.tested for result in self.results)
        tally = {str(verdict): n for verdict, n in self.counts.items()}
        return tally | {"error": tally["error"] - untested, "not-tested": untested}

    @property
    def good(self) -> bool:
        """Whether every required claim was tested and passed."""
        return self.complete and self.exit_code == 0

    @property
    def begun(self) -> str:
        """When it began, as reports are told apart by."""
        return self.started.isoformat(timespec="seconds")

    @property
    def last_good(self) -> str:
        """When the last good run began, this one included; empty where none is known."""
        return self.begun if self.good and not self.partial else self.past.last_good

    def streak(self, result: Result) -> Streak | None:
        """Since when a claim fails; None where it does not."""
        red = result.tested and result.verdict in {"failed", "error"}
        return self.past.streak(result.claim.id, self.begun) if red else None

    def streak_of(self, failure: Failure) -> Streak | None:
        """Since when the first of the claims fails that a failure shows; None where none does."""
        found = (self.streak(result) for result in failure.claims)
        return max(filter(None, found), key=lambda streak: streak.runs, default=None)

    @property
    def kind(self) -> str:
        """What such a run is: only one over a real cluster may speak of conformance."""
        if self.subject.evidence == "rehearsal":
            return "rehearsal"
        return "conformance run" if self.subject.evidence == "conformance" else "run"

    @property
    def counted(self) -> str:
        """The counts in words, without those that are zero."""
        words = [f"{n} {v.replace('-', ' ')}" for v, n in self.tally.items() if n]
        return ", ".join(words) or "no claims tested"

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        if not self.complete:
            return "INCOMPLETE"
        if self.exit_code == 0:
            passed = "Passed" if not self.subject.rehearsal else "Rehearsal passed"
            return f"{passed} (PARTIAL)" if self.partial else passed
        failed = "Failed" if not self.subject.rehearsal else "Rehearsal failed"
        return f"{failed} (PARTIAL)" if self.partial else failed

    @property
    def sentence(self) -> str:
        """The verdict as a whole sentence, with what it is worth."""
        over = self._over
        if not self.complete:
            reason = self.reason.rstrip(".")
            stop = "" if reason.endswith(("?", "!")) else "."
            kind = " It was a rehearsal." if self.subject.evidence == "rehearsal" else ""
            return f"INCOMPLETE: {reason}{stop} This says nothing about {over}.{kind}"
        selection = (
            " PARTIAL: a selection of claims was tested, not all of them." if self.partial else ""
        )
        selection += self._unprepared + self._lack
        if not self.subject.rehearsal:
            return f"{self._result}: {over}.{selection}"
        return f"{self._result} on the embedded cluster, simulating {over}.{selection} {WORTH}"

    @property
    def _over(self) -> str:
        """The versions that were tested, as far as they are known."""
        istio, kubernetes = self.subject.istio, self.subject.kubernetes
        if not istio and not kubernetes:
            return "any mesh"
        mode = mode_of(self.subject.data_plane)
        kubernetes = kubernetes or "(unknown)"
        return f"Istio {istio or '(version unknown)'}{mode} on Kubernetes {kubernetes}"

    @property
    def _result(self) -> str:
        """What became of the claims."""
        unclaimed = self.counts["not-claimed"]
        tested = len(self.results) - unclaimed
        if not self.results:
            return "No claims were tested"
        if not self.good:
            causes = len(self.failures)
            of_causes = f" ({causes} cause{'s'[: causes > 1]})" if causes else ""
            return f"{self.counted} of {len(self.results)} claims{of_causes}"
        what = f"All {tested} claims passed" if tested != 1 else "The one claim passed"
        return what + (f", {unclaimed} not claimed" if unclaimed else "")

    @property
    def _unprepared(self) -> str:
        """The stages whose claims are blocked because they could not be prepared."""
        broken = (stage.broken for stage in self.stages)
        return "".join(f" {unprepared(b.stage)}." for b in broken if b and b.by_preparation)

    @property
    def _lack(self) -> str:
        """What the ledger requires and was not tested, for the sentence."""
        if not self.missing:
            return ""
        names = ", ".join(self.missing[:NAMED])
        more = f" and {len(self.missing) - NAMED} more" if len(self.missing) > NAMED else ""
        what = "A required claim is" if len(self.missing) == 1 else "Required claims are"
        return f" {what} missing: {names}{more}."


def subject_of(state: RunState) -> Subject:
    """What a run is about, as far as it got to know."""
    settings, access = state.settings, state.access
    evidence = access.evidence if access else "none"
    if not access and settings and origin(settings.provider) == "simulated":
        evidence = "rehearsal"
    return Subject(
        istio=settings.istio_version if settings else "",
        kubernetes=(access.kube_version if access else settings.kube_version) if settings else "",
        provider=settings.provider if settings else "",
        evidence=evidence,
        profile=settings.profile if settings else "",
        fault=settings.fault if settings else "",
        features=tuple(sorted(access.features)) if access else (),
        simulated=access.simulated if access else (),
        python=platform.python_version(),
        cluster=_named(settings) or (access.context if access else ""),
        data_plane=_data_plane(state),
    )


def _data_plane(state: RunState) -> DataPlane | Literal[""]:
    """How the sample is in the mesh, or would be in one that is made for it."""
    settings, access = state.settings, state.access
    if settings is None or (settings.read_only and origin(settings.provider) == "taken"):
        return ""
    return access.data_plane if access else settings.mesh


def _named(settings: Settings | None) -> str:
    """How the user calls the cluster that is to be taken, which a run may not come to."""
    if settings is None:
        return ""
    context = IN_CLUSTER if settings.in_cluster else settings.kube_context
    return settings.nightly.cluster or context


def run_of(state: RunState, *, exit_code: int, reason: str = "") -> Run:
    """Freeze a run; `reason` says why it is not complete, if it is not."""
    reason = reason or (state.stopped.reason if state.stopped else "")
    tested = {result.claim.id for result in state.results.values() if result.tested}
    untested = [claim for claim in state.claims if claim.id not in tested]
    if untested and not reason:
        reason = f"{len(untested)} of {len(state.claims)} claims were not tested"
    if exit_code not in ENDED:
        reason = reason or EXIT_WORDS.get(exit_code, "")
    stages = tuple(
        StageRun(
            stage, tuple(results), state.prepared.get(stage.name), state.broken.get(stage.name)
        )
        for stage, results in state.stages()
    )
    return Run(
        subject=subject_of(state),
        stages=stages,
        complete=not reason,
        partial=state.partial,
        exit_code=exit_code,
        reason=reason,
        started=state.started,
        seconds=time.monotonic() - state.began,
        notes=tuple(state.notes),
        waits=tuple(state.waits),
        began=state.began,
        steps=tuple(sorted(state.timeline.steps, key=lambda step: step.began)),
        diagnostics=tuple(state.diagnosed),
        missing=state.missing,
        left_out=state.left_out,
        reach=reach(state),
        command=command_of(state.settings) if state.settings and not state.partial else "",
        suite=suite(),
        unproven=state.unproven,
        require_all=bool(state.settings and state.settings.require_all),
    )
