"""Stage 1: the cluster that the mesh is to stand on."""

from fixtures.claims import claim
from fixtures.istio.cluster import Cluster


@claim(
    "The API server answers and says of itself that it is ready.",
    source="Kubernetes, API health endpoints: /readyz",
    hint="Ask /readyz?verbose which check fails; the server may answer all the same.",
)
def test_the_api_server_is_ready(cluster: Cluster) -> None:
    cluster.expect_answering()


@claim(
    "This Istio supports the Kubernetes version of the cluster.",
    source="Istio, supported releases: Kubernetes versions of each release",
    hint="Take another --kube-version or another --istio-version.",
)
def test_the_kubernetes_version_is_supported(cluster: Cluster) -> None:
    cluster.expect_supported()


@claim(
    "Every node is ready.",
    source="Kubernetes, nodes: condition Ready",
    hint="The condition's message is the kubelet's own; look at its log on the node.",
)
def test_every_node_is_ready(cluster: Cluster) -> None:
    cluster.expect_nodes_ready()


@claim(
    "The cluster's DNS has somebody who answers.",
    source="Kubernetes, DNS for Services and Pods: the Service labelled k8s-app=kube-dns",
    hint="Look at CoreDNS' pods in kube-system: without DNS no sidecar finds istiod.",
    blocking=True,
)
def test_cluster_dns_is_available(cluster: Cluster) -> None:
    cluster.expect_dns()


@claim(
    "The namespaces that Kubernetes makes for itself are there and active.",
    source="Kubernetes, namespaces: initial namespaces",
    hint="A namespace that is Terminating waits for objects that cannot be deleted.",
)
def test_the_system_namespaces_are_active(cluster: Cluster) -> None:
    cluster.expect_namespaces_active()


@claim(
    "Mutating and validating admission webhooks are not turned off.",
    source="Kubernetes, admission controllers: both are on by default",
    hint="Without them no sidecar is injected, however well Istio is installed.",
    blocking=True,
)
def test_admission_webhooks_are_not_turned_off(cluster: Cluster) -> None:
    cluster.expect_admission_webhooks()
