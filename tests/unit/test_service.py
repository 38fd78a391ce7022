"""A Service's endpoints: one that is gone is distinguished from one that has none ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from fixtures.claims import ClaimFailed
from fixtures.k8s import Body, Kube, Refused
from fixtures.k8s.forward import plain
from fixtures.k8s.service import Endpoints

SERVICE: Body = {"metadata": {"name": "kiali", "namespace": "istio-system"}, "spec": {}}
OF_SANDBOX = "forwarding port 9080 to pod 5cd3, uid : "
WHY = "failed to connect to localhost:9080"


class Answers:
    """An API server without slices, and a Service or none."""

    def __init__(self, find: Callable[[], Body | None]) -> None:
        self._find = find

    def list(self, *_: str, labels: str = "") -> list[Body]:
        return []

    def find(self, *_: str) -> Body | None:
        return self._find()


def refuse() -> Body:
    raise Refused(403, reason="Forbidden", message="may not get services")


def message(find: Callable[[], Body | None], expect: Callable[[Endpoints], None]) -> str:
    kube = cast("Kube", Answers(find))
    with pytest.raises(ClaimFailed) as failed:
        expect(Endpoints.read(kube, "istio-system", "kiali"))
    return str(failed.value)


EXPECTATIONS = [
    pytest.param(Endpoints.expect_some, id="some"),
    pytest.param(lambda endpoints: endpoints.expect_ready(1), id="a number"),
]


@pytest.mark.parametrize("expect", EXPECTATIONS)
def test_a_service_that_is_gone_is_named(expect: Callable[[Endpoints], None]) -> None:
    printed = message(lambda: None, expect)
    assert printed.startswith(
        "Service istio-system/kiali: expected it exists, got no such Service"
    )


@pytest.mark.parametrize("expect", EXPECTATIONS)
@pytest.mark.parametrize("find", [lambda: SERVICE, refuse], ids=["there", "not to be seen"])
def test_a_service_without_endpoints_is_not_taken_for_gone(
    find: Callable[[], Body | None], expect: Callable[[Endpoints], None]
) -> None:
    assert "ndpoints of Service istio-system/kiali: expected" in message(find, expect)


@pytest.mark.parametrize(
    "printed",
    [
        f"error {OF_SANDBOX}{WHY}",
        f"an error occurred forwarding 1 -> 9080: error {OF_SANDBOX}{WHY}",
        WHY,
    ],
)
def test_a_port_forwards_error_has_no_name_of_a_sandbox(printed: str) -> None:
    assert plain(printed) == WHY
