"""The tables: one row where one is asked for, and what follows for the versions we know."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.istio import releases
from fixtures.istio.releases import (
    bookinfo,
    defaults,
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
from fixtures.istio.releases.rows import NOT_SEEN, Row, minor, one_for, version
from fixtures.istio.releases.unseen import default_pair, unseen
from fixtures.istio.releases.versions import (
    NEWEST,
    OLDEST,
    PAIRS,
    RANGES,
    Pair,
    kubernetes_range,
    pair,
    support,
)
from fixtures.providers.discover import Engine
from fixtures.run import cluster
from fixtures.run.cluster import completed
from fixtures.run.settings import Settings
from tests.judge import upstream

# The first Kubernetes of the newest release: what is newer than the table begins there, too.
LEAST = RANGES[-1].value.first

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
    *defaults.TABLES.values(),
    webhooks.METRICS_DENIALS,
    overrides.SPELLINGS,
)
EVERY_MINOR = [f"{row.id}.0" for row in RANGES]


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
        ("1.40", "", ("1.40.0", PAIRS[0].kube)),
    ],
)
def test_half_of_a_pair_is_completed(istio: str, kube: str, whole: tuple[str, str]) -> None:
    assert pair(istio, kube) == Pair(*whole)


@pytest.mark.parametrize(
    ("istio", "kube", "refusal", "warning"),
    [
        ("1.12.9", "1.22", f"Istio 1.12.9 is too old: this suite knows {OLDEST} to {NEWEST}", ""),
        ("1.20.8", "1.30", "Istio 1.20.8 supports Kubernetes 1.25 to 1.29, not 1.30", ""),
        ("1.20.8", "1.24.9", "Istio 1.20.8 supports Kubernetes 1.25 to 1.29, not 1.24.9", ""),
        ("1.20.8", "1.29.7-eks.3", "", ""),
        ("1.90.0", "1.99", "", f"Istio 1.90.0 is newer than this suite ({OLDEST} to {NEWEST})"),
        ("1.90.0", "1.19", f"supports Kubernetes {LEAST} and newer, not 1.19", ""),
        ("1.31.4", "1.36.0", "", ""),
    ],
)
def test_what_goes_together_is_reported_with_its_range(
    istio: str, kube: str, refusal: str, warning: str
) -> None:
    found = support(istio, kube)
    assert refusal in found.refusal
    assert bool(refusal) == bool(found.refusal)
    assert warning in found.warning
    assert bool(warning) == bool(found.warning)


def test_a_real_cluster_is_made_of_the_newest_that_was_seen() -> None:
    found = default_pair()
    assert not unseen(found.istio)
    assert all(unseen(known.istio) for known in PAIRS[: PAIRS.index(found)])
    assert completed("", "", "kind") == found
    assert completed("", "", "embedded") == PAIRS[0]
    assert completed("1.27", "", "kind") == Pair("1.27.9", "1.33")


@pytest.fixture
def inferred(monkeypatch: pytest.MonkeyPatch) -> Pair:
    """The newest pair, which alone has a Kubernetes, and of whose release a row is inferred."""
    newest = Pair(f"{NEWEST}.0", RANGES[-1].value.last)
    tables = [("its images", [Row("a", 1, f"{NOT_SEEN}: a guess", since=NEWEST)])]
    monkeypatch.setattr(releases.unseen, "TABLES", tables)
    return newest


def test_what_is_inferred_of_a_release_is_named(inferred: Pair) -> None:
    assert unseen(inferred.istio) == ("its images",)
    assert unseen(f"{OLDEST}.0") == ()


def test_a_kubernetes_that_only_the_newest_istio_supports_takes_that_one(inferred: Pair) -> None:
    assert minor(default_pair().istio) != NEWEST
    assert inferred.kube not in kubernetes_range(default_pair().istio)
    assert minor(default_pair(inferred.kube).istio) == NEWEST
    assert default_pair("1.20") == default_pair()


def test_auto_takes_the_versions_of_the_provider_that_it_takes(
    inferred: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_engine", lambda: Engine("docker", "29.1"))
    message = Namespace(istio_version="", kube_version="")
    settings = Settings("auto", inferred.istio, inferred.kube, "smoke", Path())
    state = SimpleNamespace(settings=settings, notes=[])
    cluster.pytest_seatrial_start(SimpleNamespace(option=message), state)  # type: ignore[arg-type]  # no more of them is read
    taken = Pair(state.settings.istio_version, state.settings.kube_version)
    assert (state.settings.provider, taken) == ("kind", default_pair())


def test_the_newest_pair_is_the_default() -> None:
    assert pair() == PAIRS[0]
    assert minor(pair().istio) == NEWEST


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


@pytest.mark.parametrize("folder", upstream.VERSIONS)
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
