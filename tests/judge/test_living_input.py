"""Meshes that nobody drew up: a silent istiod, a definition half installed, 10,000 namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested, observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.proxies import METRICS
from fixtures.k8s import Body, Unreachable
from fixtures.k8s.picture import DEFINITIONS, NAMESPACES, PODS, Picture
from fixtures.k8s.pod import Pod
from tests.judge.replay import Replay, replayed
from tests.judge.test_living import of
from tests.judge.test_living_planes import mesh, workloads
from tests.unit.states import as_kube
from tests.unit.test_picture import Kept, namespace, pod

MANY = 10_000
MANY_NAMES = tuple(f"many-{number:05}" for number in range(MANY))
WASM, TELEMETRY = "wasmplugins.extensions.istio.io", "telemetries.telemetry.istio.io"


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


def test_an_istiod_that_hangs_on_its_debug_page_is_one_line_with_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kube, istiod, _ = mesh()
    asked: list[str] = []

    @contextmanager
    def forward(pod: str, namespace: str, port: int) -> Iterator[Any]:
        def get(path: str) -> None:
            asked.append(path)
            raise Unreachable(f"port {port} of pod {namespace}/{pod}: timed out")

        yield SimpleNamespace(get=get)

    monkeypatch.setattr(kube, "forward", forward)
    with pytest.raises(ClaimFailed) as caught:
        workloads(kube).expect_in_sync()
    page = f"/debug/syncz of pod istio-system/{istiod}"
    assert caught.value.message.startswith(f"{page}: expected a list of proxies, ")
    assert "timed out" in caught.value.message
    assert "\n" not in caught.value.message
    assert "until proxies take their configuration" in str(caught.value.deadline)
    assert METRICS not in asked, "it was asked on, though it answers nothing"


def unestablished(body: Body) -> None:
    for one in body["status"]["conditions"]:
        if one["type"] == "Established":
            one.update(status="False", message="the initial names have not been accepted")


def test_each_definition_that_is_half_installed_is_named() -> None:
    kube: Replay = replayed("7-gateway", apart=True)
    kube.change(DEFINITIONS, TELEMETRY, unestablished)
    kube.remove(DEFINITIONS, WASM)
    with pytest.raises(ClaimFailed) as caught:
        of(kube, "control_plane").expect_definitions_established()
    told = (caught.value.subject, caught.value.got, caught.value.context.rpartition("; also ")[2])
    of_telemetry = f"definition {TELEMETRY}", "the initial names have not been accepted"
    assert told in {
        (*of_telemetry, f"{WASM}: no such definition"),
        (f"definition {WASM}", "no such definition", ": ".join((TELEMETRY, of_telemetry[1]))),
    }


def test_five_thousand_namespaces_that_nobody_injects_are_one_line() -> None:
    kube: Replay = replayed("7-gateway", apart=True)
    wanted = [{"istio-injection": "enabled"}, {"istio.io/rev": "gone"}]
    kube._kinds[NAMESPACES] = [*kube._kinds[NAMESPACES], *map(namespace, MANY_NAMES)]
    for number, body in enumerate(kube._kinds[NAMESPACES][-MANY:]):
        body["metadata"]["labels"] = wanted[number % 2]
    with observing() as observations, pytest.raises(ClaimFailed) as caught:
        of(kube, "fleet").expect_chosen()
    assert observations.inspected > MANY
    assert caught.value.message.count("no injector of revision or tag gone") == 5
    assert f"and {MANY // 2 - 5} more of them" in caught.value.message


def test_who_may_look_into_one_of_ten_thousand_namespaces_is_told_of_that_one() -> None:
    """The one that the context names is looked into first; of the others not all are tried."""
    kube = Kept(pod("mine", "own"), forbidden=(None, *MANY_NAMES))
    kube._kinds[NAMESPACES] = list(map(namespace, (*MANY_NAMES, "own")))
    picture = Picture(as_kube(kube))
    assert [one.name for one in picture.pods()] == ["mine"]
    assert len(kube.requested) < 250
    with pytest.raises(NotTested, match=r"only in own; 200 of 10001 were tried"):
        picture.expect_whole(PODS)


def test_pods_that_come_and_go_while_they_are_audited_are_no_fault() -> None:
    kube = Kept(pod("a"), pod("b"))
    picture = Picture(as_kube(kube))
    before = picture.existing()
    kube.change("pods", "a", lambda body: body["metadata"].update(uid="of its successor"))
    kube.add("pods", pod("c"))
    assert [one.name for one in picture.existing()] == ["a", "b"]
    assert [isinstance(picture.again(one), Pod) for one in before] == [False, True]
