"""`python -m reports.versions_page` writes docs/versions.md: what differs between releases.

Made of the rows in `fixtures.istio.releases`, so that nothing stands here that a run does not go
by. With `--check` it writes nothing and ends with 1 if the page is not what the rows hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.istio.releases import (
    addons,
    bookinfo,
    cni,
    defaults,
    end_of_support,
    gateway,
    gateway_api,
    images,
    injection,
    installation,
    istioctl,
    overrides,
    redirection,
    telemetry,
    webhooks,
)
from fixtures.istio.releases.rows import Row, one_for
from fixtures.istio.releases.versions import NEWEST, OLDEST, RANGES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "versions.md"
TOP = f"""# Versions of Istio, and what differs

Made of the rows in `fixtures/istio/releases` by `tox -e docs`; do not edit. Known are Istio
{OLDEST} to {NEWEST}; of a newer one the newest rows are expected, with a warning in the report;
of an older one no cluster is made, and one that exists is tested against the oldest rows. A source
that begins with `not seen` says of what its row is inferred. How a new release gets its rows:
[a-new-istio.md](a-new-istio.md).
"""


@dataclass(frozen=True)
class Topic:
    """One thing that differs: its rows, and how a value reads in a table's cell."""

    title: str
    rows: Sequence[Row[Any]]
    say: Callable[[Any], str] = str


def _names(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)) or "none"


def _or_none(value: str) -> str:
    return value or "none"


def _native(rule: injection.Default) -> str:
    if rule.kubelet:
        return f"native where every kubelet is {rule.kubelet} or newer"
    return (
        "classic; native if istiod's ENABLE_NATIVE_SIDECARS is true" * rule.settable or "classic"
    )


def _spelling(rule: overrides.Spelling) -> str:
    case = " in any case" if rule.any_case else ""
    other = "means no" if rule.other is False else "is as if nothing were said"
    yes, no = sorted(rule.yes), sorted(rule.no)
    return f"{', '.join(yes)}{case} mean yes, {', '.join(no) or 'none'} no; any other {other}"


def _canonical(rule: injection.Canonical) -> str:
    cut = f", cut to {rule.longest}, without {' '.join(rule.cut)} at its end" if rule.cut else ""
    return f"{' or '.join(rule.name)}{cut}"


def _watched(one: gateway_api.Watched) -> str:
    return f"{one.plural} {one}"


def _table(table: installation.ServiceTable) -> str:
    return f"Service {table.name}, {table.type}: {', '.join(map(str, table.ports))}"


def _raw(operators: tuple[str, ...]) -> str:
    return next(operator for operator in operators if "UPSTREAM_CLUSTER" in operator)


