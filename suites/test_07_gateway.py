"""Stage 7: requests from outside through the gateways to the sample, and the access log."""

import pytest

from fixtures.claims import claim
from fixtures.istio.clash import Clash
from fixtures.istio.gateway import Gateway
from fixtures.istio.gateway_api import ApiGateway
from fixtures.traffic.client import ROUTES, Client

CHART = "manifests/charts/gateways/istio-ingress"
SAMPLE = "samples/bookinfo/networking/bookinfo-gateway.yaml"
API_SAMPLE = "samples/bookinfo/gateway-api/bookinfo-gateway.yaml"
CONTROLLER = "istiod's deployment controller, template kube-gateway"
LOG = "EnvoyTextLogFormat in pilot/pkg/model; demo profile: accessLogFile /dev/stdout"


@claim(
    "The gateway's pods run the proxy as a router.",
    source=CHART,
    hint="Image proxyv2, arguments proxy router; a sidecar would be proxy sidecar.",
)
def test_the_gateway_runs_the_proxy_as_a_router(gateway: Gateway) -> None:
    gateway.expect_router()


@claim(
    "The gateway's Service maps 80 to 8080 and 443 to 8443, and every port has a NodePort.",
    source=CHART,
    hint="Compare the Service with the chart's ports; the numbers of the NodePorts are free.",
    feature="demo-ports",
)
def test_the_gateways_service_has_its_port_table(gateway: Gateway) -> None:
    gateway.expect_ports()


@claim(
    "The Gateway selects the ingress gateway and accepts HTTP for the sample's host.",
    source=SAMPLE,
    hint="Connections are refused while the selector matches no gateway pod.",
    feature="bookinfo",
)
def test_the_gateway_object_selects_the_ingress_gateway(gateway: Gateway) -> None:
    gateway.expect_gateway_object()


@claim(
    "The VirtualService has five routes at that Gateway, all to productpage.",
    source=SAMPLE,
    hint="Hosts, gateways and matches must be those of the sample.",
    feature="bookinfo",
)
def test_the_virtual_service_has_its_five_routes(gateway: Gateway) -> None:
    gateway.expect_virtual_service()


@claim(
    "From outside the cluster each route reaches productpage.",
    source=f"{SAMPLE}; Envoy: x-envoy-upstream-service-time",
    hint="The message names the first broken hop and explains the log's response flag.",
    feature="ingress",
    blocking=True,
)
@pytest.mark.parametrize("route", ROUTES)
def test_each_route_reaches_productpage(client: Client, route: str) -> None:
    client.expect_route(route)


@claim(
    "The product page through the gateway shows details and reviews.",
    source="the sample's productpage: its status is 200 even where a service behind it fails",
    hint="Are details and reviews ready, and does productpage's sidecar reach them?",
    feature="ingress",
)
def test_the_page_through_the_gateway_is_whole(client: Client) -> None:
    client.expect_whole_page()


@claim(
    "Twenty requests in a row all get the complete page.",
    source="Envoy drains old listeners for 45 s: one good reply does not prove stability",
    hint="Did something change just before? Look for gateways or endpoints that differ.",
    feature="ingress",
    level="extended",
)
def test_the_page_stays_reachable(client: Client) -> None:
    client.expect_steady(samples=20)


@claim(
    "A younger Gateway that wants the same port for another protocol changes nothing.",
    source="istiod: MergeGateways; seen on 1.32: skipping server, conflict with existing server",
    hint="istiod's log names the server that it skips; istioctl analyze names both (IST0145).",
    feature="ingress",
    level="extended",
)
def test_a_clashing_gateway_changes_nothing(clash: Clash) -> None:
    clash.expect_no_harm()


@claim(
    "The API of productpage lists the book as JSON through the gateway.",
    source="the sample's productpage, /api/v1/products",
    hint="Is it productpage that replies? Look at the reply's headers.",
    feature="ingress",
)
def test_the_products_are_json(client: Client) -> None:
    client.expect_products()


@claim(
    "A path that no route matches gets 404 from the gateway itself.",
    source="Envoy: response flags, NR; recorded on 1.29.6",
    hint="A reply of the application means that a route matches: look at all VirtualServices.",
    feature="ingress",
)
def test_a_path_no_route_matches_gets_404(client: Client) -> None:
    client.expect_unrouted()


@claim(
    "The gateway's access log names productpage as the upstream of a request.",
    source=LOG,
    hint="Envoy flushes its log once a second; is accessLogFile set in the mesh's configuration?",
    feature="pod-log",
)
def test_the_access_log_names_productpage_as_upstream(client: Client) -> None:
    client.expect_upstream()


@claim(
    "The gateway's access log has response flag NR for a path that no route matches.",
    source=LOG,
    hint="Response flag NR, details route_not_found.",
    feature="pod-log",
)
def test_the_access_log_says_that_no_route_matched(client: Client) -> None:
    client.expect_unrouted_logged()


@claim(
    "istiod creates a Deployment of the mesh's proxy for a Gateway of the Gateway API.",
    source=CONTROLLER,
    hint="Look at the Gateway's status, and at the events and logs of the pods.",
    level="extended",
    feature="gateway-api",
)
def test_istiod_made_the_gateway_a_deployment(api_gateway: ApiGateway) -> None:
    api_gateway.expect_deployment()


@claim(
    "istiod creates a Service for that Gateway, with the Deployment's pods as endpoints.",
    source=CONTROLLER,
    hint="Port 15021 is the proxy's health check, the others are the Gateway's listeners.",
    level="extended",
    feature="gateway-api",
)
def test_istiod_made_the_gateway_a_service(api_gateway: ApiGateway) -> None:
    api_gateway.expect_service()


@claim(
    "The status of that Gateway is Programmed, with one route attached.",
    source=f"{API_SAMPLE}; Gateway API: conditions of a Gateway, listeners' attachedRoutes",
    hint="The condition's message says what is missing. No condition: is the class istiod's?",
    level="extended",
    feature="gateway-api",
)
def test_the_api_gateway_is_programmed(api_gateway: ApiGateway) -> None:
    api_gateway.expect_programmed()


@claim(
    "The HTTPRoute is accepted at that Gateway, and its references are resolved.",
    source=f"{API_SAMPLE}; Gateway API: conditions of a route at its parent",
    hint="Does parentRefs name the Gateway, and backendRefs a Service and its port?",
    level="extended",
    feature="gateway-api",
)
def test_the_http_route_is_accepted(api_gateway: ApiGateway) -> None:
    api_gateway.expect_route_accepted()


@claim(
    "Each HTTPRoute rule reaches productpage through the gateway that istiod created.",
    source=f"{API_SAMPLE}; Envoy: x-envoy-upstream-service-time",
    hint="The message names the first broken hop and explains the log's response flag.",
    level="extended",
    feature="gateway-api",
)
@pytest.mark.parametrize("route", ROUTES)
def test_each_http_route_reaches_productpage(api_client: Client, route: str) -> None:
    api_client.expect_route(route)


@claim(
    "A path that no HTTPRoute matches gets 404 from that gateway itself.",
    source="Gateway API: HTTPRouteMatch; Envoy: response flags, NR",
    hint="A reply of the application means that a rule matches: look at all HTTPRoutes.",
    level="extended",
    feature="gateway-api",
)
def test_a_path_no_http_route_matches_gets_404(api_client: Client) -> None:
    api_client.expect_unrouted()
