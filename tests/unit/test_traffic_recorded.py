"""Stages 5 to 7 on a cluster as it was recorded: they hold as it is, and notice what is broken."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, start_observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.gateway import Gateway
from fixtures.istio.init_container import InitContainers
from fixtures.istio.injected import InjectedSample
from fixtures.istio.options import options_of
from fixtures.istio.releases import Expected, expected
from fixtures.istio.sample import Sample
from fixtures.istio.webhook import KINDS
from fixtures.istio.webhooks import Webhooks
from fixtures.k8s import Body
from fixtures.k8s.termination import Termination
from fixtures.traffic.gateway_access import AccessPath
from suites import test_05_webhooks, test_06_init_container, test_07_gateway
from tests.unit.states import FakeKube, recorded

EXPECTED = expected("1.29.6", "v1.34.4", ["v1.34.4"])
MUTATING, VALIDATING = KINDS["mutating"], KINDS["validating"]
ACTING = "istio-revision-tag-default"


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


def webhooks() -> tuple[FakeKube, Webhooks]:
    kube = recorded("4-injected")
    return kube, Webhooks(kube, EXPECTED, "bookinfons")


def init_containers(
    state: str = "4-injected", expected: Expected = EXPECTED
) -> tuple[FakeKube, InitContainers]:
    kube = recorded(state)
    before = Sample(recorded("3-plain-bookinfo"), expected).snapshot()
    leaving = Termination(kube, ("bookinfons",), before.uids, since="the injection")
    return kube, InitContainers(InjectedSample(kube, expected, before=before, old_pods=leaving))


def gateway() -> tuple[FakeKube, Gateway]:
    kube = recorded("7-gateway")
    path = AccessPath("node-port", "172.18.0.2")
    return kube, Gateway(kube, EXPECTED, path, ControlPlane(kube, EXPECTED))


def claims(module: ModuleType, noun: str) -> list[Any]:
    """The claims of a module about this noun that need no port of a pod."""
    return [
        pytest.param(test, id=name.removeprefix("test_"))
        for name, test in vars(module).items()
        if name.startswith("test_")
        and list(inspect.signature(test).parameters) == [noun]
        and next(m for m in test.pytestmark if m.name == "claim").kwargs["feature"]
        != "port-forward"
    ]


def seen(check: Callable[[], object]) -> str:
    with pytest.raises(ClaimFailed) as caught:
        check()
    return str(caught.value)


@pytest.mark.parametrize("claim", claims(test_05_webhooks, "webhooks"))
def test_real_webhooks_hold(claim: Callable[[Webhooks], None]) -> None:
    claim(webhooks()[1])


@pytest.mark.parametrize("state", ["4-injected", "classic/injected"])
@pytest.mark.parametrize("claim", claims(test_06_init_container, "init_containers"))
def test_real_init_containers_hold(claim: Callable[[InitContainers], None], state: str) -> None:
    claim(init_containers(state)[1])


@pytest.mark.parametrize("claim", claims(test_07_gateway, "gateway"))
def test_a_real_gateway_holds(claim: Callable[[Gateway], None]) -> None:
    claim(gateway()[1])


# Webhooks


def each_entry(change: Callable[[Body], object]) -> Callable[[Body], None]:
    def apply(configuration: Body) -> None:
        for entry in configuration["webhooks"]:
            change(entry)

    return apply


def test_the_injector_that_acts_is_reported_by_its_selectors() -> None:
    telling = start_observing()
    webhooks()[1].expect_one_match()
    assert telling.notes == [
        f"the injector that matches is namespace.sidecar-injector.istio.io of {ACTING}"
    ]


def test_no_injector_that_matches_is_noticed() -> None:
    kube, subject = webhooks()
    never = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    kube.change(MUTATING, ACTING, each_entry(lambda w: w.update(namespaceSelector=never)))
    assert "expected exactly one, got none of 8" in seen(subject.expect_one_match)


def test_the_wrong_injector_that_matches_is_noticed_with_the_reason() -> None:
    kube, subject = webhooks()
    never = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    enabled = {"matchLabels": {"istio-injection": "enabled"}}
    kube.change(MUTATING, ACTING, each_entry(lambda w: w.update(namespaceSelector=never)))

    def swap(configuration: Body) -> None:
        configuration["webhooks"][2] |= {"namespaceSelector": enabled, "objectSelector": {}}

    kube.change(MUTATING, "istio-sidecar-injector", swap)
    message = seen(subject.expect_one_match)
    assert f"expected one of {ACTING}, got one of istio-sidecar-injector" in message
    assert "the tag default was made" in message


def test_two_injectors_that_match_are_noticed() -> None:
    kube, subject = webhooks()
    kube.change(
        MUTATING,
        "istio-sidecar-injector",
        each_entry(lambda w: w.update(namespaceSelector={}, objectSelector={})),
    )
    assert f" of {ACTING} and " in seen(subject.expect_one_match)


def test_a_namespace_without_label_has_no_injector() -> None:
    kube, subject = webhooks()
    kube.change("namespaces", "bookinfons", lambda n: n["metadata"].update(labels={}))
    assert "none of 8" in seen(subject.expect_one_match)


def test_no_registration_at_all_is_noticed() -> None:
    kube, subject = webhooks()
    kube.remove(MUTATING, "istio-")
    assert "none in any configuration" in seen(subject.expect_called_for_pods)


def test_a_missing_configuration_is_named() -> None:
    kube, subject = webhooks()
    kube.remove(VALIDATING, "istiod-default-validator")
    message = seen(lambda: subject.expect_configurations("validating"))
    assert "istiod-default-validator: expected registered, got only istio-validator" in message


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        pytest.param(
            {"failurePolicy": "Ignore"},
            lambda w: w.expect_failure_policy("mutating"),
            "expected Fail, got Ignore",
            id="let through",
        ),
        pytest.param(
            {"sideEffects": "Unknown"},
            lambda w: w.expect_side_effects("mutating"),
            "expected None, got Unknown",
            id="side effects",
        ),
        pytest.param(
            {"clientConfig": {"service": {"namespace": "istio-system", "name": "x", "path": "/"}}},
            lambda w: w.expect_target("mutating"),
            "expected istio-system/istiod:443/inject, got istio-system/x:443/",
            id="another target",
        ),
        pytest.param(
            {"rules": [{"operations": ["UPDATE"], "apiGroups": [""], "resources": ["pods"]}]},
            lambda w: w.expect_called_for_pods(),
            "expected CREATE pods, got UPDATE pods",
            id="not for new pods",
        ),
        pytest.param(
            {"clientConfig": {"url": "https://x", "caBundle": ""}},
            lambda w: w.expect_bundle("mutating"),
            "expected a certificate, got nothing",
            id="no authority",
        ),
    ],
)
def test_an_entry_that_is_called_wrongly_is_noticed(
    change: Body, check: Callable[[Webhooks], None], words: str
) -> None:
    kube, subject = webhooks()
    kube.change(MUTATING, ACTING, each_entry(lambda w: w.update(change)))
    message = seen(lambda: check(subject))
    assert words in message
    assert ACTING in message


def test_a_service_without_endpoints_is_noticed() -> None:
    kube, subject = webhooks()
    slices = "endpointslices.discovery.k8s.io"
    kube.change(slices, "istiod-", lambda s: s.update(endpoints=None))
    assert "Service istio-system/istiod: expected at least one ready" in seen(
        subject.expect_endpoints
    )


# The init container


def of_init(change: Callable[[Body], object]) -> Callable[[Body], None]:
    def apply(pod: Body) -> None:
        for container in pod["spec"]["initContainers"]:
            if container["name"] == "istio-init":
                change(container)

    return apply


def swapped(old: str, new: str) -> Callable[[Body], None]:
    def change(container: Body) -> None:
        container["args"] = [new if a == old else a for a in container["args"]]

    return of_init(change)


@pytest.mark.parametrize(
    ("flag", "old", "new"),
    [
        ("-p", "15001", "15002"),
        ("-z", "15006", "15007"),
        ("-u", "1337", "0"),
        ("-m", "REDIRECT", "TPROXY"),
        ("-d", "15090,15021,15020", "15090,15021"),
    ],
)
def test_a_flag_with_another_value_is_noticed_and_only_that(flag: str, old: str, new: str) -> None:
    kube, subject = init_containers()
    kube.change("pods", "productpage", swapped(old, new))
    message = seen(lambda: subject.expect_flag(flag))
    assert message.startswith("istio-init of productpage-v1-")
    assert f"expected {flag} {old}" in message
    assert f"got {flag} {new} (1 of 6 pods; Istio 1.29.6, REDIRECT, no CNI)" in message
    assert '?(@.name=="istio-init")].args}' in message
    for other in {"-p", "-z", "-u", "-m", "-i", "-x", "-b", "-d"} - {flag}:
        subject.expect_flag(other)


@pytest.mark.parametrize(
    ("user", "left_alone", "told"),
    [
        (1000660001, "1000660001", ""),  # OpenShift chooses it for a namespace
        (1000660001, "1337", "got -u 1337 (its proxy runs as 1000660001)"),
        (1337, "1000660001", "expected -u 1337, the user whose traffic is not redirected, got -u"),
    ],
)
def test_the_proxys_own_user_is_the_one_that_is_left_alone(
    user: int, left_alone: str, told: str
) -> None:
    kube, subject = init_containers()

    def run_as(pod: Body) -> None:
        for one in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
            if one["name"] == "istio-proxy":
                one["securityContext"]["runAsUser"] = user

    kube.change("pods", "ratings", run_as)
    kube.change("pods", "ratings", swapped("1337", left_alone))
    if told:
        assert told in seen(lambda: subject.expect_flag("-u"))
    else:
        subject.expect_flag("-u")


def test_native_nftables_are_expected_where_the_meshs_values_ask_for_them() -> None:
    values = {"global": {"nativeNftables": True, "logAsJson": False}}
    kube, subject = init_containers(expected=EXPECTED.set_to(options_of({}, values, {})))
    wanted = "expected istio-iptables --native-nftables, got istio-iptables"
    assert wanted in seen(subject.expect_program)
    for workload in ("details", "productpage", "ratings", "reviews"):
        kube.change("pods", workload, of_init(lambda c: c["args"].append("--native-nftables")))
    telling = start_observing()
    subject.expect_program()
    assert telling.notes == []


def test_another_order_and_a_new_flag_are_reported_and_not_refused() -> None:
    kube, subject = init_containers()

    def turn(container: Body) -> None:
        program, first, value, *rest = container["args"]
        container["args"] = [program, *rest, first, value, "--brand-new"]

    kube.change("pods", "ratings", of_init(turn))
    kube.change("pods", "ratings", swapped("15090,15021,15020", "15020,15021,15090"))
    telling = start_observing()
    subject.expect_program()
    subject.expect_flags()
    assert "an argument that this suite does not know: --brand-new" in telling.notes
    assert "flags in another order than usual: -z -u -m -i -x -b -d -p" in telling.notes


def test_a_usual_pod_draws_no_note() -> None:
    telling = start_observing()
    init_containers()[1].expect_program()
    assert telling.notes == []


@pytest.mark.parametrize(
    ("check", "change", "words"),
    [
        pytest.param(
            InitContainers.expect_capabilities,
            lambda c: c["securityContext"].update(capabilities={"add": ["NET_ADMIN"]}),
            "expected capabilities NET_ADMIN, NET_RAW, got capabilities NET_ADMIN",
            id="capability",
        ),
        pytest.param(
            InitContainers.expect_root,
            lambda c: c["securityContext"].update(runAsUser=1337),
            "expected user 0, got user 1337",
            id="user",
        ),
        pytest.param(
            InitContainers.expect_proxy_image,
            lambda c: c.update(image="docker.io/istio/proxyv2:1.28.0"),
            "got that of its sidecar, docker.io/istio/proxyv2:1.28.0",
            id="image",
        ),
        pytest.param(
            InitContainers.expect_program,
            lambda c: c.update(args=["istio-nft", *c["args"][1:]]),
            "expected istio-iptables, got istio-nft",
            id="program",
        ),
        pytest.param(
            InitContainers.expect_one_in_each_pod,
            lambda c: c.update(name="istio-validation"),
            "expected exactly one istio-init, got istio-validation, istio-proxy",
            id="missing",
        ),
    ],
)
def test_an_init_container_that_is_otherwise_wrong_is_noticed(
    check: Callable[[InitContainers], None], change: Callable[[Body], object], words: str
) -> None:
    kube, subject = init_containers()
    kube.change("pods", "details", of_init(change))
    assert words in seen(lambda: check(subject))


def test_an_init_container_that_failed_is_noticed() -> None:
    kube, subject = init_containers()

    def fail(pod: Body) -> None:
        ended = {"terminated": {"reason": "Error", "exitCode": 255}}
        pod["status"]["initContainerStatuses"][0]["state"] = ended

    kube.change("pods", "details", fail)
    assert "expected completed, got not completed" in seen(subject.expect_one_in_each_pod)


# The gateway


def test_a_gateway_that_is_no_router_is_noticed() -> None:
    kube, subject = gateway()

    def as_sidecar(pod: Body) -> None:
        pod["spec"]["containers"][0]["args"][1] = "sidecar"

    kube.change("pods", "istio-ingressgateway", as_sidecar)
    assert "expected proxyv2 as proxy router, got proxyv2 as proxy sidecar" in seen(
        subject.expect_router
    )


def test_a_gateway_without_pods_is_noticed() -> None:
    kube, subject = gateway()
    kube.remove("pods", "istio-ingressgateway")
    assert "expected at least one, got none" in seen(subject.expect_router)


def test_a_port_without_node_port_is_noticed() -> None:
    kube, subject = gateway()
    kube.change(
        "services", "istio-ingressgateway", lambda s: s["spec"]["ports"][1].pop("nodePort")
    )
    assert "without a NodePort: expected none, got http2 80->8080" in seen(subject.expect_ports)
    assert "port http2 of Service istio-system/istio-ingressgateway" in seen(subject.address)


def test_a_gateway_object_that_selects_nobody_is_noticed() -> None:
    kube, subject = gateway()
    kube.change(
        "gateways.networking.istio.io",
        "bookinfo",
        lambda g: g["spec"].update(selector={"istio": "x"}),
    )
    assert "selector of Gateway bookinfo-gateway" in seen(subject.expect_gateway_object)


def test_a_missing_object_is_noticed() -> None:
    kube, subject = gateway()
    kube.remove("virtualservices.networking.istio.io", "bookinfo")
    assert "expected as applied, got none" in seen(subject.expect_virtual_service)


def test_a_route_that_is_missing_is_noticed() -> None:
    kube, subject = gateway()
    kube.change(
        "virtualservices.networking.istio.io",
        "bookinfo",
        lambda v: v["spec"]["http"][0]["match"].pop(2),
    )
    expecting, _, got = seen(subject.expect_virtual_service).partition("got")
    assert "exact /login" in expecting
    assert "exact /login" not in got