TOPICS = (
    Topic("Kubernetes that it supports", RANGES),
    Topic("End of support", end_of_support.ENDS),
    Topic(
        "Known holes",
        end_of_support.HOLES,
        lambda hole: f"{hole[0]}, closed in {hole[1]}",
    ),
    Topic(
        "Images: the mesh's, the samples'",
        images.HUBS,
        lambda hub: f"mesh {hub.mesh}, samples {hub.samples}",
    ),
    Topic(
        "Registries that end",
        images.ENDING,
        lambda one: f"{one.prefix} from {one.ends:%Y-%m-%d}; the same is at {one.instead}",
    ),
    Topic("PodDisruptionBudgets", installation.BUDGETS, _names),
    Topic("Services of istioctl", installation.SERVICES, _table),
    Topic(
        "Definitions, and the versions in which they are served",
        installation.DEFINITIONS,
        lambda one: f"{one.name}: {_names(one.served)}",
    ),
    Topic("Namespaces without the root certificate", installation.WITHOUT_ROOT_CERT, _names),
    Topic(
        "Istio CNI: the node agent",
        cni.AGENTS,
        lambda one: f"{one.daemon_set}, image {one.image}",
    ),
    Topic("Istio CNI: where the node agent may be", cni.NAMESPACES),
    Topic("Injector configurations", webhooks.INJECTORS),
    Topic("Where the sidecar stands", injection.DEFAULTS, _native),
    Topic(
        "A pod's annotation sidecar.istio.io/nativeSidecar",
        injection.NATIVE_OVERRIDES,
        lambda word: {"": "does nothing", "true": "true alone makes it native"}.get(
            word, "all but false make it native"
        ),
    ),
    Topic(
        "A pod's annotation prometheus.io/port",
        webhooks.METRICS_DENIALS,
        lambda words: "refused where nothing can be merged from it" if words else "taken as it is",
    ),
    Topic("What sidecar.istio.io/inject takes for a yes", overrides.SPELLINGS, _spelling),
    Topic("Arguments beside istio-init's flags", redirection.OTHERS),
    Topic(
        "Flags of istio-init that a pod may bring",
        redirection.OVERRIDES,
        lambda row: f"{row.flag} by {row.annotation}",
    ),
    Topic(
        "Annotation istio.io/rev on pods",
        injection.REVISIONS,
        lambda tagged: "the revision" if tagged else "none",
    ),
    Topic(
        "Annotation kubectl.kubernetes.io/default-container",
        injection.TELLING,
        lambda only: f"on pods with {only} container" if only else "on every pod",
    ),
    Topic("Canonical name", injection.CANONICALS, _canonical),
    Topic("Tag of the sample's images", bookinfo.TAGS),
    Topic("Routes through the gateway", gateway.ROUTES, lambda one: f"{one.path}: {one}"),
    Topic("apiVersion of the sample's Gateway", gateway.API_VERSIONS),
    Topic("Port of the sample's Gateway", gateway.PORTS),
    Topic("The sample in the Gateway API's words", gateway_api.VARIANTS),
    Topic("Made of its Gateway", gateway_api.NAMES),
    Topic("Label of that gateway's pods", gateway_api.LABELS),
    Topic("How istiod watches the kinds of the Gateway API", gateway_api.WATCHED, _watched),
    Topic("Conditions of that Gateway", gateway_api.CONDITIONS, " and ".join),
    Topic("The cluster's operator in the access log", telemetry.LOG_FORMATS, _raw),
    Topic("Traces without a Telemetry resource go to", telemetry.DEFAULT_TRACING, _or_none),
    Topic("Provider for traces in the demo profile", telemetry.TRACING_PROVIDERS, _or_none),
    *(Topic(f"By default: {about}", table) for about, table in defaults.TABLES.items()),
    Topic(
        "Add-ons: own health address",
        addons.ADDONS,
        lambda one: f"{one.deployment}: GET :{one.port}{one.path}",
    ),
    Topic("Add-ons: images", addons.IMAGES, lambda pair: pair[1]),
    Topic("istioctl: verification", istioctl.VERIFY, _or_none),
    Topic("istioctl: removal", istioctl.UNINSTALL),
    Topic("istioctl: which proxies are in sync", istioctl.PROXY_STATUS),
)

# The columns of the first table: what a reader looks up most often.
GLANCE: tuple[tuple[str, Sequence[Row[Any]], Callable[[Any], str]], ...] = (
    ("Kubernetes", RANGES, str),
    (
        "sidecars",
        injection.DEFAULTS,
        lambda r: f"native from {r.kubelet}" if r.kubelet else "classic",
    ),
    ("mesh's images", images.HUBS, lambda hub: hub.mesh),
    ("samples' images", images.HUBS, lambda hub: hub.samples),
    ("sample's tag", bookinfo.TAGS, str),
    ("Gateway", gateway.API_VERSIONS, lambda v: v.rpartition("/")[2]),
    ("its port", gateway.PORTS, str),
    ("budgets", installation.BUDGETS, lambda names: "yes" if names else "no"),
    ("traces", telemetry.DEFAULT_TRACING, lambda where: "Zipkin" if where else "on request"),
)


def page() -> str:
    """The page's text."""
    lines = [TOP, "## At a glance", "", "What holds for the first patch of each release.", ""]
    lines += _lines(("Istio", *(title for title, _, _ in GLANCE)), map(_glance, RANGES))
    for topic in TOPICS:
        lines += ["", f"## {topic.title}", ""]
        lines += _lines(("Istio", "expected", "source"), _told(topic))
    return "\n".join(lines) + "\n"


def _glance(release: Row[Any]) -> tuple[str, ...]:
    first = f"{release.id}.0"
    return (release.id, *(say(one_for(rows, first)) for _, rows, say in GLANCE))


def _told(topic: Topic) -> Iterator[tuple[str, ...]]:
    for row in topic.rows:
        yield _span(row), topic.say(row.value), row.source


def _span(row: Row[Any]) -> str:
    if not row.since and not row.until:
        return "all"
    if not row.since:
        return f"before {row.until}"
    return f"{row.since} to before {row.until}" if row.until else f"since {row.since}"


def _lines(head: Sequence[str], cells: Iterator[tuple[str, ...]]) -> list[str]:
    table = [tuple(head), tuple("---" for _ in head), *cells]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in table]


def main(arguments: list[str]) -> int:
    """Write the page, or hold it against the rows."""
    text = page()
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
    if not same:
        sys.stderr.write("docs/versions.md is not what the rows hold: run tox -e docs\n")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
