"""What changed between two runs, as data; `reports.compare` shows it.

A regression is a claim that passed and does not any more, or a run that did not end. What is not
tested any more is lost; that is reported, and is a regression only where all is required.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from fixtures.istio.releases import defaults
from reports.stored import Stored, StoredClaim

# A wait is slower if it took half as long again, and so much more that chance does not do it.
SLOWER, SECONDS = 1.5, 2.0
SUBJECT = {
    "istio": "Istio",
    "kubernetes": "Kubernetes",
    "provider": "provider",
    "evidence": "evidence",
    "profile": "profile",
    "fault": "injected fault",
}
SEEN = {
    "version": "Versions that components report",
    "image": "Images",
    "argument": "Arguments",
    "webhook": "Webhooks",
}
NONE = "none"


@dataclass(frozen=True)
class Change:
    """One thing that differs, and details."""

    name: str
    before: str
    after: str
    more: str = ""


@dataclass(frozen=True)
class Section:
    """What changed in one respect; `bad` says that it is a regression."""

    title: str
    changes: tuple[Change, ...]
    bad: bool = False


@dataclass(frozen=True)
class Comparison:
    """Two runs, compared."""

    old: Stored
    new: Stored
    sections: tuple[Section, ...]
    caveats: tuple[str, ...]

    @property
    def regressed(self) -> bool:
        """Whether something is worse than it was."""
        return any(section.bad and section.changes for section in self.sections)

    @property
    def changed(self) -> tuple[Section, ...]:
        """The sections in which something changed."""
        return tuple(section for section in self.sections if section.changes)

    @property
    def sentence(self) -> str:
        """The result in a few words."""
        counts = {s.title: len(s.changes) for s in self.sections}
        regressions = sum(len(s.changes) for s in self.sections if s.bad)
        found = "No regression" if not regressions else f"{regressions} regressions"
        found = "1 regression" if regressions == 1 else found
        more = {"fixed": "Fixes", "lost": "Lost claims", "new": "New claims"}
        return f"{found}, {', '.join(f'{counts[title]} {word}' for word, title in more.items())}."


def compare(old: Stored, new: Stored, *, require_all: bool = False) -> Comparison:
    """Compare a run with an earlier one."""
    both = [(old.claims[name], claim) for name, claim in new.claims.items() if name in old.claims]
    sections = (
        Section("Regressions", (*_ended(old, new), *_turned(both, worse=True)), bad=True),
        Section("Lost claims", tuple(_lost(old, new)), bad=require_all),
        Section("Fixes", tuple(_turned(both, worse=False))),
        Section("Still failing", tuple(_still(both))),
        Section("New claims", tuple(_gained(old, new))),
        Section("Fewer objects inspected", tuple(_fewer(both))),
        Section("Slower waits", tuple(_slower(old.waits, new.waits))),
        *surroundings(old, new),
    )
    return Comparison(old, new, sections, tuple(_caveats(old, new)))


def surroundings(old: Stored, new: Stored) -> tuple[Section, ...]:
    """What differs beside the results: the subject, and what the claims recorded of it."""
    seen = (
        Section(title, tuple(_changed(old.seen.get(kind, {}), new.seen.get(kind, {}))))
        for kind, title in SEEN.items()
        if kind in old.seen and kind in new.seen
    )
    return (
        Section("Subject", tuple(_subject(old, new))),
        Section("Defaults of Istio", tuple(_defaults(old, new))),
        *seen,
    )


def _ended(old: Stored, new: Stored) -> Iterator[Change]:
    """A run that did not come to its first claim has nothing else to compare."""
    if old.complete and not new.complete:
        yield Change("the run", "complete", "INCOMPLETE", new.reason)


def _turned(both: list[tuple[StoredClaim, StoredClaim]], *, worse: bool) -> Iterator[Change]:
    for before, after in both:
        if (before.passed and after.wrong) if worse else (before.wrong and after.passed):
            more = after.message if worse else after.text
            yield Change(after.id, before.verdict, after.verdict, more)


def _still(both: list[tuple[StoredClaim, StoredClaim]]) -> Iterator[Change]:
    for before, after in both:
        if before.wrong and after.wrong:
            yield Change(after.id, before.verdict, after.verdict, after.message)


def _lost(old: Stored, new: Stored) -> Iterator[Change]:
    """What passed and is not tested any more, or not claimed."""
    for before in old.claims.values():
        after = new.claims.get(before.id)
        if after is None:
            yield Change(before.id, before.verdict, "not among the claims", before.text)
        elif before.verdict != "not-claimed" and after.verdict == "not-claimed":
            yield Change(before.id, before.verdict, "not claimed", after.message)


def _gained(old: Stored, new: Stored) -> Iterator[Change]:
    for after in new.claims.values():
        before = old.claims.get(after.id)
        if before is None:
            yield Change(after.id, "not among the claims", after.verdict, after.text)
        elif before.verdict == "not-claimed" != after.verdict:
            yield Change(after.id, "not claimed", after.verdict, after.message or after.text)


def _fewer(both: list[tuple[StoredClaim, StoredClaim]]) -> Iterator[Change]:
    for before, after in both:
        if before.passed and after.passed and after.examined < before.examined:
            yield Change(after.id, str(before.examined), str(after.examined), after.text)


def _slower(old: Mapping[str, float], new: Mapping[str, float]) -> Iterator[Change]:
    for what, used in new.items():
        before = old.get(what, 0.0)
        if what in old and used > before * SLOWER and used - before >= SECONDS:
            yield Change(what, f"{before:.1f} s", f"{used:.1f} s")


def _subject(old: Stored, new: Stored) -> Iterator[Change]:
    for name, words in SUBJECT.items():
        before, after = old.subject[name], new.subject[name]
        if before != after:
            yield Change(words, before or NONE, after or NONE)
    if modes := _modes(old, new):
        yield Change("data plane mode", *modes)
    before, after = set(old.subject["features"]), set(new.subject["features"])
    for feature in sorted(before ^ after):
        there = ("declared", "absent")
        yield Change(f"feature {feature}", *(there if feature in before else there[::-1]))


def _modes(old: Stored, new: Stored) -> tuple[str, str] | None:
    """The modes of both, where they differ; a report from before does not say its own."""
    modes = str(old.subject["data_plane"]), str(new.subject["data_plane"])
    return modes if all(modes) and modes[0] != modes[1] else None


def _defaults(old: Stored, new: Stored) -> Iterator[Change]:
    """What the releases do otherwise by themselves, whatever the mesh is set to."""
    try:
        found = defaults.changed(*(str(run.subject["istio"]) for run in (old, new)))
    except ValueError:  # of a run that came to no mesh
        return
    for about, (before, after) in found.items():
        yield Change(about, str(before), str(after))


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield Change(name, old.get(name, "not recorded"), new.get(name, "not recorded"))


def _caveats(old: Stored, new: Stored) -> Iterator[str]:
    """What makes the comparison worth less than it looks."""
    for which, run in (("OLD", old), ("NEW", new)):
        if not run.complete:
            yield f"{which} is INCOMPLETE: what it did not come to counts as failing."
        if run.partial:
            yield f"{which} is PARTIAL: only a selection of claims was tested in it."
        for what in run.lacks:
            yield f"{which} is of an older form and does not hold {what}: not compared."
    for before, after in pairwise((old, new)):
        kinds = before.subject["evidence"], after.subject["evidence"]
        if kinds[0] != kinds[1]:
            yield f"OLD is of evidence {kinds[0]}, NEW of {kinds[1]}: they are not of one kind."
        if modes := _modes(before, after):
            line = "OLD ran in {} mode, NEW in {} mode".format(*modes)
            yield f"{line}: claims about one mode only are not claimed in the other."
    if "rehearsal" in {old.subject["evidence"], new.subject["evidence"]}:
        yield "A rehearsal proves nothing about a real cluster, and neither does its comparison."
