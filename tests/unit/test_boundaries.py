"""Where each table changes: the last release before and the first one of, as their tags say it.

Figures alone, read off upstream's tags one by one. A row whose `since` or `until` is moved by a
single release is noticed here, whether or not that release's own files are at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.istio.releases import (
    addons,
    bookinfo,
    defaults,
    expected,
    gateway,
    gateway_api,
    images,
    injection,
    installation,
    istioctl,
    overrides,
    redirection,
    telemetry,
    versions,
    webhooks,
)
from fixtures.istio.releases.rows import all_for, one_for

VIRTUAL_SERVICES = "virtualservices.networking.istio.io"
POLICIES = "authorizationpolicies.security.istio.io"
PEERS = "peerauthentications.security.istio.io"
TELEMETRIES = "telemetries.telemetry.istio.io"

RANGES = {
    "1.13.9": ("1.20", "1.23"),
    "1.14.6": ("1.21", "1.24"),
    "1.15.7": ("1.22", "1.25"),
    "1.16.7": ("1.22", "1.25"),
    "1.17.8": ("1.23", "1.26"),
    "1.18.7": ("1.24", "1.27"),
    "1.19.10": ("1.25", "1.28"),
    "1.20.8": ("1.25", "1.29"),
    "1.21.6": ("1.26", "1.29"),
    "1.22.8": ("1.27", "1.30"),
    "1.23.6": ("1.27", "1.30"),
    "1.24.6": ("1.28", "1.31"),
    "1.25.5": ("1.29", "1.32"),
    "1.26.8": ("1.29", "1.33"),
    "1.27.9": ("1.29", "1.33"),
    "1.28.10": ("1.30", "1.34"),
    "1.29.7": ("1.31", "1.35"),
    "1.30.8": ("1.32", "1.36"),
    "1.31.4": ("1.32", "1.36"),
    "1.32.0": ("1.32", "1.37"),
}


def _served(name: str) -> Callable[[str], str]:
    def of(version: str) -> str:
        rows = all_for(installation.DEFINITIONS, version)
        return " ".join(sorted(v for one in rows if one.name == name for v in one.served))

    return of


def _addon(name: str) -> Callable[[str], str]:
    def of(version: str) -> str:
        return dict(all_for(addons.IMAGES, version)).get(name, "").rpartition(":")[2]

    return of


def _one(table: Any, what: Callable[[Any], Any] = lambda value: value) -> Callable[[str], Any]:
    return lambda version: what(one_for(table, version))


def _all(table: Any, what: Callable[[Any], Any] = lambda value: value) -> Callable[[str], Any]:
    return lambda version: [what(value) for value in all_for(table, version)]


def _default(about: str) -> Callable[[str], str]:
    (table,) = (rows for name, rows in defaults.TABLES.items() if name.startswith(about))
    return lambda version: str(one_for(table, version))


def _services(version: str) -> int:
    return len(all_for(installation.SERVICES, version))


def _definitions(version: str) -> int:
    return len(all_for(installation.DEFINITIONS, version))


def _static(version: str) -> str:
    return next(one.path for one in all_for(gateway.ROUTES, version) if "static" in one.path)


def _health(version: str) -> int:
    return next(one.port for one in all_for(addons.ADDONS, version) if one.deployment == "jaeger")


def _flags(version: str) -> str:
    return "".join(sorted(one.flag for one in all_for(redirection.OVERRIDES, version)))


# How a table is asked, and what these releases answer: mostly the last one before a change and the
# first one of it.
CHANGES: dict[str, tuple[Callable[[str], Any], list[tuple[str, Any]]]] = {
    "definitions": (
        _definitions,
        [("1.13.0", 15), ("1.20.8", 15), ("1.21.0", 14), ("1.29.6", 14), ("1.30.0", 15)],
    ),
    "virtual services": (
        _served(VIRTUAL_SERVICES),
        [("1.21.6", "v1alpha3 v1beta1"), ("1.22.0", "v1 v1alpha3 v1beta1")],
    ),
    "policies": (_served(POLICIES), [("1.16.7", "v1beta1"), ("1.17.0", "v1 v1beta1")]),
    "peers": (_served(PEERS), [("1.21.6", "v1beta1"), ("1.22.0", "v1 v1beta1")]),
    "telemetries": (_served(TELEMETRIES), [("1.21.6", "v1alpha1"), ("1.22.0", "v1 v1alpha1")]),
    "budgets": (_one(installation.BUDGETS, len), [("1.27.9", 3), ("1.28.0", 0)]),
    "services": (_services, [("1.27.9", 3), ("1.28.0", 4)]),
    "namespaces without the root certificate": (
        _one(installation.WITHOUT_ROOT_CERT, len),
        [("1.20.8", 4), ("1.21.0", 3)],
    ),
    "hubs": (
        _one(images.HUBS, lambda hub: (hub.mesh, hub.samples)),
        [
            ("1.29.6", (images.DOCKER, images.DOCKER)),
            ("1.30.0", (images.REGISTRY, images.REGISTRY)),
            ("1.31.0", (images.DOCKER, images.REGISTRY)),
        ],
    ),
    "native sidecars": (
        _one(injection.DEFAULTS, lambda rule: (rule.settable, rule.kubelet)),
        [
            ("1.18.7", (False, "")),
            ("1.19.0", (True, "")),
            ("1.26.8", (True, "")),
            ("1.27.0", (True, "1.33")),
        ],
    ),
    "native by annotation": (
        _one(injection.NATIVE_OVERRIDES),
        [("1.23.6", ""), ("1.24.0", "true"), ("1.26.8", "true"), ("1.27.0", "false")],
    ),
    "revision on pods": (_one(injection.REVISIONS), [("1.17.8", False), ("1.18.0", True)]),
    "default container": (_one(injection.TELLING), [("1.13.9", 1), ("1.14.0", 0)]),
    "canonical names": (
        _one(injection.CANONICALS, lambda rule: (rule.longest, rule.cut)),
        [
            ("1.20.8", (0, "")),
            ("1.21.0", (63, "-")),
            ("1.30.3", (63, "-")),
            ("1.31.0", (63, "-_.")),
        ],
    ),
    "spellings": (
        _one(overrides.SPELLINGS, lambda rule: len(rule.yes)),
        [("1.26.8", 4), ("1.27.0", 1)],
    ),
    "istio-init's other arguments": (
        _all(redirection.OTHERS),
        [("1.14.6", []), ("1.15.0", ["--log_output_level=default:info"])],
    ),
    "istio-init's flags by annotation": (
        _flags,
        [("1.14.6", "-k-o-q"), ("1.15.0", "-c-k-o-q"), ("1.25.0", "-c-k-k-o-q")],
    ),
    "ports of metrics": (
        _one(webhooks.METRICS_DENIALS, bool),
        [("1.30.3", False), ("1.31.0", True)],
    ),
    "tags of the sample": (
        _one(bookinfo.TAGS),
        [
            ("1.13.4", "1.16.2"),
            ("1.13.5", "1.16.4"),
            ("1.15.0", "1.16.4"),
            ("1.15.1", "1.17.0"),
            ("1.18.7", "1.17.0"),
            ("1.19.0", "1.18.0"),
            ("1.21.6", "1.18.0"),
            ("1.22.0", "1.19.1"),
            ("1.22.8", "1.19.1"),
            ("1.23.0", "1.20.1"),
            ("1.23.6", "1.20.1"),
            ("1.24.0", "1.20.2"),
            ("1.25.5", "1.20.2"),
            ("1.26.0", "1.20.3"),
        ],
    ),
    "static files": (
        _static,
        [
            ("1.22.8", "/static/bootstrap/css/bootstrap.min.css"),
            ("1.23.0", "/static/tailwind/tailwind.css"),
        ],
    ),
    "the Gateway's version": (
        _one(gateway.API_VERSIONS),
        [("1.23.6", "networking.istio.io/v1alpha3"), ("1.24.0", "networking.istio.io/v1")],
    ),
    "the Gateway's port": (_one(gateway.PORTS), [("1.18.7", 80), ("1.19.0", 8080)]),
    "the Gateway API's variant": (
        _all(gateway_api.VARIANTS),
        [
            ("1.15.7", []),
            ("1.16.0", ["gateway.networking.k8s.io/v1beta1"]),
            ("1.23.6", ["gateway.networking.k8s.io/v1beta1"]),
            ("1.24.0", ["gateway.networking.k8s.io/v1"]),
        ],
    ),
    "the cluster in the log": (
        _one(telemetry.LOG_FORMATS, lambda operators: "%UPSTREAM_CLUSTER_RAW%" in operators),
        [("1.22.8", False), ("1.23.0", True)],
    ),
    "traces": (_one(telemetry.DEFAULT_TRACING, bool), [("1.21.6", True), ("1.22.0", False)]),
    "a provider of traces": (
        _one(telemetry.TRACING_PROVIDERS),
        [("1.24.6", ""), ("1.25.0", "jaeger")],
    ),
    "spans": (
        _default("spans"),
        [
            ("1.25.5", "one"),
            ("1.26.0", "one (otherwise by PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY=true)"),
            ("1.27.9", "one (otherwise by PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY=true)"),
            ("1.28.0", "two (otherwise by PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY=false)"),
            ("1.30.8", "two (otherwise by PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY=false)"),
            ("1.31.0", "two"),
        ],
    ),
    "rules without backends": (
        _default("the reply"),
        [
            ("1.17.0", "500"),
            ("1.29.7", "500"),
            ("1.30.0", "404"),
            ("1.30.8", "404"),
            ("1.31.0", "500"),
        ],
    ),
    "a Gateway's Accepted": (
        lambda version: "ListenersNotValid" in _default("condition")(version),
        [("1.30.8", False), ("1.31.0", True)],
    ),
    "endpoints that are not ready": (
        lambda version: "sent as unhealthy" in _default("endpoints")(version),
        [("1.30.8", False), ("1.31.0", True)],
    ),
    "verification": (_one(istioctl.VERIFY, bool), [("1.23.6", True), ("1.24.0", False)]),
    "removal": (
        _one(istioctl.UNINSTALL, lambda line: " x " in line),
        [("1.14.6", True), ("1.15.0", False)],
    ),
    "which proxies are in sync": (
        _one(istioctl.PROXY_STATUS, lambda line: line.endswith("-v 1")),
        [("1.26.8", False), ("1.27.0", True)],
    ),
    "jaeger's health": (_health, [("1.28.10", 14269), ("1.29.0", 13133)]),
    "kiali": (
        _addon("kiali"),
        [
            ("1.16.0", "v1.55"),
            ("1.16.1", "v1.59"),
            ("1.22.1", "v1.82"),
            ("1.22.2", "v1.86"),
            ("1.30.0", "v2.22"),
            ("1.30.1", "v2.26"),
            ("1.31.0", "v2.27"),
            ("1.31.1", "v2.31.0"),
            ("1.32.0", "v2.31.0"),
        ],
    ),
    "loki": (_addon("loki"), [("1.17.8", ""), ("1.18.0", "2.7.3"), ("1.31.0", "3.6.7")]),
}
CASES = [
    pytest.param(asked, version, value, id=f"{name} {version}")
    for name, (asked, answers) in CHANGES.items()
    for version, value in answers
]


@pytest.mark.parametrize(("requested", "version", "value"), CASES)
def test_a_table_changes_with_the_release_that_changed(
    requested: Callable[[str], Any], version: str, value: object
) -> None:
    assert requested(version) == value


@pytest.mark.parametrize(
    "requested", [requested for requested, _ in CHANGES.values()], ids=CHANGES
)
def test_the_newest_row_serves_what_comes_after(requested: Callable[[str], Any]) -> None:
    assert requested("1.90.0") == requested(f"{versions.NEWEST}.99")


@pytest.mark.parametrize(("version", "kube"), RANGES.items(), ids=RANGES)
def test_a_release_supports_the_kubernetes_of_upstreams_table(
    version: str, kube: tuple[str, str]
) -> None:
    found = versions.kubernetes_range(version)
    assert (found.first, found.last) == kube
    below, above = (
        f"1.{int(end.split('.')[1]) + by}" for end, by in zip(kube, (-1, 1), strict=True)
    )
    assert [bool(versions.support(version, k).refusal) for k in (below, *kube, above)] == [
        *(True, False, False, True),
    ]


@pytest.mark.parametrize("minor", [row.id for row in versions.RANGES])
def test_half_a_version_means_a_patch_of_it_that_its_kubernetes_can_run(minor: str) -> None:
    pair = versions.pair(minor)
    assert pair.istio.startswith(f"{minor}.")
    assert not versions.support(pair.istio, pair.kube).refusal


def test_a_release_candidate_is_held_as_its_release() -> None:
    candidate, release = (expected(v, "1.35", ["1.35"]) for v in ("1.31.0-rc.0", "1.31.0"))
    assert candidate.sample_tag == release.sample_tag
    assert candidate.definitions == release.definitions
