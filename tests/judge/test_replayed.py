"""The judge alone: claims are asked of a real cluster's recording, and every one holds.

In the four ways in which that mesh was installed. A claim is left out only for a reason that is
written here.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested, start_observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.releases.webhooks import OVERRIDES
from fixtures.k8s import Kube
from fixtures.providers.base import DEMO
from fixtures.run.stages import STAGES, SUITE
from tests.judge.replay import ISTIOD, Replay, page, replayed
from tests.judge.world import World, access_of
from tests.recordings import BY_HAND
from tests.unit.states import as_kube

ISTIO, KUBE = "1.29.6", "v1.34.4"
GATEWAYS = frozenset({"istio-ingressgateway", "istio-egressgateway"})
HAS_GATEWAYS = frozenset({"ingress-gateway", "egress-gateway"})
# The day on which they were recorded.
DAY = date(2026, 11, 23)
HELM_HAS_NOT = frozenset({"istio-egressgateway", "istiod-revision-tag-default"})
NO_TLS = "no TLS server was recorded"
CUT = "the recorded page is cut after 1500 bytes"
NO_POD = "the pods that opt out were not recorded"
ONE_ISTIOD = "it has one control plane alone"
NO_CNI = "the recorded mesh was without Istio's CNI plugin; see test_cni"

# Claims that cannot be asked of the recording of the run itself, and why.
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
    "workloads/no-certificate-is-about-to-end": NO_TLS,
    "restart/the-new-istiod-is-trusted": NO_TLS,
    "installation/the-cni-agent-is-ready-on-every-node": NO_CNI,
    "installation/the-cni-agent-is-within-a-minor-version-of-istiod": NO_CNI,
    "installation/every-other-istiod-is-rolled-out": ONE_ISTIOD,
    "webhooks/a-bad-metrics-port-is-refused": "Istio 1.29.6 takes any port for that of metrics",
    "installation/the-gateway-api-in-use-is-watched": "the Gateway API was not installed",
    "addons/*": "the add-ons were not installed",
    "gateways/every-generated-gateway-has-its-pods": "nor was the Gateway API",
    "gateways/every-credential-is-served": "no Gateway named one",
    "configuration/every-subset-in-use-has-pods": "no route led to a subset",
    "configuration/the-mesh-allows-something": "there was no AuthorizationPolicy",
}
# Nor was the Gateway API there: its claims have nouns of their own.
NOUNS_NOT_RECORDED = {
    *("api_gateway", "api_client", "api_gateways", "ambient", "ztunnels", "waypoints"),
    "clash",  # it applies something
    "kube_inject",  # it runs istioctl
}
# Claims of what flows between pods: nothing flows in a recording.
FLOWING = {"sidecars", "ambient-traffic"}
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
    "fleet",
    "gateways",
}
NOT_OF_VARIANTS = {"port-forward", "writes"}
UNSCHEDULABLE = "one pod of the sample found no room on the recorded node"
# Claims that do not hold of a recorded variant, and why that is right.
NOT_SO = {
    "revision injection/the-namespace-asks-for-sidecars": "its namespace asked for the tag prod",
    "helm injection/every-sidecar-is-ready": UNSCHEDULABLE,
    "helm injection/each-service-still-has-its-endpoints": UNSCHEDULABLE,
    "helm installation/the-installer-wrote-the-requested-version": "Helm writes no such label",
    "helm init-container/every-pod-has-one-istio-init-that-ended-well": UNSCHEDULABLE,
}


# The recorded state that shows each moment of the run.
MOMENTS = {
    "cluster": "1-fresh-cluster",
    "installation": "2-istio-installed",
    "sample": "3-plain-bookinfo",
    "gateway": "7-gateway",
    "workloads": "7-gateway",
    "before restart": "7-gateway",
    "restart": "12-restarted",
}


def world(variant: str = "", broken: Replay | None = None) -> World:
    """The recorded run, or a mesh installed otherwise, or one that a fault broke."""
    state, absent, revision, features = VARIANTS.get(variant, ("", frozenset[str](), "", DEMO))

    def kube(moment: str) -> Kube:
        if moment == "sample":
            return as_kube(replayed(MOMENTS[moment]))
        return as_kube(broken or replayed(state or MOMENTS.get(moment, "4-injected")))

    known = {"features": features, "absent": absent, "revision": revision}
    return World(kube, access_of(ISTIO, KUBE, **known), day=DAY)


def claims() -> Iterator[tuple[str, str, str, Callable[..., None], dict[str, Any]]]:
    """Every claim of the suites: its id, its noun, its feature, and how it is asked."""
    for stage in STAGES:
        for path in stage.modules():
            module = importlib.import_module(f"suites.{path.stem}")
            assert SUITE.of(path) == stage
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


REQUESTED = [
    pytest.param("", noun, test, arguments, id=" ".join([claim, *arguments.values()]))
    for claim, noun, feature, test, arguments in claims()
    if not left_out(claim) and noun not in NOUNS_NOT_RECORDED and feature not in FLOWING
]
REQUESTED += [
    pytest.param(
        *(variant, noun, test, arguments),
        id=" ".join([variant, claim, *arguments.values()]),
    )
    for variant, (_, _, _, features) in VARIANTS.items()
    for claim, noun, feature, test, arguments in claims()
    if noun in VARIANTS_NOUNS
    and not left_out(claim)
    and feature not in NOT_OF_VARIANTS
    and (feature not in DEMO or feature in features)
    and f"{variant} {claim}" not in NOT_SO
]


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


@pytest.mark.parametrize(("variant", "noun", "claim", "arguments"), REQUESTED)
def test_a_claim_holds_of_a_real_cluster(
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    noun: str,
    claim: Callable[..., None],
    arguments: dict[str, Any],
) -> None:
    # Of the overrides that a pod can have, two were sent to the real injector.
    fields = {key: value for key, value in OVERRIDES.items() if "traffic" in key}
    monkeypatch.setattr("fixtures.istio.admission.OVERRIDES", fields)
    subject = getattr(world(variant), noun)()
    telling = start_observing()
    claim(subject, **arguments)
    assert telling.inspected, "it looked at nothing"


# An ambient mesh, of a later release: what is asked of any mesh.
AMBIENT_NOUNS = {
    "cluster",
    "control_plane",
    "node_agent",
    "webhooks",
    "workloads",
    "fleet",
    "ambient",
}
NOT_OF_AMBIENT = {"installation/every-other-istiod-is-rolled-out": ONE_ISTIOD}
NONE_ASKS = "no namespace of it asks for sidecars"
NOT_OF_AMBIENT |= {
    "cluster/the-kubernetes-version-is-supported": "Istio 1.31 does not support its Kubernetes",
    "installation/the-ingress-service-has-its-ports": "it has no gateways",
    "installation/istiod-answers-with-the-requested-version": "that page was not recorded",
    "webhooks/exactly-one-injector-matches-a-plain-pod": NONE_ASKS,
    "workloads/one-injector-selects-whatever-asks": NONE_ASKS,
    "workloads/every-pod-that-asks-carries-a-sidecar": NONE_ASKS,
    "workloads/no-sidecar-is-too-old-or-too-new": "there is none",
    "workloads/istio-init-leads-to-the-sidecar": "there is none",
    "workloads/the-images-come-from-registries-that-stay": "its sample's were of one that ends",
}
NOT_OF_AMBIENT |= {claim: why for claim, why in NOT_RECORDED.items() if why == NO_TLS}


def ambient(day: date = DAY) -> World:
    """The ambient mesh, which has no gateways."""
    kube = Replay("ambient/bookinfo", kubernetes="v1.37.2")
    kube.replies[ISTIOD, "/debug/syncz"] = page(BY_HAND["ambient"].text("istio/istiod-syncz.json"))
    known = {"features": DEMO - HAS_GATEWAYS, "absent": GATEWAYS}
    access = access_of("1.31.0", "v1.37.2", **known)
    return World(lambda _: as_kube(kube), access, allowed=True, day=day)


OF_AMBIENT = [
    pytest.param(noun, test, id=claim)
    for claim, noun, feature, test, _ in claims()
    if noun in AMBIENT_NOUNS and feature not in HAS_GATEWAYS and claim not in NOT_OF_AMBIENT
]


@pytest.mark.parametrize(("noun", "claim"), OF_AMBIENT)
def test_a_claim_holds_of_a_real_ambient_mesh(noun: str, claim: Callable[..., None]) -> None:
    subject, telling = getattr(ambient(), noun)(), start_observing()
    claim(subject)
    assert telling.inspected, "it looked at nothing"


def test_ztunnel_is_nobodys_sidecar() -> None:
    for request in (
        ambient().workloads().expect_redirection,
        ambient().workloads().expect_versions,
    ):
        with pytest.raises(NotTested, match="no pod of this cluster has a sidecar"):
            request()


def test_pods_of_an_ambient_mesh_take_images_of_a_registry_that_ends() -> None:
    words = r"images of 6 of 7 workloads in the mesh: .*\(details\) in Deployment flat/details-v1"
    with pytest.raises(ClaimFailed, match=words):
        ambient().workloads().expect_lasting_registries()
    telling = start_observing()
    ambient(day=date(2026, 10, 31)).workloads().expect_lasting_registries()
    assert telling.inspected == 7


def test_what_is_left_out_is_named_once_and_exists() -> None:
    known = {claim for claim, *_ in claims()}
    stages = {f"{stage.name}/*" for stage in STAGES}
    assert set(NOT_RECORDED) <= known | stages
    assert set(NOT_OF_AMBIENT) <= known
    assert sum(not left_out(claim) for claim in known) > 90
