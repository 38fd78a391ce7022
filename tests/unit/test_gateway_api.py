"""What is held against a Gateway of the Gateway API, and when it is not asked at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested, Unrecoverable
from fixtures.claims.waiting import wait_policy
from fixtures.istio.gateway_api import GATEWAYS, ROUTES, ApiGateway
from fixtures.istio.releases import expected
from fixtures.istio.sample import Sample
from fixtures.k8s import Refused
from fixtures.k8s.deployment import KIND
from fixtures.setup.gateway_api import bookinfo_exposed_by_the_api
from fixtures.traffic.gateway_access import AccessPath

Body = dict[str, Any]

NAME = "bookinfo-gateway-istio"
LABEL = {"gateway.networking.k8s.io/gateway-name": "bookinfo-gateway"}
OWNER = {"kind": "Gateway", "name": "bookinfo-gateway", "uid": "1"}


def reported(kind: str, status: str = "True", **more: Any) -> Body:
    return {"type": kind, "status": status, "observedGeneration": 1} | more


class Objects:
    """A cluster of a few objects, as `Kube` shows it."""

    def __init__(self) -> None:
        meta = {"name": "bookinfo-gateway", "generation": 1, "uid": "1"}
        self.gateway: Body = {
            "metadata": meta,
            "status": {
                "conditions": [reported("Accepted"), reported("Programmed")],
                "listeners": [{"name": "http", "attachedRoutes": 1}],
            },
        }
        parent = {
            "controllerName": "istio.io/gateway-controller",
            "parentRef": {"name": "bookinfo-gateway"},
            "conditions": [reported("Accepted"), reported("ResolvedRefs")],
        }
        self.route: Body = {"metadata": {"generation": 1}, "status": {"parents": [parent]}}
        self.service: Body = {
            "metadata": {"name": NAME, "namespace": "bookinfons", "ownerReferences": [OWNER]},
            "spec": {
                "type": "ClusterIP",
                "selector": dict(LABEL),
                "ports": [
                    {"name": "status-port", "port": 15021},
                    {"name": "http", "port": 80},
                ],
            },
        }
        self.slices = [{"endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}]

    def find(self, kind: str, name: str, namespace: str | None = None) -> Body | None:
        assert (name, namespace) in {
            ("bookinfo-gateway", "bookinfons"),
            ("bookinfo", "bookinfons"),
            (NAME, "bookinfons"),
        }
        return {GATEWAYS: self.gateway, ROUTES: self.route, "services": self.service}[kind]

    def list(self, kind: str, *_: str, **__: str) -> list[Body]:
        return self.slices if "slices" in kind else []


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


@pytest.fixture
def objects() -> Objects:
    return Objects()


NODE_PORT = AccessPath("node-port")


def gateway(objects: Any, istio: str = "1.31.0", access: AccessPath = NODE_PORT) -> ApiGateway:
    return ApiGateway(objects, expected(istio, "v1.35.0", ["v1.35.0"]), access)


def seen(request: Callable[[], object]) -> str:
    with pytest.raises(ClaimFailed) as caught:
        request()
    return str(caught.value)


def test_a_good_one_holds(objects: Objects) -> None:
    gateway(objects).expect_programmed()
    gateway(objects).expect_route_accepted()
    gateway(objects).expect_service()


class NotYetMade(Objects):
    """A cluster whose istiod makes the Deployment only after it was looked for twice."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = 0
        proxy = {"image": "docker.io/istio/proxyv2:1.31.0", "args": ["proxy", "router"]}
        self.pod: Body = {
            "metadata": {"name": NAME, "namespace": "bookinfons", "labels": LABEL},
            "spec": {"containers": [{"name": "istio-proxy", **proxy}]},
            "status": {"containerStatuses": [{"name": "istio-proxy", **proxy}]},
        }
        done = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
        self.deployment: Body = {
            "metadata": {"name": NAME, "namespace": "bookinfons", "ownerReferences": [OWNER]},
            "spec": {"replicas": 1, "selector": {"matchLabels": LABEL}, "template": self.pod},
            "status": done,
        }

    def find(self, kind: str, name: str, namespace: str | None = None) -> Body | None:
        if kind != KIND:
            return super().find(kind, name, namespace)
        self.looked += 1
        return self.deployment if self.looked > 2 else None

    def list(self, kind: str, *where: str, **how: str) -> list[Body]:
        if kind == KIND:
            return [self.deployment] if self.looked > 2 else []
        return [self.pod] if kind == "pods" else super().list(kind, *where, **how)


