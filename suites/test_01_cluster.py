"""Stage 1: the cluster under the mesh."""

from fixtures.claims import claim
from fixtures.istio.cluster import Cluster


@claim(
    "The API server is ready.",
    source="Kubernetes, API health endpoints: /readyz",
    hint="GET /readyz?verbose names the failing check; other requests may work all the same.",
)
def test_the_api_server_is_ready(cluster: Cluster) -> None:
    cluster.expect_answering()


@claim(
    "This Istio supports the Kubernetes version of the cluster.",
    source="Istio, supported releases: Kubernetes versions of each release",
    hint="Choose another --kube-version or another --istio-version.",
)
def test_the_kubernetes_version_is_supported(cluster: Cluster) -> None:
    cluster.expect_supported()


@claim(
    "Every node is ready.",
    source="Kubernetes, nodes: condition Ready",
    hint="The condition's message is the kubelet's; look at its log on the node.",
)
def test_every_node_is_ready(cluster: Cluster) -> None:
    cluster.expect_nodes_ready()


@claim(
    "The cluster's DNS Service has a ready endpoint.",
    source="Kubernetes, DNS for Services and Pods: the Service labelled k8s-app=kube-dns",
    hint="Look at CoreDNS' pods in kube-system: without DNS no sidecar finds istiod.",
    blocking=True,
)
def test_cluster_dns_is_available(cluster: Cluster) -> None:
    cluster.expect_dns()


@claim(
    "The namespaces that Kubernetes creates are active.",
    source="Kubernetes, namespaces: initial namespaces",
    hint="A namespace stays Terminating while objects in it cannot be deleted.",
)
def test_the_system_namespaces_are_active(cluster: Cluster) -> None:
    cluster.expect_namespaces_active()


@claim(
    "Mutating and validating admission webhooks are enabled in the API server.",
    source="Kubernetes, admission controllers: both are on by default",
    hint="Look at the API server's --disable-admission-plugins: no webhook, no sidecar.",
    blocking=True,
)
def test_admission_webhooks_are_not_turned_off(cluster: Cluster) -> None:
    cluster.expect_admission_webhooks()
