"""Stage 11: every injected workload of the cluster, whoever deployed it."""

from fixtures.claims import claim
from fixtures.istio.workloads import Workloads


@claim(
    "Every pod whose labels ask for a sidecar carries exactly one.",
    source="Istio, sidecar injection; the selectors of the registered injectors",
    hint="Pods from before a namespace was labelled stay without: restart their workloads.",
)
def test_every_pod_that_asks_carries_a_sidecar(workloads: Workloads) -> None:
    workloads.expect_sidecars()


@claim(
    "No sidecar is newer than istiod, or more than one minor version older.",
    source="Istio, supported releases: control plane/data plane skew",
    hint="A pod keeps the proxy of its birth: restart workloads after an upgrade.",
)
def test_no_sidecar_is_too_old_or_too_new(workloads: Workloads) -> None:
    workloads.expect_versions()


@claim(
    "In every injected pod istio-init leads traffic to the sidecar's own ports and user.",
    source="tools/istio-iptables/pkg/cmd/root.go; injection template",
    hint="Look at the arguments of istio-init, and at who else changes pods at admission.",
)
def test_istio_init_leads_to_the_sidecar(workloads: Workloads) -> None:
    workloads.expect_redirection()


@claim(
    "Every living proxy has taken the configuration that istiod sent it last.",
    source="pilot/pkg/xds/debug.go: /debug/syncz, what was sent and what was acknowledged",
    hint="istioctl proxy-status; a proxy that refuses configuration says why in its log.",
    feature="port-forward",
)
def test_every_proxy_is_in_sync(workloads: Workloads) -> None:
    workloads.expect_in_sync()


@claim(
    "The mesh's root certificate is valid for another month.",
    source="Istio, plug in CA certificates; ConfigMap istio-ca-root-cert",
    hint="Replacing a root needs every workload to trust both for a while: begin early.",
)
def test_the_root_certificate_lasts(workloads: Workloads) -> None:
    workloads.expect_root_to_last()
