"""The root certificate of every namespace, while namespaces come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, start_observing
from fixtures.claims.deadlines import documented_limit
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.releases import expected
from fixtures.istio.releases.options import MeshOptions
from fixtures.k8s import Body
from tests.unit.states import FakeKube, as_kube

ROWS = expected("1.31.0", "v1.35.0", ["v1.35.0"])
PEM = "-----BEGIN CERTIFICATE-----"


def namespace(name: str, phase: str = "Active", **labels: str) -> Body:
    return {"metadata": {"name": name, "labels": labels}, "status": {"phase": phase}}


def certificate(of: str, pem: str = PEM) -> Body:
    meta = {"name": "istio-ca-root-cert", "namespace": of}
    return {"metadata": meta, "data": {"root-cert.pem": pem}}


class Changing(FakeKube):
    """A cluster in which something happens before each reading of the ConfigMaps but the first."""

    def __init__(self, *happens: Callable[[Changing], object], **state: Any) -> None:
        super().__init__({f"v1/{kind}": bodies for kind, bodies in state.items()})
        self._happens = iter((lambda _: None, *happens))

    def list(self, kind: str, *where: Any, **how: Any) -> list[Body]:
        if kind == "configmaps":
            next(self._happens, lambda _: None)(self)
        return super().list(kind, *where, **how)


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = documented_limit("it is distributed", 0.5, source="a test")
    monkeypatch.setattr("fixtures.istio.control_plane.ROOT_DISTRIBUTED", limit)


def expect(kube: FakeKube, **options: Any) -> None:
    ControlPlane(as_kube(kube), ROWS.set_to(MeshOptions(**options))).expect_root_certificates()


def mesh(*more: Body) -> dict[str, list[Body]]:
    return {
        "namespaces": [namespace("istio-system"), *more],
        "configmaps": [certificate("istio-system")],
    }


def test_a_namespace_made_a_moment_ago_gets_its_time() -> None:
    late = Changing(lambda k: k.add("configmaps", certificate("shop")), **mesh(namespace("shop")))
    observed = start_observing()
    expect(late)
    assert observed.inspected == 2


def test_a_namespace_that_is_deleted_meanwhile_is_not_expected() -> None:
    expect(Changing(lambda k: k.remove("namespaces", "shop"), **mesh(namespace("shop"))))


@pytest.mark.parametrize("gone", [namespace("shop", "Terminating"), {"metadata": {"name": "s"}}])
def test_a_namespace_that_is_not_active_is_not_expected(gone: Body) -> None:
    expect(FakeKube({f"v1/{kind}": bodies for kind, bodies in mesh(gone).items()}))


def test_living_h8_a_killed_istiod_may_first_have_to_become_the_leader() -> None:
    waits = [lambda _: None] * 3
    kube = Changing(
        *waits, lambda k: k.add("configmaps", certificate("shop")), **mesh(namespace("shop"))
    )
    expect(kube)


def test_a_namespace_outside_the_discovery_selectors_is_not_expected() -> None:
    selected = ({"matchLabels": {"mesh": "yes"}}, {"matchLabels": {"team": "a"}})
    state = mesh(namespace("shop"), namespace("bank", team="a"))
    kube = Changing(**state)
    with pytest.raises(ClaimFailed) as caught:
        expect(kube, discovery_selectors=selected)
    assert (caught.value.subject, caught.value.got) == (
        "ConfigMap bank/istio-ca-root-cert",
        "none",
    )
    kube.add("configmaps", certificate("bank"))
    expect(kube, discovery_selectors=selected)


@pytest.mark.parametrize(
    ("found", "got"),
    [([], "none"), ([certificate("shop", "other")], "another certificate")],
)
def test_what_stays_missing_or_wrong_is_named_with_the_limit(found: list[Body], got: str) -> None:
    state = mesh(namespace("shop"))
    state["configmaps"] += found
    with pytest.raises(ClaimFailed) as caught:
        expect(Changing(**state))
    assert caught.value.got == got
    assert caught.value.deadline is not None
    assert caught.value.deadline.source == "a test"


def test_ten_thousand_namespaces_without_it_are_looked_at_by_one() -> None:
    many = [namespace(f"n{number:05}") for number in range(10_000)]
    looks: list[str] = []

    class Counting(FakeKube):
        def list(self, kind: str, *where: Any, **how: Any) -> list[Body]:
            looks.append(kind)
            return super().list(kind, *where, **how)

    kube = Counting({f"v1/{kind}": bodies for kind, bodies in mesh(*many).items()})
    with pytest.raises(ClaimFailed, match="9999 more lack it") as caught:
        expect(kube)
    assert caught.value.subject == "ConfigMap n00000/istio-ca-root-cert"
    # Everything, and whether istiod runs; then the holder's, that namespace's, whether it is still
    # there, and again whether istiod runs.
    everything, each = 3, 4
    assert (len(looks) - everything) % each == 0
    assert len(looks) <= everything + each * 10
