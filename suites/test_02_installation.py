"""Stage 2: what the installation of Istio's demo profile left in the cluster."""

from fixtures.claims import claim
from fixtures.claims.deadlines import STEADY
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.node_agent import NodeAgent


@claim(
    "The namespace istio-system is active.",
    source="istioctl install makes it",
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
    "istiod is rolled out whole: its last change is seen, updated and available, its pods ready.",
    source="Kubernetes, Deployment status; Istio's demo profile",
    hint="Look at istiod's log; 'available' alone may be an old pod's.",
    blocking=True,
)
def test_istiod_is_rolled_out(control_plane: ControlPlane) -> None:
    control_plane.expect_rolled_out("istiod")


@claim(
    "The ingress gateway is rolled out whole.",
    source="Kubernetes, Deployment status; Istio's demo profile",
    hint="A gateway is ready when istiod has sent it its configuration: look at its log.",
    feature="ingress-gateway",
)
def test_the_ingress_gateway_is_rolled_out(control_plane: ControlPlane) -> None:
    control_plane.expect_rolled_out("istio-ingressgateway")


@claim(
    "The egress gateway is rolled out whole.",
    source="Kubernetes, Deployment status; Istio's demo profile",
    hint="A gateway is ready when istiod has sent it its configuration: look at its log.",
    feature="egress-gateway",
)
def test_the_egress_gateway_is_rolled_out(control_plane: ControlPlane) -> None:
    control_plane.expect_rolled_out("istio-egressgateway")


@claim(
    "Where Istio's CNI plugin prepares pods' networks, its agent is ready on every node it wants.",
    source="manifests/charts/istio-cni, daemonset.yaml; Kubernetes, DaemonSet status",
    hint="Without it no injected pod starts: look at its pods, and at the nodes' taints.",
    blocking=True,
)
def test_the_cni_agent_is_ready_on_every_node(node_agent: NodeAgent) -> None:
    node_agent.expect_ready()


@claim(
    "The mesh's pods stay: none is replaced, no container starts again.",
    source="A container that keeps starting is ready in between",
    hint="Look at the previous log of the container that started again.",
)
def test_the_control_plane_is_stable(control_plane: ControlPlane) -> None:
    control_plane.expect_stable(during=STEADY)


@claim(
    "istiod's Services offer xDS, certificates, webhooks and metrics on their whole port table.",
    source="manifests/charts/istio-control/istio-discovery, service.yaml",
    hint="Proxies reach istiod by 15012, the API server its webhooks by 443.",
)
def test_istiods_services_have_their_ports(control_plane: ControlPlane) -> None:
    control_plane.expect_services_of("istiod")


@claim(
    "The ingress gateway's Service is a load balancer with its whole port table.",
    source="manifests/charts/gateways/istio-ingress, demo profile",
    hint="A Service that is patched by hand loses ports at the next installation, or keeps them.",
    feature="demo-ports",
)
def test_the_ingress_service_has_its_ports(control_plane: ControlPlane) -> None:
    control_plane.expect_services_of("istio-ingressgateway")


@claim(
    "The egress gateway's Service is internal, with its whole port table.",
    source="manifests/charts/gateways/istio-egress, demo profile",
    hint="The demo profile's egress has 80 and 443, and no 15443.",
    feature="egress-gateway",
)
def test_the_egress_service_has_its_ports(control_plane: ControlPlane) -> None:
    control_plane.expect_services_of("istio-egressgateway")


@claim(
    "Each of the mesh's Services has somebody who answers.",
    source="Kubernetes, EndpointSlices",
    hint="A Service whose selector matches no ready pod looks healthy everywhere else.",
)
def test_every_service_has_endpoints(control_plane: ControlPlane) -> None:
    control_plane.expect_endpoints()


@claim(
    "The mesh has the PodDisruptionBudgets that this release makes, and no others.",
    source="templates/poddisruptionbudget.yaml: since 1.28 none for a single replica",
    hint="A budget of one for one replica keeps its node from being drained.",
    feature="demo-ports",
)
def test_the_disruption_budgets_are_those_of_the_release(control_plane: ControlPlane) -> None:
    control_plane.expect_budgets()


@claim(
    "Every definition of Istio's API is established.",
    source="manifests/charts/base, crd-all.gen.yaml",
    hint="Definitions outlive an uninstallation and are not downgraded by an older one.",
)
def test_the_definitions_are_established(control_plane: ControlPlane) -> None:
    control_plane.expect_definitions_established()


@claim(
    "Every definition of Istio's API is served in the versions of this release.",
    source="manifests/charts/base, crd-all.gen.yaml",
    hint="Definitions left by another release serve other versions.",
)
def test_the_definitions_serve_their_versions(control_plane: ControlPlane) -> None:
    control_plane.expect_definitions_serving()


@claim(
    "The images of istiod and the gateways are those of the requested version.",
    source="istio/release-builder, release/build.sh",
    hint="A mirror may name another registry; the name and the tag stay.",
)
def test_the_images_are_of_the_requested_version(control_plane: ControlPlane) -> None:
    control_plane.expect_images()


@claim(
    "The CNI plugin's agent is at most one minor version older or newer than istiod.",
    source="Istio's documentation of the CNI plugin's upgrade; the chart's global.tag",
    hint="An upgrade that left the agent behind, or went ahead of istiod.",
)
def test_the_cni_agent_is_within_a_minor_version_of_istiod(node_agent: NodeAgent) -> None:
    node_agent.expect_version()


@claim(
    "What the installer wrote on its objects names the requested version.",
    source="operator/pkg/install: label operator.istio.io/version",
    hint="Objects of an older version stay when an upgrade was cut short.",
)
def test_the_installer_wrote_the_requested_version(control_plane: ControlPlane) -> None:
    control_plane.expect_version_labels()


@claim(
    "istiod itself answers that it is of the requested version.",
    source="pilot/pkg/bootstrap: /version on the monitoring port",
    hint="Image and answer differ where a tag was pushed twice.",
    feature="port-forward",
)
def test_istiod_answers_with_the_requested_version(control_plane: ControlPlane) -> None:
    control_plane.expect_own_answer()


@claim(
    "Every namespace that istiod serves holds the mesh's root certificate.",
    source="istiod's namespace controller: ConfigMap istio-ca-root-cert",
    hint="Without it an injected pod cannot start; istiod's log says why it is not written.",
)
def test_every_namespace_has_the_root_certificate(control_plane: ControlPlane) -> None:
    control_plane.expect_root_certificates()