def test_a_deployment_that_istiod_has_not_made_yet_is_waited_for() -> None:
    objects: Any = NotYetMade()
    with wait_policy(factor=1):
        gateway(objects).expect_deployment()
    assert objects.looked == 3


def test_what_was_so_before_the_last_change_is_not_so_now(objects: Objects) -> None:
    objects.gateway["metadata"]["generation"] = 2
    assert "True for generation 1, the object is at 2" in seen(gateway(objects).expect_programmed)


def test_what_is_wrong_is_reported_in_istiods_words(objects: Objects) -> None:
    why = reported("Programmed", "False", reason="AddressNotAssigned", message="address pending")
    objects.gateway["status"]["conditions"][1] = why
    message = seen(gateway(objects).expect_programmed)
    assert "got False, AddressNotAssigned: address pending" in message


@pytest.mark.parametrize("status", ["True", "False"])
def test_a_listener_that_is_not_valid_is_reported_with_its_reason(
    objects: Objects, status: str
) -> None:
    why = reported("Accepted", status, reason="ListenersNotValid", message="invalid listeners")
    bad = reported(
        "ResolvedRefs", "False", reason="InvalidCertificateRef", message="no such secret"
    )
    more = [reported("Conflicted", "False"), bad]
    objects.gateway["status"]["conditions"][0] = why
    objects.gateway["status"]["listeners"].append({"name": "https", "conditions": more})
    assert (
        f"got {status}, ListenersNotValid: invalid listeners; listener https: ResolvedRefs False, "
        "InvalidCertificateRef: no such secret"
    ) in seen(gateway(objects).expect_programmed)


def test_nothing_printed_is_reported_so(objects: Objects) -> None:
    objects.gateway["status"] = {}
    assert "Accepted of Gateway bookinfo-gateway: expected True, got no such condition" in seen(
        gateway(objects).expect_programmed
    )
    objects.route["status"] = {}
    assert "got none" in seen(gateway(objects).expect_route_accepted)


def test_what_another_controller_says_of_the_route_counts_for_nothing(objects: Objects) -> None:
    objects.route["status"]["parents"][0]["controllerName"] = "example.com/other"
    assert "got none" in seen(gateway(objects).expect_route_accepted)


def test_a_listener_without_its_route_is_noticed(objects: Objects) -> None:
    objects.gateway["status"]["listeners"][0]["attachedRoutes"] = 0
    assert "expected 1, got 0" in seen(gateway(objects).expect_programmed)
    objects.gateway["status"]["listeners"] = []
    assert "no such listener" in seen(gateway(objects).expect_programmed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["metadata"].pop("ownerReferences"), "expected Gateway bookinfo-gateway, got"),
        (
            lambda s: s["metadata"].update(ownerReferences=[{**OWNER, "uid": "0"}]),
            "another uid",
        ),
        (lambda s: s["spec"]["ports"].pop(), "got ['status-port 15021']"),
        (lambda s: s["spec"].update(selector={"app": "x"}), "got app=x"),
    ],
    ids=["orphan", "stranger", "port", "selector"],
)
def test_a_service_that_is_not_what_istiod_makes_is_noticed(
    objects: Objects, change: Callable[[Body], object], words: str
) -> None:
    change(objects.service)
    assert words in seen(gateway(objects).expect_service)


def test_a_service_that_leads_to_nobody_is_noticed(objects: Objects) -> None:
    objects.slices = []
    assert "expected at least one ready" in seen(gateway(objects).expect_service)


