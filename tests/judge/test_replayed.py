"""The judge alone: claims are asked of a real cluster's recording, and every one holds.

In the four ways in which that mesh was installed. A claim is left out only for a reason that is
written here.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fixtures.claims import NotClaimed, start_telling, waiting
from fixtures.istio.admission import Admission
from fixtures.istio.cluster import Cluster
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.gateway import Gateway
from fixtures.istio.init_container import InitContainers
from fixtures.istio.injected import InjectedSample
from fixtures.istio.options import read_options
from fixtures.istio.releases import Expected, expected
from fixtures.istio.releases.webhooks import ASKED as ASKED_FOR
from fixtures.istio.restarted import Restarted
from fixtures.istio.sample import PlainSample, Sample
from fixtures.istio.webhooks import Webhooks
from fixtures.istio.workloads import Workloads
from fixtures.k8s.termination import Departure
from fixtures.providers.base import DEMO
from fixtures.run.stages import STAGES, stage_of
from fixtures.traffic.availability import Availability
from fixtures.traffic.client import Client
from tests.judge.replay import Replay, replayed
from tests.unit.states import as_kube

ISTIO, KUBE = "1.29.6", "v1.34.4"
HELM_HAS_NOT = frozenset({"istio-egressgateway", "istiod-revision-tag-default"})
NO_TLS = "no TLS server was recorded"
CUT = "the recorded page is cut after 1500 bytes"
NO_POD = "the pods that opt out were not recorded"
NO_CNI = "the recorded mesh was without Istio's CNI plugin; see test_cni"

# Claims that cannot be asked of the recording of the walk itself, and why.
NOT_RECORDED = {
    "injection/a-pod-that-opts-out-stays-without": NO_POD,
    "injection/a-pod-in-an-unlabelled-namespace-stays-without": NO_POD,
    "injection/the-old-pods-are-gone-in-time": "they were still dying when it was recorded",
    "injection/the-page-still-works": CUT,
    "sample/the-page-shows-details-and-reviews": CUT,
    "gateway/the-page-through-the-gateway-is-whole": CUT,
    "gateway/the-page-stays-reachable": CUT,
    "restart/the-page-is-whole-again": CUT,
    "webhooks/the-ca-bundle-validates-the-certificate-served": NO_TLS,
    "webhooks/the-certificate-served-is-valid-today": NO_TLS,
    "webhooks/the-validators-trust-istiod": NO_TLS,
    "restart/the-new-istiod-is-trusted": NO_TLS,
    "installation/the-cni-agent-is-ready-on-every-node": NO_CNI,
    "installation/the-cni-agent-is-within-a-minor-version-of-istiod": NO_CNI,
    "addons/*": "the add-ons were not installed",
}
# Nor was the Gateway API there: its claims have nouns of their own.
NOUNS_NOT_RECORDED = {"api_gateway", "api_client"}
# What a mesh that was installed otherwise was recorded with: installed, and the sample injected.
VARIANTS = {
    "classic": ("classic/injected", frozenset[str](), "", DEMO),
    "revision": ("revision/injected", frozenset[str](), "canary", DEMO),
    "helm": ("helm/injected", HELM_HAS_NOT, "", frozenset({"ingress-gateway"})),
}
VARIANTS_NOUNS = {
    "control_plane",
    "injected_sample",
    "webhooks",
    "admission",
    "init_containers",
    "workloads",
}
NOT_OF_VARIANTS = {"port-forward", "writes"}
UNSCHEDULABLE = "one pod of the sample found no room on the recorded node"
# Claims that do not hold of a recorded variant, and why that is right.
NOT_SO = {
    "revision injection/the-namespace-asks-for-sidecars": "its namespace asked for the tag prod",
    "helm injection/every-sidecar-is-ready": UNSCHEDULABLE,
    "helm injection/each-service-still-has-its-endpoints": UNSCHEDULABLE,
    "helm init-container/every-pod-has-one-istio-init-that-ended-well": UNSCHEDULABLE,
}


class World:
    """The nouns that claims speak of, made of recorded states."""

    def __init__(self, variant: str = "") -> None:
        self.state, self.absent, self.revision, self.features = VARIANTS.get(
            variant, ("", frozenset[str](), "", DEMO)
        )

    def kube(self, state: str) -> Replay:
        return replayed(self.state or state)

    def rows(self, state: str) -> Expected:
        found = expected(ISTIO, KUBE, [KUBE]).without(self.absent).revised(self.revision)
        return found.set_to(read_options(as_kube(self.kube(state)), self.revision))

    def cluster(self) -> Cluster:
        return Cluster.read(as_kube(self.kube("1-fresh-cluster")), ISTIO)

    def control_plane(self, state: str = "2-istio-installed") -> ControlPlane:
        return ControlPlane(as_kube(self.kube(state)), self.rows(state))

    def plain_sample(self) -> PlainSample:
        state = "3-plain-bookinfo"
        kube, rows = as_kube(replayed(state)), expected(ISTIO, KUBE, [KUBE])
        return PlainSample(kube, rows, first=Sample(kube, rows).remember())

    def injected_sample(self, state: str = "4-injected") -> InjectedSample:
        before = self.plain_sample().first
        kube = as_kube(self.kube(state))
        old = Departure(kube, (), frozenset(), since="the injection")  # see NOT_RECORDED
        return InjectedSample(kube, self.rows(state), before=before, old_pods=old)

    def init_containers(self) -> InitContainers:
        return InitContainers(self.injected_sample())

    def webhooks(self) -> Webhooks:
        sample = self.injected_sample()
        return Webhooks(sample.kube, sample.expected, "bookinfons")

    def admission(self) -> Admission:
        sample = self.injected_sample()
        return Admission(sample.kube, sample.expected, "bookinfons")

    def gateway(self, state: str = "7-gateway") -> Gateway:
        kube = as_kube(self.kube(state))
        mesh = ControlPlane(kube, self.rows(state))
        return Gateway(kube, mesh.expected, "", mesh, way="gateway-forward")

    def client(self) -> Client:
        return Client(self.gateway())

    def workloads(self) -> Workloads:
        return Workloads(self.control_plane("7-gateway"))

    def restarted(self) -> Restarted:
        state, spaces = "12-restarted", ("bookinfons", "istio-system")
        before = (self.kube("7-gateway").list("pods", space) for space in spaces)
        old = frozenset(body["metadata"]["uid"] for bodies in before for body in bodies)
        sample, gateway = self.injected_sample(state), self.gateway(state)
        gone = Departure(sample.kube, spaces, old, since="the restart")
        return Restarted(sample, gateway, old, gone, Availability(asked=()))


def claims() -> Iterator[tuple[str, str, str, Callable[..., None], dict[str, Any]]]:
    """Every claim of the suites: its id, its noun, its feature, and how it is asked."""
    for stage in STAGES:
        for path in stage.modules():
            module = importlib.import_module(f"suites.{path.stem}")
            assert stage_of(module.__name__) == stage
            for name, test in vars(module).items():
                marks = {mark.name: mark for mark in getattr(test, "pytestmark", ())}
                if not name.startswith("test_") or "claim" not in marks:
                    continue
                feature = marks["claim"].kwargs["feature"]
                noun = next(iter(inspect.signature(test).parameters))
                key = name.removeprefix("test_").replace("_", "-")
                given: list[dict[str, Any]] = [{}]
                if "parametrize" in marks:
                    argument, values = marks["parametrize"].args
                    given = [{argument: value} for value in values]
                for arguments in given:
                    yield f"{stage.name}/{key}", noun, feature, test, arguments


def left_out(claim: str) -> bool:
    return claim in NOT_RECORDED or f"{claim.partition('/')[0]}/*" in NOT_RECORDED


ASKED = [
    pytest.param("", noun, test, arguments, id=" ".join([claim, *arguments.values()]))
    for claim, noun, _, test, arguments in claims()
    if not left_out(claim) and noun not in NOUNS_NOT_RECORDED
]
ASKED += [
    pytest.param(variant, noun, test, arguments, id=f"{variant} {claim}")
    for variant, (_, _, _, features) in VARIANTS.items()
    for claim, noun, feature, test, arguments in claims()
    if noun in VARIANTS_NOUNS
    and not left_out(claim)
    and feature not in NOT_OF_VARIANTS
    and (feature not in DEMO or feature in features)
    and f"{variant} {claim}" not in NOT_SO
]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_patience", 0.001)


@pytest.mark.parametrize(("variant", "noun", "claim", "arguments"), ASKED)
def test_a_claim_holds_of_a_real_cluster(
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    noun: str,
    claim: Callable[..., None],
    arguments: dict[str, Any],
) -> None:
    # Of the wishes that a pod can have, two were asked of the real injector.
    asked = {key: value for key, value in ASKED_FOR.items() if "traffic" in key}
    monkeypatch.setattr("fixtures.istio.admission.ASKED", asked)
    subject = getattr(World(variant), noun)()
    telling = start_telling()
    try:
        claim(subject, **arguments)
    except NotClaimed as e:
        pytest.skip(f"not claimed: {e}")
    assert telling.examined, "it looked at nothing"


def test_what_is_left_out_is_named_once_and_exists() -> None:
    known = {claim for claim, *_ in claims()}
    stages = {f"{stage.name}/*" for stage in STAGES}
    assert set(NOT_RECORDED) <= known | stages
    assert sum(not left_out(claim) for claim in known) > 90
