"""Stage 11: every workload of the cluster that asks for the mesh, whoever deployed it."""

from fixtures.claims import claim
from fixtures.istio.fleet import Fleet
from fixtures.istio.workloads import Workloads


@claim(
    "Whatever asks for a sidecar is selected by exactly one injector, whose Service is there.",
    source="Istio, sidecar injection: its labels; the selectors of the registered injectors",
    hint="Compare the labels with the injectors' selectors; was a revision or tag removed?",
)
def test_one_injector_selects_whatever_asks(fleet: Fleet) -> None:
    fleet.expect_chosen()


@claim(
    "Every workload of the mesh can create its pods.",
    source="Kubernetes: condition ReplicaFailure of Deployments, events FailedCreate",
    hint="The message is the API server's: does it reach the injector, and may such pods be made?",
)
def test_every_workload_can_create_its_pods(fleet: Fleet) -> None:
    fleet.expect_created()


@claim(
    "No pod of the mesh is kept from starting by a part of Istio.",
    source="Kubernetes, pod lifecycle: init containers, container states, events of the kubelet",
    hint="Look at the log of the container that is named, and at the CNI plugin's agent.",
)
def test_every_pod_of_the_mesh_starts(fleet: Fleet) -> None:
    fleet.expect_started()


@claim(
    "Every proxy is ready, and none restarts again and again.",
    source="Istio, the proxy's readiness probe /healthz/ready on 15021",
    hint="A proxy is ready once istiod has sent it its configuration: look at its log.",
)
def test_every_proxy_is_ready(fleet: Fleet) -> None:
    fleet.expect_proxies_ready()


@claim(
    "Every pod that is selected for injection has exactly one sidecar.",
    source="Istio, sidecar injection; the selectors of the registered injectors",
    hint="Pods that are older than their namespace's label have none: restart their workloads.",
)
def test_every_pod_that_asks_carries_a_sidecar(workloads: Workloads) -> None:
    workloads.expect_sidecars()


@claim(
    "No sidecar is newer than istiod, or more than one minor version older.",
    source="Istio, supported releases: control plane/data plane skew",
    hint="A pod keeps the proxy that it was created with: restart workloads after an upgrade.",
)
def test_no_sidecar_is_too_old_or_too_new(workloads: Workloads) -> None:
    workloads.expect_versions()


@claim(
    "The images of every pod in the mesh are of registries that stay 30 more days.",
    source="istio.io, upgrade notes of 1.31 and istio/istio#61467: retirement of registries",
    hint="Restart workloads once the injector names another hub; other images are named anew.",
)
def test_the_images_come_from_registries_that_stay(workloads: Workloads) -> None:
    workloads.expect_lasting_registries()


@claim(
    "In every injected pod istio-init redirects traffic to the sidecar's ports and user.",
    source="tools/istio-iptables/pkg/cmd/root.go; injection template",
    hint="Look at the arguments of istio-init, and for other webhooks that change pods.",
)
def test_istio_init_leads_to_the_sidecar(workloads: Workloads) -> None:
    workloads.expect_redirection()


@claim(
    "Every proxy has taken the configuration that istiod sent it, Wasm modules included.",
    source="pilot/pkg/xds/debug.go: /debug/syncz, versions sent and acknowledged",
    hint="Run istioctl proxy-status; a proxy that rejects configuration logs the reason.",
    feature="port-forward",
    asks_istiod=True,
)
def test_every_proxy_is_in_sync(workloads: Workloads) -> None:
    workloads.expect_in_sync()


@claim(
    "The mesh's root certificate is valid for at least another month.",
    source="Istio, plug in CA certificates; ConfigMap istio-ca-root-cert",
    hint="To replace a root, all workloads must trust both for a while: begin early.",
)
def test_the_root_certificate_lasts(workloads: Workloads) -> None:
    workloads.expect_root_to_last()


@claim(
    "No certificate of istiod, a gateway or a sampled workload is about to end.",
    source="Istio, plug in CA certificates, secure gateways; RFC 5280, 4.1.2.5",
    hint="The notes list each with the days left. Who renews it: istiod, cert-manager, a person?",
    feature="port-forward",
)
def test_no_certificate_is_about_to_end(workloads: Workloads) -> None:
    workloads.expect_certificates_to_last()
