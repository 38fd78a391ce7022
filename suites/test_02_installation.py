"""Stage 2: the installation of Istio's demo profile."""

import pytest

from fixtures.claims import claim
from fixtures.claims.deadlines import STEADY
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.gateway_arguments import NAMES, expect_argument
from fixtures.istio.node_agent import NodeAgent


@claim(
    "The namespace of istiod is active.",
    source="istioctl install creates it",
    hint="Was Istio installed into another namespace, or uninstalled?",
)
def test_istio_system_is_active(control_plane: ControlPlane) -> None:
    control_plane.expect_active()


@claim(
    "The mesh's configuration and the injector's values are readable YAML.",
    source="ConfigMaps istio (key mesh) and istio-sidecar-injector (key values) of istiod's chart",
    hint="Correct the ConfigMap: istiod goes on with what it read last, until it is restarted.",
)
def test_the_mesh_configuration_can_be_read(control_plane: ControlPlane) -> None:
    control_plane.expect_readable_configuration()


@claim(
    "The istiod Deployment is fully rolled out.",
    source="Kubernetes, Deployment status; Istio's demo profile",
    hint="Look at istiod's log and at the events; an old pod may still be available.",
    blocking=True,
)
def test_istiod_is_rolled_out(control_plane: ControlPlane) -> None:
    control_plane.expect_rolled_out("istiod")


@claim(
    "The istiod of every other revision is fully rolled out.",
    source="Istio, canary upgrades: several revisions side by side; Kubernetes, Deployment status",
    hint="Its proxies keep what they have, and its new pods are refused: look at its log.",
)
def test_every_other_istiod_is_rolled_out(control_plane: ControlPlane) -> None:
    control_plane.expect_others_rolled_out()


@claim(
    "The ingress gateway's Deployment is fully rolled out.",
    source="Kubernetes, Deployment status; Istio's demo profile",
    hint="A gateway is ready once istiod has sent it its configuration: look at its log.",
    feature="ingress-gateway",
)
def test_the_ingress_gateway_is_rolled_out(control_plane: ControlPlane) -> None:
    control_plane.expect_rolled_out("istio-ingressgateway")


@claim(
    "The egress gateway's Deployment is fully rolled out.",
    source="Kubernetes, Deployment status; Istio's demo profile",
    hint="A gateway is ready once istiod has sent it its configuration: look at its log.",
    feature="egress-gateway",
)
def test_the_egress_gateway_is_rolled_out(control_plane: ControlPlane) -> None:
    control_plane.expect_rolled_out("istio-egressgateway")


@claim(
    "The agent of Istio's CNI plugin is ready on every node that it is scheduled to.",
    source="manifests/charts/istio-cni, daemonset.yaml; Kubernetes, DaemonSet status",
    hint="Without it no injected pod starts: look at its pods, and at the nodes' taints.",
)
def test_the_cni_agent_is_ready_on_every_node(node_agent: NodeAgent) -> None:
    node_agent.expect_ready()


@claim(
    "The control plane's pods are stable: none is replaced, no container restarts.",
    source="Kubernetes, container restarts: a container that crashes is ready in between",
    hint="Look at the log of the container before its restart: kubectl logs --previous.",
)
def test_the_control_plane_is_stable(control_plane: ControlPlane) -> None:
    control_plane.expect_stable(during=STEADY)


@claim(
    "istiod's Services have all their ports: xDS, certificates, webhooks and metrics.",
    source="manifests/charts/istio-control/istio-discovery, service.yaml",
    hint="Proxies connect to 15012, the API server calls webhooks on 443.",
)
def test_istiods_services_have_their_ports(control_plane: ControlPlane) -> None:
    control_plane.expect_services_of("istiod")


@claim(
    "The ingress gateway's Service is of type LoadBalancer and has all its ports.",
    source="manifests/charts/gateways/istio-ingress, demo profile",
    hint="Ports that were patched by hand may be lost at the next installation.",
    feature="demo-ports",
)
def test_the_ingress_service_has_its_ports(control_plane: ControlPlane) -> None:
    control_plane.expect_services_of("istio-ingressgateway")


@claim(
    "The egress gateway's Service is of type ClusterIP and has all its ports.",
    source="manifests/charts/gateways/istio-egress, demo profile",
    hint="The demo profile's egress gateway has 80 and 443, and no 15443.",
    feature="egress-gateway",
)
def test_the_egress_service_has_its_ports(control_plane: ControlPlane) -> None:
    control_plane.expect_services_of("istio-egressgateway")


