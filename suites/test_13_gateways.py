"""Stage 13: every gateway of the cluster, whoever made it and wherever it is."""

from fixtures.claims import claim
from fixtures.istio.api_gateways import ApiGateways
from fixtures.istio.credentials import Credentials
from fixtures.istio.gateways import Gateways

STATUS = "Gateway API: conditions of Gateways, of their listeners and of routes at their parents"


@claim(
    "Every gateway that is meant to be used has its pods, ready and of its last change.",
    source="Kubernetes, Deployment status; charts gateway and istio-ingress",
    hint="Scaled to 0 while a Service or a Gateway selects it? Look at its pods and their events.",
)
def test_every_gateway_has_its_pods(gateways: Gateways) -> None:
    gateways.expect_pods()


@claim(
    "Every Gateway of Istio's, and every gateway's Service, selects pods.",
    source="Istio, Gateway: its selector picks the proxies that serve it",
    hint="Was the gateway removed or relabelled, and what was meant for it left?",
)
def test_what_is_meant_for_a_gateway_selects_one(gateways: Gateways) -> None:
    gateways.expect_selected()


@claim(
    "Gateways serve a certificate for each credential that a Gateway names.",
    source="Istio, secure gateways: credentialName; Gateway API: certificateRefs",
    hint="Is there such a Secret beside the gateway's pods, and is it of type kubernetes.io/tls?",
    feature="port-forward",
)
def test_every_credential_is_served(credentials: Credentials) -> None:
    credentials.expect_served()


@claim(
    "Every gateway that istiod created for a Gateway resource has its pods.",
    source="istiod's deployment controller; Kubernetes, Deployment status",
    hint="A Gateway can be Programmed without a single pod: look at its Deployment.",
    feature="gateway-api",
)
def test_every_generated_gateway_has_its_pods(gateways: Gateways) -> None:
    gateways.expect_generated_pods()


@claim(
    "Every Gateway resource of Istio's classes is accepted and programmed.",
    source=STATUS,
    hint="Waiting for controller: does its istio.io/rev name a revision, and does istiod run?",
    feature="gateway-api",
)
def test_every_gateway_resource_is_programmed(api_gateways: ApiGateways) -> None:
    api_gateways.expect_programmed()


@claim(
    "No listener of them collides with another, and each has what it refers to.",
    source=STATUS,
    hint="The condition's message names the Secret or the other listener.",
    feature="gateway-api",
)
def test_every_listener_is_in_order(api_gateways: ApiGateways) -> None:
    api_gateways.expect_listeners()


@claim(
    "Every route to them is accepted, and leads to Services that exist.",
    source=STATUS,
    hint="The condition's message names the parent or the backend; is it in another namespace?",
    feature="gateway-api",
)
def test_every_route_leads_somewhere(api_gateways: ApiGateways) -> None:
    api_gateways.expect_routes()
