"""Configuration that leads nowhere or closes everything, and what looks like it and is well.

On the recorded cluster with its VirtualService, and objects as people have them beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.claims import NotApplicable
from fixtures.claims.observations import observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.configuration import Configuration
from fixtures.k8s import Body
from tests.judge.replay import Replay, replayed
from tests.judge.test_living import fails, holds, of

NETWORKING = "networking.istio.io"
VIRTUAL, RULES = f"virtualservices.{NETWORKING}", f"destinationrules.{NETWORKING}"
ENTRIES, POLICIES = f"serviceentries.{NETWORKING}", "authorizationpolicies.security.istio.io"


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


@pytest.fixture
def kube() -> Replay:
    """The recorded mesh, for a test to change."""
    return replayed("7-gateway", apart=True)


def configuration(kube: Replay) -> Configuration:
    found: Configuration = of(kube, "configuration")
    return found


def add(kube: Replay, kind: str, name: str, spec: Body, namespace: str = "bookinfons") -> None:
    kube.add(kind, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})


def route(*destinations: Body, **more: Any) -> Body:
    """A VirtualService at the gateway that there is."""
    spec = {"hosts": ["shop.example"], "gateways": ["bookinfons/bookinfo-gateway"]}
    return {**spec, "http": [{"route": list(destinations)}], **more}


def to(host: str, **more: Any) -> Body:
    subset = {"subset": more.pop("subset")} if "subset" in more else {}
    return {"destination": {"host": host, **subset}, **more}


REVIEWS = to("reviews")


@pytest.mark.parametrize(
    ("gateway", "words"),
    [
        ("gone", "Gateway bookinfons/gone, which does not exist"),
        ("other/gone", "Gateway other/gone, which does not exist"),
        ("gone.other.svc.cluster.local", "Gateway other/gone, which does not exist"),
    ],
    ids=["of its namespace", "of another", "in full"],
)
def test_a_gateway_that_does_not_exist(kube: Replay, gateway: str, words: str) -> None:
    add(kube, VIRTUAL, "shop", route(REVIEWS, gateways=["mesh", gateway]))
    message = fails(configuration(kube).expect_named)
    assert "1 of 2 VirtualServices" in message
    assert f"bookinfons/shop: {words}" in message
    assert f"next: kubectl -n bookinfons get {VIRTUAL} shop -o yaml" in message
    namespace = "bookinfons" if gateway == "gone" else "other"
    assert f"next: kubectl -n {namespace} get gateways.{NETWORKING}" in message


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("nowhere", "nowhere.bookinfons.svc.cluster.local, of which there is no Service"),
        ("reviews.other.svc.cluster.local", "reviews.other.svc.cluster.local, of which"),
        ("reviews.bookinfons", "reviews.bookinfons, of which there is no Service"),
        ("api.example", "api.example, of which there is no Service or ServiceEntry"),
    ],
    ids=["short", "in full", "in part, which Istio does not resolve", "outside"],
)
@pytest.mark.parametrize("protocol", ["http", "tcp", "tls", "mirror"])
def test_a_destination_that_does_not_exist(
    kube: Replay, host: str, words: str, protocol: str
) -> None:
    spec = route(to(host))
    if protocol == "mirror":
        spec["http"] = [{"route": [REVIEWS], "mirror": {"host": host}}]
    elif protocol != "http":
        spec[protocol] = spec.pop("http")
    add(kube, VIRTUAL, "shop", spec)
    assert f"bookinfons/shop: {words}" in fails(configuration(kube).expect_named)


def test_a_service_that_is_exported_to_others(kube: Replay) -> None:
    def hide(service: Body) -> None:
        service["metadata"].setdefault("annotations", {})["networking.istio.io/exportTo"] = "."

    kube.change("services", "reviews", hide)
    holds(configuration(kube).expect_named)
    add(kube, VIRTUAL, "shop", route(to("reviews.bookinfons.svc.cluster.local")), "other")
    words = "which is not exported to its namespace"
    assert words in fails(configuration(kube).expect_named)


@pytest.mark.parametrize(
    ("entry", "exported", "host"),
    [
        ("api.example", None, "api.example"),
        ("*.example", ["*"], "api.example"),
        ("*.example", ["."], "*.example"),
        ("reviews.other.svc.cluster.local", ["bookinfons"], "reviews.other.svc.cluster.local"),
    ],
)
def test_living_h_a_destination_of_a_service_entry(
    kube: Replay, entry: str, exported: list[str] | None, host: str
) -> None:
    spec = {"hosts": [entry], **({"exportTo": exported} if exported else {})}
    add(kube, ENTRIES, "outside", spec)
    add(kube, VIRTUAL, "shop", route(to(host)))
    assert holds(configuration(kube).expect_named).notes == []


def test_living_h_gateways_that_exist_elsewhere_and_sidecars(kube: Replay) -> None:
    spec = route(REVIEWS, gateways=["mesh", "bookinfons/bookinfo-gateway"])
    add(kube, VIRTUAL, "shop", spec, "bookinfons")
    add(kube, VIRTUAL, "delegate", {"http": [{"route": [REVIEWS]}]}, "bookinfons")
    add(kube, VIRTUAL, "going", {**spec, "gateways": ["gone"]}, "bookinfons")
    kube.change(VIRTUAL, "going", lambda b: b["metadata"].update(deletionTimestamp="2026-01-01"))
    assert holds(configuration(kube).expect_named).notes == []


def test_living_h_a_host_of_another_cluster_of_the_mesh_is_noted(kube: Replay) -> None:
    add(
        kube,
        VIRTUAL,
        "shop",
        route(to("db.data.svc.cluster.local"), gateways=["bookinfo-gateway"]),
    )

    def several(config: Body) -> None:
        config["data"]["values"] = '{"global": {"network": "north"}}'

    kube.change("configmaps", "istio-sidecar-injector", several)
    (told,) = holds(configuration(kube).expect_named).notes
    assert "bookinfons/shop leads to db.data.svc.cluster.local" in told


def test_a_virtual_service_for_sidecars_and_a_host_of_nobody_is_noted(kube: Replay) -> None:
    add(kube, VIRTUAL, "lost", {"hosts": ["nobody"], "http": [{"route": [REVIEWS]}]})
    (told,) = holds(configuration(kube).expect_named).notes
    assert "bookinfons/lost (nobody.bookinfons.svc.cluster.local)" in told


def test_living_h_what_is_applied_a_moment_later_is_no_failure(kube: Replay) -> None:
    """The one after the other: the picture was read in between."""
    add(kube, VIRTUAL, "shop", route(REVIEWS, gateways=["later"]))
    subject = configuration(kube)
    finding = kube.find

    def find(kind: str, name: str, namespace: str | None = None) -> Body | None:
        if name == "later":
            return {"metadata": {"name": name}}
        return finding(kind, name, namespace)

    kube.find = find  # type: ignore[method-assign]  # for this one object
    holds(subject.expect_named)


# Subsets


def rule(**labels: str) -> Body:
    subsets = [{"name": "one", "labels": labels}]
    return {"host": "reviews", "subsets": subsets}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([], "which no DestinationRule defines"),
        ([rule(version="v9")], "and no pod of it has version=v9"),
        ([{"host": "ratings", "subsets": [{"name": "one"}]}], "which no DestinationRule defines"),
    ],
    ids=["undefined", "of no pod", "of another host"],
)
def test_a_subset_that_leads_nowhere(kube: Replay, rules: list[Body], words: str) -> None:
    add(kube, VIRTUAL, "shop", route(to("reviews", subset="one")))
    for number, spec in enumerate(rules):
        add(kube, RULES, f"rule-{number}", spec)
    message = fails(configuration(kube).expect_subsets)
    assert "bookinfons/shop: subset one of reviews.bookinfons.svc.cluster.local, " in message
    assert words in message
    assert f"next: kubectl get {RULES} -A" in message
    assert "next: kubectl -n bookinfons get pods --show-labels" in message


def test_living_h_subsets_with_pods_and_subsets_that_get_nothing(kube: Replay) -> None:
    add(kube, RULES, "reviews", rule(version="v1"))
    add(
        kube,
        RULES,
        "next",
        {"host": "reviews", "subsets": [{"name": "two", "labels": {"a": "b"}}]},
    )
    both = (to("reviews", subset="one", weight=100), to("reviews", subset="two", weight=0))
    add(kube, VIRTUAL, "shop", route(*both))
    (told,) = holds(configuration(kube).expect_subsets).notes
    assert "bookinfons/shop, weight 0: subset two, and no pod of it has a=b" in told


def test_living_h_a_subset_whose_pods_are_on_their_way(kube: Replay) -> None:
    add(kube, RULES, "reviews", rule(version="v1"))
    add(kube, VIRTUAL, "shop", route(to("reviews", subset="one")))
    kube.remove("pods", "reviews-v1")
    holds(configuration(kube).expect_subsets)


def test_living_h_subsets_of_hosts_outside(kube: Replay) -> None:
    add(kube, RULES, "api", {"host": "*.example", "subsets": [{"name": "one"}]})
    add(kube, VIRTUAL, "shop", route(to("api.example", subset="one")))
    holds(configuration(kube).expect_subsets)


def test_where_no_route_leads_to_a_subset_nothing_is_claimed(kube: Replay) -> None:
    with pytest.raises(NotApplicable):
        configuration(kube).expect_subsets()


# Policies


def test_a_policy_that_denies_the_whole_mesh(kube: Replay) -> None:
    add(kube, POLICIES, "closed", {}, "istio-system")
    message = fails(configuration(kube).expect_way_left)
    assert "istio-system/closed: it is for the whole mesh and denies every request" in message


def test_a_denial_of_everything_is_noticed_whatever_else_is_allowed(kube: Replay) -> None:
    add(kube, POLICIES, "closed", {"action": "DENY", "rules": [{}]}, "istio-system")
    add(kube, POLICIES, "open", {"rules": [{}]})
    assert "istio-system/closed" in fails(configuration(kube).expect_way_left)


@pytest.mark.parametrize(
    "policy",
    [{}, {"action": "ALLOW"}, {"action": "ALLOW", "rules": []}],
    ids=["empty", "no rules", "an empty list"],
)
def test_living_h_nothing_is_allowed_but_what_others_allow(kube: Replay, policy: Body) -> None:
    """What Istio's own documentation advises: deny by default, and allow piece by piece."""
    add(kube, POLICIES, "deny-by-default", policy, "istio-system")
    add(kube, POLICIES, "open", {"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]})
    (told,) = holds(configuration(kube).expect_way_left).notes
    assert "istio-system/deny-by-default denies in all of the mesh what no other" in told


@pytest.mark.parametrize(
    "policy",
    [
        {"selector": {"matchLabels": {"app": "x"}}},
        {"action": "DENY", "rules": [{"from": [{"source": {"namespaces": ["x"]}}]}]},
        {"action": "DENY"},
        {"action": "AUDIT"},
    ],
    ids=["of one workload", "of one source", "of nothing", "an audit"],
)
def test_living_h_policies_that_leave_a_way(kube: Replay, policy: Body) -> None:
    add(kube, POLICIES, "some", policy, "istio-system")
    assert holds(configuration(kube).expect_way_left).notes == []


def test_living_h_a_namespace_may_be_closed(kube: Replay) -> None:
    add(kube, POLICIES, "closed", {})
    with observing() as observations:
        configuration(kube).expect_way_left()
    assert "bookinfons/closed denies in all of its namespace" in observations.notes[0]