@claim(
    "The proxy of the egress gateway has the role, the domain and the log levels of its chart.",
    source="manifests/charts/gateways/istio-egress; the injector's values",
    hint="Was the Deployment changed by hand? The next installation takes it back.",
    feature="egress-gateway",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_egress_gateway_has_its_arguments(control_plane: ControlPlane, name: str) -> None:
    expect_argument(control_plane, name)


@claim(
    "Each of the mesh's Services has a ready endpoint.",
    source="Kubernetes, EndpointSlices",
    hint="Compare the Service's selector with the pods' labels; are the pods ready?",
)
def test_every_service_has_endpoints(control_plane: ControlPlane) -> None:
    control_plane.expect_endpoints()


@claim(
    "The PodDisruptionBudgets of this release exist, and no other one forbids every eviction.",
    source="templates/poddisruptionbudget.yaml: since 1.28 none for a single replica",
    hint="A budget of one for a single replica keeps its node from being drained.",
    feature="demo-ports",
)
def test_the_disruption_budgets_are_those_of_the_release(control_plane: ControlPlane) -> None:
    control_plane.expect_budgets()


@claim(
    "Every custom resource definition of Istio is established.",
    source="manifests/charts/base, crd-all.gen.yaml",
    hint="Definitions survive an uninstallation, and an older release does not downgrade them.",
)
def test_the_definitions_are_established(control_plane: ControlPlane) -> None:
    control_plane.expect_definitions_established()


@claim(
    "Every custom resource definition of Istio is served in the versions of this release.",
    source="manifests/charts/base, crd-all.gen.yaml",
    hint="Definitions of another release serve other versions: kubectl get crd NAME -o yaml.",
)
def test_the_definitions_serve_their_versions(control_plane: ControlPlane) -> None:
    control_plane.expect_definitions_serving()


@claim(
    "istiod watches every kind of the Gateway API of which there are objects for this mesh.",
    source="crdwatcher.go in pkg/kube/kclient: definitions of other bundles are ignored",
    hint="Too old: install a newer bundle of the Gateway API. Too new: update Istio.",
    feature="gateway-api",
)
def test_the_gateway_api_in_use_is_watched(control_plane: ControlPlane) -> None:
    control_plane.expect_gateway_api_watched()


@claim(
    "The images of istiod and the gateways are those of the requested version.",
    source="istio/release-builder, release/build.sh",
    hint="A mirror may have another registry; name and tag stay the same.",
)
def test_the_images_are_of_the_requested_version(control_plane: ControlPlane) -> None:
    control_plane.expect_images()


@claim(
    "The mesh's images, and those that are injected, are of registries that stay 30 more days.",
    source="istio.io, upgrade notes of 1.31 and istio/istio#61467: retirement of registries",
    hint="Upgrade with the hub that is named: istioctl knows it as hub, Helm as global.hub.",
)
def test_the_images_come_from_registries_that_stay(control_plane: ControlPlane) -> None:
    control_plane.expect_lasting_registries()


@claim(
    "The CNI plugin's agent is at most one minor version older or newer than istiod.",
    source="Istio's documentation of the CNI plugin's upgrade; the chart's global.tag",
    hint="Was only one of istiod and the CNI plugin upgraded?",
)
def test_the_cni_agent_is_within_a_minor_version_of_istiod(node_agent: NodeAgent) -> None:
    node_agent.expect_version()


@claim(
    "istioctl's version label on the workloads names the requested version.",
    source="operator/pkg/install: label operator.istio.io/version",
    hint="Objects of an older version stay when an upgrade is interrupted.",
)
def test_the_installer_wrote_the_requested_version(control_plane: ControlPlane) -> None:
    control_plane.expect_version_labels()


@claim(
    "istiod reports the requested version on its monitoring port.",
    source="pilot/pkg/bootstrap: /version on the monitoring port",
    hint="Image tag and report differ where a tag was pushed twice.",
    feature="port-forward",
)
def test_istiod_answers_with_the_requested_version(control_plane: ControlPlane) -> None:
    control_plane.expect_own_answer()


@claim(
    "Every namespace that istiod serves has the mesh's root certificate.",
    source="istiod's namespace controller: ConfigMap istio-ca-root-cert",
    hint="Without it injected pods stay in ContainerCreating: look at istiod's log.",
)
def test_every_namespace_has_the_root_certificate(control_plane: ControlPlane) -> None:
    control_plane.expect_root_certificates()