@pytest.mark.parametrize(
    ("istio", "name", "label", "conditions"),
    [
        ("1.16.0", "bookinfo-gateway", "istio.io/gateway-name", "Ready"),
        ("1.17.0", NAME, "istio.io/gateway-name", "Ready"),
        ("1.20.8", NAME, "istio.io/gateway-name", "Accepted"),
        ("1.21.0", NAME, "gateway.networking.k8s.io/gateway-name", "Accepted"),
    ],
)
def test_names_labels_and_conditions_are_those_of_the_release(
    objects: Objects, istio: str, name: str, label: str, conditions: str
) -> None:
    found = gateway(objects, istio)
    assert (found.name, found.selector) == (name, f"{label}=bookinfo-gateway")
    objects.gateway["status"] = {}
    assert f"condition {conditions} of" in seen(found.expect_programmed)


def test_a_port_that_a_reader_may_not_bind_is_forwarded_from_another(objects: Objects) -> None:
    forwarded = gateway(objects, access=AccessPath("gateway-forward"))
    assert forwarded.base() == "http://localhost:8080"
    command = forwarded.curl(forwarded.base(), "/")[0]
    assert command == f"kubectl -n bookinfons port-forward deployment/{NAME} 8080:80"


# When it is not asked


def sample(
    *served: str,
    istio: str = "1.31.0",
    refusal: Refused | None = None,
    kinds: tuple[str, ...] = ("gatewayclasses", "gateways", "httproutes"),
) -> Sample:
    def apply(documents: Iterable[Body], *_: Any) -> None:
        if refusal:
            raise refusal
        applied.extend(one["apiVersion"] for one in documents)

    applied: list[str] = []
    discovery = SimpleNamespace(
        served=lambda _: served,
        plurals=lambda *_: frozenset(kinds),
        place_of=lambda b: (SimpleNamespace(plural=b["kind"], kind=b["kind"]), True),
    )
    kube: Any = SimpleNamespace(
        kinds=discovery, apply=apply, delete=lambda *_: None, applied=applied
    )
    return Sample(kube, expected(istio, "v1.35.0", ["v1.35.0"]))


def enter(of: Sample) -> ApiGateway:
    with bookinfo_exposed_by_the_api(of, AccessPath("node-port", "10.0.0.1")) as found:
        return found


def test_a_way_in_leads_to_the_gateway_that_istiod_makes() -> None:
    assert enter(sample("v1", "v1beta1")).access.address == "10.0.0.1"


@pytest.mark.parametrize(
    ("istio", "served", "written"),
    [
        ("1.31.0", ("v1", "v1beta1"), "v1"),
        ("1.23.0", ("v1", "v1beta1"), "v1beta1"),
        ("1.28.0", ("v1beta1",), "v1beta1"),
    ],
    ids=["both", "the sample's own", "the one that istiod reads"],
)
def test_it_is_written_in_a_version_that_is_served(
    istio: str, served: tuple[str, ...], written: str
) -> None:
    of = sample(*served, istio=istio)
    enter(of)
    kube: Any = of.kube
    assert set(kube.applied) == {f"gateway.networking.k8s.io/{written}"}


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (sample("v1beta1", istio="1.15.0"), "of Istio 1.15.0 has no variant"),
        (sample("v1beta1"), "written in gateway.networking.k8s.io/v1, this cluster serves"),
        (sample("v1", kinds=("gatewayclasses",)), "in part: there is no Gateway, HTTPRoute"),
        (
            sample(
                "v1", refusal=Refused(403, reason="Forbidden", message="gateways is forbidden")
            ),
            "may not: gat",
        ),
    ],
    ids=["older", "version", "in part", "forbidden"],
)
def test_what_cannot_be_tested_is_not_claimed_and_says_why(of: Sample, words: str) -> None:
    with pytest.raises(NotTested, match=words):
        enter(of)


def test_what_the_server_refuses_otherwise_is_a_failure() -> None:
    with pytest.raises(Unrecoverable, match="accepted by the API server"):
        enter(sample("v1", refusal=Refused(422, reason="Invalid", message="bad")))
