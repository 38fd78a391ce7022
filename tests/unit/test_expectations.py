"""The tables: one row where one is asked for, and what follows for the versions we know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from fixtures.istio.releases import (
    bookinfo,
    expected,
    gateway,
    images,
    injection,
    installation,
    istioctl,
    overrides,
    telemetry,
    webhooks,
)
from fixtures.istio.releases.rows import Row, one_for, version
from fixtures.istio.releases.versions import PAIRS, Pair, kubernetes_range, pair, support
from tests.judge import upstream

# Tables of which exactly one row holds for each release.
ONE_FOR_EACH: tuple[Sequence[Row[Any]], ...] = (
    bookinfo.TAGS,
    gateway.API_VERSIONS,
    gateway.PORTS,
    images.HUBS,
    injection.NATIVE_OVERRIDES,
    injection.CANONICALS,
    injection.DEFAULTS,
    injection.REVISIONS,
    injection.TELLING,
    installation.BUDGETS,
    installation.WITHOUT_ROOT_CERT,
    istioctl.PROXY_STATUS,
    istioctl.UNINSTALL,
    istioctl.VERIFY,
    telemetry.DEFAULT_TRACING,
    telemetry.LOG_FORMATS,
    telemetry.TRACING_PROVIDERS,
    webhooks.METRICS_DENIALS,
    overrides.SPELLINGS,
)
EVERY_MINOR = [f"1.{minor}.0" for minor in range(13, 32)]


def facts(istio: str) -> Any:
    return upstream.facts(istio)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("v1.34.4-gke.12", (1, 34, 4)), ("1.31", (1, 31)), ("1.31.0-rc.0", (1, 31, 0))],
)
def test_a_version_is_its_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="newest"):
        version("newest")


@pytest.mark.parametrize(
    ("of", "holds"), [("1.27.9", False), ("1.28", True), ("1.30.3", True), ("1.31.0", False)]
)
def test_a_row_holds_from_since_to_before_until(of: str, holds: bool) -> None:  # noqa: FBT001  # a row of the table
    assert Row("x", 1, "here", since="1.28", until="1.31").holds(of) is holds


def test_two_rows_for_one_question_are_the_tables_fault() -> None:
    with pytest.raises(LookupError, match="'a', 'b'"):
        one_for([Row("a", 1, "here"), Row("b", 2, "here", since="1.20")], "1.31.0")


@pytest.mark.parametrize("istio", EVERY_MINOR)
def test_no_table_has_a_gap_or_an_overlap(istio: str) -> None:
    for table in ONE_FOR_EACH:
        one_for(table, istio)
    names = [row.value.name for row in installation.DEFINITIONS if row.holds(istio)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("known", PAIRS, ids=lambda p: f"{p.istio} on {p.kube}")
def test_every_pair_of_the_table_is_supported(known: Any) -> None:
    assert known.kube in kubernetes_range(known.istio)
    assert pair(known.istio, known.kube) == known


@pytest.mark.parametrize(
    ("istio", "kube", "whole"),
    [
        ("1.27", "", ("1.27.9", "1.33")),
        ("1.27.9", "1.32", ("1.27.9", "1.32")),
        ("1.22", "", ("1.22.8", "1.30")),
        ("1.25.1", "", ("1.25.1", "1.32")),
        ("1.13", "1.22", ("1.13.1", "1.22")),
        ("1.40", "", ("1.40.0", "1.35")),
    ],
)
def test_half_of_a_pair_is_completed(istio: str, kube: str, whole: tuple[str, str]) -> None:
    assert pair(istio, kube) == Pair(*whole)


@pytest.mark.parametrize(
    ("istio", "kube", "refusal", "warning"),
    [
        ("1.12.9", "1.22", "Istio 1.12.9 is too old: this suite knows 1.13 to 1.31", ""),
        ("1.20.8", "1.30", "Istio 1.20.8 supports Kubernetes 1.25 to 1.29, not 1.30", ""),
        ("1.20.8", "1.24.9", "Istio 1.20.8 supports Kubernetes 1.25 to 1.29, not 1.24.9", ""),
        ("1.20.8", "1.29.7-eks.3", "", ""),
        ("1.32.0", "1.37", "", "Istio 1.32.0 is newer than this suite (1.13 to 1.31)"),
        ("1.32.0", "1.31", "supports Kubernetes 1.32 and newer, not 1.31", ""),
        ("1.31.4", "1.36.0", "", ""),
    ],
)
def test_what_goes_together_is_told_with_its_range(
    istio: str, kube: str, refusal: str, warning: str
) -> None:
    found = support(istio, kube)
    assert refusal in found.refusal
    assert bool(refusal) == bool(found.refusal)
    assert warning in found.warning
    assert bool(warning) == bool(found.warning)


def test_the_newest_pair_is_the_default() -> None:
    assert (pair().istio, pair().kube) == ("1.31.0", "1.35")


@pytest.mark.parametrize(
    ("istio", "kubelets", "place"),
    [
        ("1.31.0", ["v1.35.0"], "native"),
        ("1.31.0", ["v1.35.0", "v1.32.9"], "classic"),
        ("1.27.9", ["v1.33.0"], "native"),
        ("1.24.6", ["v1.35.0"], "classic"),
    ],
)
def test_the_oldest_kubelet_decides_where_the_sidecar_stands(
    istio: str, kubelets: list[str], place: str
) -> None:
    assert injection.sidecar_place(istio, kubelets).place == place


@pytest.mark.parametrize("folder", ["1.13.1", "1.20.8", "1.27.9", "1.30.3", "1.31.0-rc.0"])
def test_the_tables_say_what_upstreams_manifests_say(folder: str) -> None:
    known = facts(folder)
    ours = expected(folder, "1.35.0", ["v1.35.0"], day=date(2026, 9, 1))
    kubernetes = known["kubernetes"]
    assert (ours.kubernetes.first, ours.kubernetes.last) == (
        kubernetes["documented_min"],
        kubernetes["documented_max"],
    )
    assert ours.hub.mesh == known["hub"]
    assert ours.hub.samples == known["bookinfo"]["image_prefix"]
    assert ours.sample_tag == known["bookinfo"]["image_tag"]
    assert {c.deployment for c in ours.components} == set(known["deployments"])
    for component in ours.components:
        theirs = known["deployments"][component.deployment]
        assert theirs["container"] == component.container
        assert theirs["image"] == f"{ours.hub.mesh}/{component.image}:{folder}"
    for table in ours.services:
        service = known["services"][table.name]
        assert service["type"] == table.type
        assert [
            (p["name"], p["port"], p.get("targetPort", p["port"])) for p in service["ports"]
        ] == [(p.name, p.port, p.target) for p in table.ports]
    assert {t.name for t in ours.services} == set(known["services"])
    left = ours.annotations_left({}, ["hello"])
    assert {*left, injection.STATUS} == set(known["injection"]["annotations"])
    assert ours.budgets == set(known["pod_disruption_budgets"])
    assert one_for(gateway.API_VERSIONS, folder) == known["bookinfo"]["gateway_apiVersion"]
    assert one_for(gateway.PORTS, folder) == known["bookinfo"]["gateway_port"]
    zipkin = (known["mesh_config"]["defaultConfig"].get("tracing") or {}).get("zipkin") or {}
    assert one_for(telemetry.DEFAULT_TRACING, folder) == zipkin.get("address", "")
    providers = {p["name"] for p in known["mesh_config"].get("extensionProviders", ())}
    assert (one_for(telemetry.TRACING_PROVIDERS, folder) == "jaeger") == ("jaeger" in providers)
    tools = known["istioctl"]
    assert bool(one_for(istioctl.VERIFY, folder)) == tools["verify_install"]
    assert one_for(istioctl.UNINSTALL, folder).startswith(tools["uninstall"])
    words = "CDS" in tools["proxy_status_columns"]
    assert (one_for(istioctl.PROXY_STATUS, folder) == "istioctl proxy-status") == words
