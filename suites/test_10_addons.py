"""Stage 10: the add-ons that come with a release are healthy, and know what the mesh does."""

import pytest

from fixtures.claims import claim
from fixtures.istio.addons import NAMES, Addons
from fixtures.istio.observability.connections import Connections
from fixtures.istio.observability.grafana import Grafana
from fixtures.istio.observability.jaeger import Jaeger
from fixtures.istio.observability.kiali import Kiali
from fixtures.istio.observability.loki import Loki
from fixtures.istio.observability.prometheus import Prometheus
from fixtures.istio.observability.traffic import Caused

SAMPLES = "samples/addons of the release"
METRICS = "Istio, observability: querying metrics from Prometheus"
TRACES = "Istio, observability: Jaeger"
KIALI = "Istio, observability: visualizing the mesh"


@claim(
    "The add-on is fully rolled out, with the image of this release.",
    source=SAMPLES,
    hint="The message has the kubelet's or the scheduler's reason.",
    feature="addons",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_add_on_is_rolled_out(addons: Addons, name: str) -> None:
    addons.expect_rolled_out(name)


@claim(
    "The add-on's Services have their ports and ready endpoints.",
    source=SAMPLES,
    hint="Compare the ports; do the selectors match the add-on's pods?",
    feature="addons",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_add_ons_services_lead_to_it(addons: Addons, name: str) -> None:
    addons.expect_services(name)


@claim(
    "The add-on's health check answers 200.",
    source="readiness probes in samples/addons of the release",
    hint="Look at the add-on's log.",
    feature="addons",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_add_on_says_that_it_is_well(addons: Addons, name: str) -> None:
    addons.expect_healthy(name)


@claim(
    "Prometheus scrapes each pod of the mesh that asks for it.",
    source="Istio, Prometheus integration: metrics merging; scrape annotations of the charts",
    hint="Open the targets page of Prometheus; why is that target down, or none?",
    feature="mesh-traffic",
)
def test_prometheus_scrapes_every_pod_of_the_mesh(prometheus: Prometheus) -> None:
    prometheus.expect_targets_up()


@claim(
    "Prometheus counts our requests to productpage within a scrape interval and a half.",
    source=f"{METRICS}; in ambient mode ztunnel counts the connections that they make",
    hint="Is productpage's pod a target that is up? Does its /stats/prometheus name the requests?",
    feature="mesh-traffic",
)
def test_prometheus_counts_our_requests(
    sent: Caused | Connections, prometheus: Prometheus
) -> None:
    sent.expect_counted_by(prometheus)


@claim(
    "Jaeger holds the trace of our requests, with spans of productpage, details and reviews.",
    source=TRACES,
    hint="From 1.22 on a Telemetry resource must name the tracer; do spans reach the collector?",
    feature="sidecars",
)
def test_jaeger_holds_a_trace_that_we_caused(caused: Caused, jaeger: Jaeger) -> None:
    jaeger.expect_trace(caused)


@claim(
    "Grafana's data source answers a query.",
    source=SAMPLES,
    hint="Which URL has the data source? Does Prometheus answer there?",
    feature="addons",
)
def test_grafanas_data_source_answers(grafana: Grafana) -> None:
    grafana.expect_data_source()


@claim(
    "Grafana lists Istio's dashboards, and Prometheus knows what each of them shows.",
    source=SAMPLES,
    hint="A dashboard none of whose metrics exists can only be empty.",
    feature="sidecars",
)
def test_grafanas_dashboards_have_something_to_show(caused: Caused, grafana: Grafana) -> None:
    grafana.expect_dashboards(caused)


@claim(
    "Kiali's graph has the edges of our requests: to productpage, on to details and reviews.",
    source=KIALI,
    hint="Kiali draws what Prometheus counted: does it reach Prometheus?",
    feature="sidecars",
)
def test_kialis_graph_has_our_edges(caused: Caused, kiali: Kiali) -> None:
    kiali.expect_edges(caused)


@claim(
    "Kiali shows mutual TLS on each edge between sidecars.",
    source=KIALI,
    hint="Does a DestinationRule or a PeerAuthentication turn mutual TLS off?",
    feature="sidecars",
)
def test_kiali_shows_mutual_tls(caused: Caused, kiali: Kiali) -> None:
    kiali.expect_mutual_tls(caused)


@claim(
    "Kiali's status names no component of the mesh that it cannot reach.",
    source=KIALI,
    hint="Kiali's configuration says where it looks for Prometheus, Grafana and Jaeger.",
    feature="addons",
)
def test_kiali_reaches_everything(kiali: Kiali) -> None:
    kiali.expect_everything_reached()


@claim(
    "Loki keeps the line that productpage's sidecar logged of a request of ours, and finds it.",
    source="Istio, observability: logs; the release's Loki is sent nothing by itself",
    hint="The run sends the line to Loki itself: look at Loki's log.",
    feature="sidecars",
)
def test_loki_holds_our_access_log_line(caused: Caused, loki: Loki) -> None:
    loki.expect_line(caused)
