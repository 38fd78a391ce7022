"""Nouns read objects of which parts are missing: they judge them, or say that they cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested
from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import wait_policy
from fixtures.k8s import Body
from suites import (
    test_01_cluster,
    test_02_installation,
    test_03_sample,
    test_04_injection,
    test_05_webhooks,
    test_06_init_container,
    test_07_gateway,
)
from tests.unit.states import FakeKube
from tests.unit.test_mesh_recorded import claims, cluster, injected, plain, plane
from tests.unit.test_traffic_recorded import gateway, init_containers, webhooks

Made = Callable[[], tuple[FakeKube, Any]]
STAGES: list[tuple[Any, str, Made]] = [
    (test_01_cluster, "cluster", cluster),
    (test_02_installation, "control_plane", plane),
    (test_03_sample, "plain_sample", plain),
    (test_04_injection, "injected_sample", injected),
    (test_05_webhooks, "webhooks", webhooks),
    (test_06_init_container, "init_containers", init_containers),
    (test_07_gateway, "gateway", gateway),
]


def without_status(body: Body) -> None:
    body.pop("status", None)


def without_metadata(body: Body) -> None:
    """Leave what the server always writes."""
    kept = ("name", "namespace", "uid")
    body["metadata"] = {key: value for key, value in body["metadata"].items() if key in kept}


def without_optional_parts(body: Body) -> None:
    """Leave of a specification what its schema requires."""
    for key in (
        "selector",
        "servers",
        "http",
        "ports",
        "volumes",
        "replicas",
        "webhooks",
        "rules",
    ):
        (body.get("spec") or body).pop(key, None)
    for key in ("data", "endpoints", "ports"):
        body.pop(key, None)


@pytest.mark.parametrize("strip", [without_status, without_metadata, without_optional_parts])
@pytest.mark.parametrize(("module", "noun", "made"), STAGES, ids=[noun for _, noun, _ in STAGES])
def test_a_claim_on_a_bare_object_holds_fails_or_is_not_tested(
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    noun: str,
    made: Made,
    strip: Callable[[Body], None],
) -> None:
    limit = timeout("it is distributed", 0)
    monkeypatch.setattr("fixtures.istio.control_plane.ROOT_DISTRIBUTED", limit)
    kube, subject = made()
    for bodies in kube._kinds.values():
        for body in bodies:
            strip(body)
    for claim in claims(module, noun):
        if claim.id == "the-old-pods-are-gone-in-time" or "old_pods" in claim.id:
            continue
        with wait_policy(factor=0.001):
            try:
                claim.values[0](subject)
            except (ClaimFailed, NotTested):
                continue
            except Exception as e:
                raise AssertionError(f"{claim.id}: {type(e).__name__}: {e}") from e
