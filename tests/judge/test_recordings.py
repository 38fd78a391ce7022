"""The judge alone: claims are tested again on each recording that the suite itself made.

A claim that held of the real cluster holds of its recording, and one that did not, does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache, lru_cache, partial
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested, start_observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.proxies import METRICS
from fixtures.k8s import Body, Reply, Unreachable
from fixtures.k8s.kinds import Kinds
from fixtures.traffic import client, gateway_access
from fixtures.traffic.certificate import Certificate
from fixtures.traffic.http import GET
from tests.judge.test_replayed import claims
from tests.judge.world import World, access_of
from tests.recordings import Recording, answers, recorded
from tests.unit.states import FakeKube, as_kube

# What a recording cannot say again, and why: a claim that is newer than it, and reads what was
# not kept (a page or a dry run of its own).
NOT_AGAIN = {
    "workloads/no-certificate-is-about-to-end": "no handshake of its own was recorded",
    "installation/every-other-istiod-is-rolled-out": "each had one control plane alone",
    "gateways/every-credential-is-served": "no Gateway of theirs named one",
    "configuration/every-subset-in-use-has-pods": "no route of theirs led to a subset",
    "configuration/the-mesh-allows-something": "none of them had an AuthorizationPolicy",
}
# Stages that are newer than all recordings, and after which other they are tested there.
NEWER_STAGES = {"gateways": "workloads", "configuration": "workloads"}
# Claims that hold of no recording, since no recorded cluster had what they speak of.
NEVER_RECORDED = {
    **NOT_AGAIN,
    "traffic": "nothing flows in a recording",
    "mutual-tls": "nor does it there",
    "ambient-traffic": "nor there",
    "gateway/a-clashing-gateway-changes-nothing": "nor is anything applied to it",
    "injection/kube-inject-makes-what-the-webhook-makes": "no istioctl is run over a recording",
    "addons": "--provider existing deploys none, and not all of their images were at hand",
}
# Claims that are newer than every recording and do not hold of them, as they did not hold of the
# real clusters on the day.
NEWER_AND_FALSE = {
    "workloads/the-images-come-from-registries-that-stay": "its sample's were of one that ends",
}
# What failed of a recorded cluster and is no fault any more: by recording, claims with the reason.
NO_FAULT_NOW = {
    "1.32.0-1.37.2-ambient-without-cni-agent": {
        "ambient/ztunnel-serves-exactly-the-captured-pods": "a pod that has ended is a note"
    }
}


class Recorded(FakeKube):
    """The cluster as it was after one claim, with the answers to that claim."""

    def __init__(self, recording: Recording, claim: str, moment: str) -> None:
        super().__init__(state(recording.name, state_at(recording.name, moment)))
        self.kinds = Kinds(self.raw)
        self._answers = kept(recording.name)
        self._claim = claim

    def answer(self, question: str) -> Any:
        """What was answered then: to this claim, or to one before it."""
        found = [bucket[question] for bucket in self._answers.values() if question in bucket]
        own = self._answers.get(self._claim, {}).get(question)
        if own is None and not found:
            raise LookupError(f"not recorded: {question[:300]}")
        return answers.given(own or found[-1])

    def raw(self, path: str) -> Any:
        return self.answer(answers.raw(path))

    def logs(self, pod: str, namespace: str, container: str = "", **_: Any) -> Any:
        return self.answer(answers.log(pod, namespace, container))

    def create(self, kind: str, body: Body, _namespace: str, *, dry_run: bool = False) -> Any:
        assert dry_run, "a recording cannot be written to"
        return self.answer(answers.dry_run(kind, body))

    @contextmanager
    def forward(self, pod: str, namespace: str, port: int) -> Iterator[Any]:
        def get(path: str, *_: Any, **__: Any) -> Any:
            try:
                return self.answer(answers.pod_port(pod, namespace, port, path))
            except LookupError as e:
                if path != METRICS:  # which claims do without
                    raise
                raise Unreachable("not recorded") from e

        @contextmanager
        def connect(*_: Any) -> Iterator[None]:
            yield None

        yield SimpleNamespace(get=get, connect=connect)


@lru_cache(maxsize=8)  # a parsed state is some MB
def state(name: str, number: str) -> dict[str, list[Body]]:
    found: dict[str, list[Body]] = Recording(name).json(f"states/{number}.json")
    return found


@cache
def kept(name: str) -> dict[str, Any]:
    found: dict[str, Any] = Recording(name).json("answers.json")
    return found


@cache
def verdicts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = Recording(name).json("claims.json")
    return found


def state_at(name: str, moment: str) -> str:
    """The number of a state: after a claim, or after the last claim of a stage."""
    reported = verdicts(name)
    if moment in reported:
        return str(reported[moment]["state"])
    stage = stage_at(name, moment)  # of a claim that is newer than the recording, too
    of_stage = [one["state"] for claim, one in reported.items() if claim.startswith(f"{stage}/")]
    return str(max(filter(None, of_stage), key=int))


def stage_at(name: str, moment: str) -> str:
    """The recorded stage after which a claim, or a stage, is tested."""
    stage = moment.partition("/")[0]
    recorded = any(claim.startswith(f"{stage}/") for claim in verdicts(name))
    return stage if recorded else NEWER_STAGES.get(stage, stage)


def world(recording: Recording, claim: str) -> World:
    known = recording.about["known"]
    sets = {key: frozenset(known[key]) for key in ("features", "absent")}
    more = {key: known[key] for key in ("revision", "hub", "node_address", "read_only")}
    # What was before is of an earlier time; all else is as it was when this claim was tested.
    earlier = {"sample": "sample", "before restart": "gateway"}
    stage = claim.partition("/")[0]

    def kube(moment: str) -> Any:
        then = earlier.get(moment, "") if moment != stage else ""
        return as_kube(Recorded(recording, claim, then or claim))

    return World(
        kube,
        access_of(known["istio_version"], known["kube_version"], **sets, **more),
        host=known["host"],
        allowed="--allow-unsupported" in recording.about["options"],
        labelled="bookinfons-labelled",
        day=datetime.fromisoformat(recording.about["recorded"]).date(),
    )


def verdict(recording: Recording, claim: str, feature: str) -> str:
    """What the run said of a claim; one that is newer is to hold, where there is what it is about.

    It is tested on the state after its stage. Nobody knows what it says of a broken cluster.
    """
    reported = verdicts(recording.name)
    if claim in NO_FAULT_NOW.get(recording.name, {}):
        return "passed"
    if claim in reported:
        return str(reported[claim]["verdict"])
    if "broken" in recording.about:
        return "not-claimed"
    there = not feature or feature in recording.about["known"]["features"]
    stage = stage_at(recording.name, claim)
    tested = any(one["state"] for key, one in reported.items() if key.startswith(f"{stage}/"))
    if not there or not tested:
        return "not-claimed"
    return "failed" if claim in NEWER_AND_FALSE else "passed"


def again() -> Iterator[Any]:
    """Every claim of the suites that recorded clusters can be held against."""
    for name in recorded():
        recording = Recording(name)
        if "known" not in recording.about:
            continue  # by hand, see test_replayed
        for claim, noun, feature, test, arguments in claims():
            of = "".join([claim, *(f"[{value}]" for value in arguments.values())])
            message = verdict(recording, of, feature)
            if message in ("passed", "failed") and claim not in NOT_AGAIN:
                requested = partial(test, **arguments)
                yield pytest.param(name, of, noun, requested, message, id=f"{name} {of}")


@pytest.fixture(autouse=True)
def _as_then() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


@pytest.mark.parametrize(("name", "claim", "noun", "test", "printed"), list(again()))
def test_a_claim_says_the_same_of_the_recording(  # a case's columns
    monkeypatch: pytest.MonkeyPatch, name: str, claim: str, noun: str, test: Any, printed: str
) -> None:
    recording = Recording(name)
    of = world(recording, claim)
    kube: Any = of.kube(claim.partition("/")[0])
    marks = iter(range(1, 1000))
    now = datetime.fromisoformat(recording.about["recorded"])
    left = Certificate.left

    def fetch(_base: str, request: GET, *_: Any) -> Reply:
        reply: Reply = kube.answer(answers.from_outside(request.path))
        return reply

    def served(_door: None, *, name: str, authorities: str, timely: bool = True) -> Any:
        return kube.answer(answers.handshake(name, authorities, timely=timely))

    monkeypatch.setattr(client, "_new_mark", lambda: answers.mark(claim, next(marks)))
    monkeypatch.setattr(gateway_access, "fetch", fetch)
    monkeypatch.setattr(Certificate, "served", staticmethod(served))
    monkeypatch.setattr(Certificate, "left", lambda of: left(of, now))
    telling = start_observing()
    seen = "passed"
    try:
        test(getattr(of, noun)())
    except ClaimFailed as e:
        seen = f"failed: {e}"
    except NotTested as e:
        seen = f"not claimed: {e}"
    assert seen.startswith(printed), seen
    assert telling.inspected or printed != "passed", "it looked at nothing"


def test_a_claim_newer_than_a_recording_is_tested_on_it() -> None:
    older = Recording("1.32.0-1.34.4-native")
    assert verdict(older, "gateway/something-new", "") == "passed"
    assert verdict(older, "gateway/something-new", "gateway-api") == "not-claimed"
    assert verdict(older, "ambient/something-new", "") == "not-claimed"
    broken = Recording("1.32.0-1.37.2-ambient-without-ztunnel")
    assert verdict(broken, "ambient/something-new", "") == "not-claimed"


def test_what_is_never_recorded_is_named_with_its_reason() -> None:
    held = {claim.partition("[")[0] for _, claim, *_ in (one.values for one in again())}
    never = {claim for claim, *_ in claims()} - held
    assert {
        c for c in never if c not in NEVER_RECORDED and c.partition("/")[0] not in NEVER_RECORDED
    } == set()
    assert {key for key in NEVER_RECORDED if not any(c.startswith(key) for c in never)} == set()
