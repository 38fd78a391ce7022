"""The failures of a run by their cause: each cause once, with the claims that fail of it.

What claims share is decided by `Result.keys`; how a failure looks, by each report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from fixtures.run.stages import BY_NAME, Stage
from fixtures.run.state import BrokenStage, Mismatch, Result

HINT = "Mend what the preparation lacks, and run again: the claims of this stage were not tested."


@dataclass(frozen=True)
class Failure:
    """One cause, and everything that does not pass because of it.

    Attributes:
        stage: the stage that showed it first.
        claims: what was tested and failed of it, in the order of the run.
        preparations: the stages that could not be prepared because of it.
        blocked: the claims that were not tested because of it.
        may_follow_from: the title of the failure of another stage that explains this one.
    """

    stage: Stage
    claims: tuple[Result, ...] = ()
    preparations: tuple[BrokenStage, ...] = ()
    blocked: tuple[Result, ...] = ()
    may_follow_from: str = ""

    @property
    def _shown(self) -> Result | BrokenStage:
        return self.claims[0] if self.claims else self.preparations[0]

    @property
    def id(self) -> str:
        """The first claim that failed of it; of a preparation the stage's name."""
        return self.claims[0].claim.id if self.claims else self.stage.name

    @property
    def title(self) -> str:
        """What is not as it should be, in a sentence."""
        return self.claims[0].claim.text if self.claims else f"{unprepared(self.stage)}."

    @property
    def message(self) -> str:
        """What was expected and found."""
        return self.claims[0].message if self.claims else self.preparations[0].cause

    @property
    def verdict(self) -> str:
        """`failed` or `error`; a preparation fails, whatever it fails of."""
        return self.claims[0].verdict if self.claims else "failed"

    @property
    def mismatch(self) -> Mismatch | None:
        """The parts of the message, where something was expected and not found."""
        return self._shown.mismatch

    @property
    def next_steps(self) -> tuple[str, ...]:
        """Commands for the reader, most telling first."""
        return self._shown.next_steps

    @property
    def evidence(self) -> str:
        """Objects, log lines or a trace."""
        return self._shown.evidence

    @property
    def hint(self) -> str:
        """What to look at first."""
        if self.claims:
            return self.claims[0].hint
        return (self.mismatch.hint if self.mismatch else "") or HINT

    @property
    def source(self) -> str:
        """Where it is written that it must be so; of a preparation nothing is claimed."""
        return self.claims[0].claim.source if self.claims else ""

    @property
    def others(self) -> tuple[str, ...]:
        """What else fails of it: ids of claims, and preparations."""
        shown = self.preparations if self.claims else self.preparations[1:]
        ids = (result.claim.id for result in self.claims[1:])
        return (*ids, *(unprepared(broken.stage) for broken in shown))

    @property
    def blocks(self) -> str:
        """What it blocks, in words; empty where it blocks nothing."""
        many = len(self.blocked) > 1
        what = "claims, which were not tested" if many else "claim, which was not tested"
        return f"blocks {len(self.blocked)} {what}" if self.blocked else ""


def unprepared(stage: Stage) -> str:
    """That a stage could not be prepared, as every report words it."""
    return f"Preparation of stage {stage.number} ({stage.title}) failed"


@dataclass
class _Cause:
    """One failure in the making; `keys` are what is wrong, thing by thing."""

    keys: frozenset[str]
    claims: list[Result] = field(default_factory=list)
    preparations: list[BrokenStage] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    follows: str = ""


def failures_of(results: Sequence[Result], broken: Iterable[BrokenStage]) -> tuple[Failure, ...]:
    """The failures of a run, the earliest in the chain of causes first.

    What fails of nothing but what others failed of before belongs to their failures; what fails of
    one more thing is a failure of its own, too, which may follow from them in part.
    """
    stages = {one.stage.name: one for one in broken}
    unmet = [r for r in results if r.verdict in {"failed", "error"} and r.tested]
    by_preparation = (one for one in stages.values() if one.by_preparation)
    every: list[Result | BrokenStage] = [*by_preparation, *unmet]
    causes: list[_Cause] = []
    for one in sorted(every, key=_order):
        for cause in _causes_of(one, causes):
            if isinstance(one, BrokenStage):
                cause.preparations.append(one)
                cause.broken.append(one.stage.name)
                continue
            cause.claims.append(one)
            own = stages.get(one.claim.stage.name)
            if own and not own.by_preparation and own.cause == one.message.partition("\n")[0]:
                cause.broken.append(own.stage.name)
    return _explained([_failure(cause, results) for cause in causes])


def _causes_of(one: Result | BrokenStage, causes: list[_Cause]) -> list[_Cause]:
    """To which of the causes found so far it belongs, and a new one, where it shows one."""
    keys = frozenset(one.keys)
    found = [cause for cause in causes if cause.keys & keys]
    if new := keys.difference(*(cause.keys for cause in found)):
        follows = _failure(found[0], ()).title if found else ""
        found.append(_Cause(new, follows=follows))
        causes.append(found[-1])
    return found


def _failure(cause: _Cause, results: Sequence[Result]) -> Failure:
    stages = [*(r.claim.stage for r in cause.claims), *(b.stage for b in cause.preparations)]
    return Failure(
        stage=min(stages, key=lambda stage: stage.place),
        claims=tuple(cause.claims),
        preparations=tuple(cause.preparations),
        blocked=tuple(result for result in results if result.blocked_by in cause.broken),
        may_follow_from=cause.follows,
    )


def _order(one: Result | BrokenStage) -> tuple[float, int, bool]:
    """By stage, but for one that explains an earlier one; its claims before its preparation."""
    stage = one.claim.stage if isinstance(one, Result) else one.stage
    place, own = stage.place
    before = min((BY_NAME[name].number for name in stage.explains), default=place + 1)
    return min(before - 0.5, place), own, isinstance(one, BrokenStage)


def _explained(found: Sequence[Failure]) -> tuple[Failure, ...]:
    """Say of each failure which one may explain it: the first of a stage that explains its own."""
    explaining: dict[str, str] = {}
    for failure in found:
        for name in failure.stage.explains:
            explaining.setdefault(name, failure.title)
    return tuple(
        replace(
            failure,
            may_follow_from=failure.may_follow_from or explaining.get(failure.stage.name, ""),
        )
        for failure in found
    )
