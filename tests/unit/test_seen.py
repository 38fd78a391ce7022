"""What claims tell of images, arguments and webhooks, on a cluster as it was recorded."""

from __future__ import annotations

import re

import pytest

from fixtures.claims import record, start_observing
from fixtures.claims.observations import _RUNNING
from fixtures.k8s.pod import Pod
from tests.small_runs import SmallRuns
from tests.unit.test_mesh_recorded import injected, plain, plane
from tests.unit.test_traffic_recorded import init_containers, webhooks

pytest_plugins = ["pytester"]

DIGEST = re.compile(r"\S+:\S+@sha256:[0-9a-f]{64}")


def reported() -> dict[str, dict[str, set[str]]]:
    """What the claim of this test has recorded so far."""
    found: dict[str, dict[str, set[str]]] = {}
    running = _RUNNING.get()
    assert running
    for one in running.values:
        found.setdefault(one.kind, {}).setdefault(one.name, set()).add(one.value)
    return found


@pytest.fixture(autouse=True)
def _begin() -> None:
    start_observing()


def test_a_digest_is_reported_of_each_image() -> None:
    plane()[1].expect_images()
    plain()[1].expect_images()
    injected()[1].expect_sidecar_images()
    images = reported()["image"]
    assert {"istiod", "istio-ingressgateway", "istio-proxy of reviews-v3"} <= images.keys()
    assert "productpage of productpage-v1" in images
    assert all(DIGEST.fullmatch(value) for values in images.values() for value in values)
    assert [name for name, values in images.items() if len(values) != 1] == []


def test_each_argument_of_istio_init_is_reported_once_for_all_pods() -> None:
    init_containers()[1].expect_program()
    arguments = reported()["argument"]
    assert arguments["istio-init -p"] == {"15001"}
    assert arguments["istio-init -x"] == {"(nothing)"}
    assert arguments["istio-init --log_output_level"] == {"default:info"}


def test_each_webhook_is_reported_with_where_it_leads() -> None:
    webhooks()[1].expect_configurations("mutating")
    webhooks()[1].expect_configurations("validating")
    found = reported()["webhook"]
    entry = "rev.namespace.sidecar-injector.istio.io of istio-revision-tag-default"
    assert found[entry] == {"istio-system/istiod:443/inject, failurePolicy Fail, sideEffects None"}
    assert any("/validate" in value for values in found.values() for value in values)


@pytest.mark.parametrize(
    ("labels", "workload"),
    [
        ({"app": "reviews", "version": "v3", "pod-template-hash": "7f9c"}, "reviews-v3"),
        ({"app": "reviews"}, "reviews"),
        ({"pod-template-hash": "7f9c"}, "door-istio"),  # as istiod makes it of a Gateway
        ({}, "door-istio-7f9c-x2x4z"),
    ],
)
def test_a_pod_is_reported_by_a_name_that_the_next_run_has_too(
    labels: dict[str, str], workload: str
) -> None:
    metadata = {"name": "door-istio-7f9c-x2x4z", "namespace": "shop", "labels": labels}
    assert Pod.of({"metadata": metadata, "spec": {"containers": []}}).workload == workload


def test_a_thing_reported_twice_alike_is_shown_once() -> None:
    for value in ("a", "a", "b"):
        record("image", "x", value)
    assert reported() == {"image": {"x": {"a", "b"}}}


def test_what_claims_saw_stands_side_by_side_in_the_report(runs: SmallRuns) -> None:
    source = (
        "@so()\ndef test_{0}(cluster):\n    inspected_one(1)\n    record('image', 'x', '{0}')\n"
    )
    runs.claims("01_cluster", source.format("b") + source.format("a"))
    seen = runs.run().report["seen"]
    assert {kind: reported for kind, reported in seen.items() if reported} == {
        "image": {"x": "a, b"}
    }
    assert {"argument", "webhook"} <= seen.keys()
