"""Whether istiod watches the kinds of the Gateway API that are in use, by their definitions."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotApplicable, NotTested
from fixtures.claims.observations import observing
from fixtures.istio.bundles import Installed, expect_watched
from fixtures.istio.releases import expected
from fixtures.istio.releases.gateway_api import ALPHA, WATCHED
from fixtures.istio.releases.rows import all_for
from fixtures.k8s import Refused
from tests.golden import Golden
from tests.unit.states import FakeKube, as_kube

Body = dict[str, Any]

GROUP = "gateway.networking.k8s.io"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
KINDS = {
    "gatewayclasses": "GatewayClass",
    "gateways": "Gateway",
    "httproutes": "HTTPRoute",
    "grpcroutes": "GRPCRoute",
    "tlsroutes": "TLSRoute",
    "tcproutes": "TCPRoute",
    "backendtlspolicies": "BackendTLSPolicy",
    "listenersets": "ListenerSet",
}


def definition(plural: str, bundle: str, channel: str = "standard") -> Body:
    annotations = {f"{GROUP}/bundle-version": bundle, f"{GROUP}/channel": channel}
    return {
        "metadata": {"name": f"{plural}.{GROUP}", "annotations": annotations if bundle else {}},
        "spec": {
            "group": GROUP,
            "names": {"plural": plural, "kind": KINDS[plural]},
            "versions": [{"name": "v1", "served": True}],
        },
    }


def named(name: str, **spec: Any) -> Body:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


class Cluster:
    """A cluster with one Gateway of istiod's and one of somebody else's."""

    def __init__(self, *definitions: Body) -> None:
        have = {body["metadata"]["name"] for body in definitions}
        core = [definition(plural, "v1.6.0") for plural in list(KINDS)[:3]]
        rest = [body for body in core if body["metadata"]["name"] not in have]
        classes = {"istio": "istio.io/gateway-controller", "other": "example.com/gateways"}
        self.kube = FakeKube(
            {"apiextensions.k8s.io/v1/customresourcedefinitions": [*rest, *definitions]}
        )
        for name, controller in classes.items():
            self.kube.add(f"gatewayclasses.{GROUP}", named(name, controllerName=controller))
            self.kube.add(f"gateways.{GROUP}", named(f"of-{name}", gatewayClassName=name))

    def add(self, plural: str, *bodies: Body) -> Cluster:
        for body in bodies:
            self.kube.add(f"{plural}.{GROUP}", body)
        return self

    def request(self, istio: str = "1.31.0", **env: str) -> list[str]:
        container = {"env": [{"name": name, "value": value} for name, value in env.items()]}
        istiod = {"spec": {"template": {"spec": {"containers": [container]}}}}
        with observing() as seen:
            expect_watched(as_kube(self.kube), expected(istio, "v1.35.0", ["v1.35.0"]), istiod)
        assert seen.inspected
        return seen.notes


def route(name: str, to: str = "of-istio", **more: str) -> Body:
    return named(name, parentRefs=[{"name": to, **more}])


OLD_TLS = definition("tlsroutes", "v1.4.1", "experimental")


def test_living_b9_what_istiod_ignores_is_reported_with_its_objects_and_both_bundles(
    golden: Golden,
) -> None:
    cluster = Cluster(OLD_TLS).add("tlsroutes", route("b"), route("a"), route("c", "of-other"))
    with pytest.raises(ClaimFailed) as caught:
        cluster.request()
    golden(caught.value.message)
    assert caught.value.next_steps[0] == f"kubectl get crd tlsroutes.{GROUP} -o yaml"


def test_every_kind_that_is_ignored_is_named_and_many_objects_are_counted() -> None:
    old = [OLD_TLS, definition("tcproutes", "v1.5.0")]
    many = [route(f"r{number}") for number in range(9)]
    cluster = Cluster(*old).add("tlsroutes", *many).add("tcproutes", route("one"))
    with pytest.raises(ClaimFailed) as caught:
        cluster.request()
    assert "TLSRoute of bundle 1.5.0 or newer, TCPRoute of bundle 1.6.0" in caught.value.message
    assert "9 objects: shop/r0, shop/r1, shop/r2, shop/r3, shop/r4, ...;" in caught.value.message
    assert "1 object: shop/one" in caught.value.message


def test_a_route_for_the_mesh_counts_too() -> None:
    cluster = Cluster(OLD_TLS).add("tlsroutes", route("a", "any", kind="Service", group=""))
    with pytest.raises(ClaimFailed, match="1 object: shop/a"):
        cluster.request()


@pytest.mark.parametrize("gateway", ["of-istio", "of-other"])
def test_a_set_of_listeners_belongs_to_its_gateway(gateway: str) -> None:
    cluster = Cluster(OLD_TLS, definition("listenersets", "v1.6.0"))
    cluster.add("tlsroutes", route("a", "set", kind="ListenerSet"))
    cluster.add("listenersets", named("set", parentRef={"name": gateway}))
    if gateway == "of-other":
        cluster.request()
        return
    with pytest.raises(ClaimFailed, match="1 object: shop/a"):
        cluster.request()


def test_a_policy_counts_where_istiod_has_a_gateway() -> None:
    old = definition("backendtlspolicies", "v1.3.0", "experimental")
    policy = named("p", targetRefs=[{"kind": "Service", "name": "a"}])
    cluster = Cluster(old).add("backendtlspolicies", policy)
    with pytest.raises(ClaimFailed, match=r"BackendTLSPolicy of bundle 1\.4\.0 or newer"):
        cluster.request()
    cluster.kube.remove(f"gateways.{GROUP}", "of-istio")
    cluster.request()


def test_a_kind_without_objects_for_this_mesh_may_be_of_any_bundle() -> None:
    assert Cluster(OLD_TLS).add("tlsroutes", route("c", "of-other")).request() == [
        "Gateway API, bundle v1.6.0 (standard): Gateway, GatewayClass, HTTPRoute",
        "Gateway API, bundle v1.4.1 (experimental): TLSRoute",
    ]


def test_a_controller_that_goes_by_another_name_is_istiods_all_the_same() -> None:
    cluster = Cluster(OLD_TLS).add("tlsroutes", route("c", "of-other"))
    with pytest.raises(ClaimFailed, match="shop/c"):
        cluster.request(PILOT_GATEWAY_API_CONTROLLER_NAME="example.com/gateways")


@pytest.mark.parametrize(
    ("bundle", "words"),
    [("", "no bundle that its annotation"), ("monthly-2026.05", "bundle monthly-2026.05")],
)
def test_a_bundle_that_istiod_cannot_read_is_ignored_by_it(bundle: str, words: str) -> None:
    cluster = Cluster(definition("tlsroutes", bundle)).add("tlsroutes", route("a"))
    with pytest.raises(ClaimFailed, match=words):
        cluster.request()


def test_a_definition_that_says_no_bundle_is_noted_where_istiod_does_not_mind() -> None:
    notes = Cluster(definition("httproutes", "")).add("httproutes", route("a")).request()
    assert any("no bundle that its annotation" in note and "HTTPRoute" in note for note in notes)


def test_what_is_missing_of_an_installation_in_part_is_noted(golden: Golden) -> None:
    cluster = Cluster()
    cluster.kube.remove(CRDS, "httproutes")
    golden(cluster.request()[-1])


def test_without_the_gateway_api_nothing_is_claimed() -> None:
    cluster = Cluster()
    cluster.kube.remove(CRDS, "g")
    cluster.kube.remove(CRDS, "http")
    with pytest.raises(NotApplicable, match="not installed"):
        cluster.request()
    with pytest.raises(NotApplicable, match="PILOT_ENABLE_GATEWAY_API=false"):
        Cluster().request(PILOT_ENABLE_GATEWAY_API="false")


def test_who_may_not_list_them_cannot_be_reported() -> None:
    cluster = Cluster(OLD_TLS)

    def forbidden(kind: str, *_: Any, **__: Any) -> list[Body]:
        if GROUP not in kind:
            return listed(kind)
        raise Refused(403, reason="Forbidden")

    listed, cluster.kube.list = cluster.kube.list, forbidden  # type: ignore[method-assign]  # this user
    with pytest.raises(NotTested, match="may not list gatewayclasses"):
        cluster.request()


def installed(plural: str, bundle: str, *served: str) -> Installed:
    return Installed(plural, KINDS[plural], bundle, "standard", served)


@pytest.mark.parametrize(
    ("plural", "istio", "bundle", "version", "watched"),
    [
        ("grpcroutes", "1.22.0", "v1.0.0", "v1", False),
        ("grpcroutes", "1.31.0", "v1.1.0", "v1", True),
        ("grpcroutes", "1.31.0", "v1.1.0", "v1alpha2", False),
        ("backendtlspolicies", "1.28.0", "v1.3.0", "v1alpha3", False),
        ("backendtlspolicies", "1.27.0", "v1.3.0", "v1alpha3", True),
        ("tlsroutes", "1.27.8", "v1.4.1", "v1alpha2", True),
        ("tlsroutes", "1.27.9", "v1.4.1", "v1alpha2", False),
        ("tlsroutes", "1.28.6", "v1.4.1", "v1alpha2", False),
        ("tlsroutes", "1.28.7", "v1.4.1", "v1alpha2", True),
        ("tlsroutes", "1.29.1", "v1.5.0", "v1", False),
        ("tlsroutes", "1.29.2", "v1.4.1", "v1alpha2", False),
        ("tlsroutes", "1.29.6", "v1.5.0", "v1", False),
        ("tlsroutes", "1.30.0", "v1.4.1", "v1alpha2", False),
        ("tlsroutes", "1.30.0", "v1.5.0-rc.1", "v1", True),
        ("tcproutes", "1.30.8", "v1.5.1", "v1alpha2", True),
        ("tcproutes", "1.30.8", "v1.6.0", "v1", False),
        ("tcproutes", "1.31.0", "v1.5.1", "v1alpha2", False),
        ("tcproutes", "1.32.0", "v1.7.0", "v1", True),
        ("httproutes", "1.28.0", "v0.8.0", "v1beta1", True),
        ("httproutes", "1.29.0", "v0.8.0", "v1beta1", False),
    ],
)
def test_which_definitions_a_release_watches(
    plural: str, istio: str, bundle: str, version: str, *, watched: bool
) -> None:
    [how] = [one for one in all_for(WATCHED, istio) if one.plural == plural]
    why = installed(plural, bundle, version).ignored(how, {ALPHA: "true"})
    assert (why is None) is watched


@pytest.mark.parametrize("istio", ["1.18.0", "1.22.0", "1.27.9", "1.28.6", "1.29.2", "1.32.0"])
def test_a_release_watches_a_kind_in_one_way(istio: str) -> None:
    plurals = [one.plural for one in all_for(WATCHED, istio)]
    assert len(plurals) == len(set(plurals))
    assert {"gateways", "httproutes", "tlsroutes", "tcproutes"} <= set(plurals)


def test_a_version_that_is_not_served_is_reported() -> None:
    cluster = Cluster(definition("tcproutes", "v1.6.0")).add("tcproutes", route("a"))
    with pytest.raises(ClaimFailed) as caught:
        cluster.request("1.30.8", PILOT_ENABLE_ALPHA_GATEWAY_API="true")
    words = (
        "expected TCPRoute served as v1alpha2, got TCPRoute of bundle v1.6.0 (standard) served as "
    )
    assert f"{words}v1, so that" in caught.value.message


def test_what_istiod_watches_only_if_reported_to_is_reported() -> None:
    cluster = Cluster(definition("tcproutes", "v1.4.1")).add("tcproutes", route("a"))
    with pytest.raises(ClaimFailed) as caught:
        cluster.request("1.30.8")
    assert f"expected istiod with {ALPHA}=true for TCPRoute" in caught.value.message
    assert "got TCPRoute without it, so that istiod ignores 1 object" in caught.value.message


def test_an_older_istiod_takes_whatever_is_there() -> None:
    with pytest.raises(NotApplicable, match=r"1\.21\.6 watches definitions of every bundle"):
        Cluster(OLD_TLS).add("tlsroutes", route("a")).request("1.21.6")
