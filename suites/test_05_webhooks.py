"""Stage 5: Istio's admission webhooks, from their registration to their effect."""

from fixtures.claims import claim
from fixtures.istio.admission import Admission
from fixtures.istio.webhooks import Webhooks

CHARTS = "manifests/charts/istio-control/istio-discovery, mutatingwebhook.yaml"
ADMISSION = "Kubernetes: dynamic admission control"
VALIDATION = "pkg/webhooks/validation/controller/controller.go"


@claim(
    "Both injector configurations are registered: the revision's and the default tag's.",
    source="operator/pkg/webhook/webhook.go, WebhooksToDeploy",
    hint="Was Istio installed by istioctl without a revision? Helm makes no tag.",
    feature="default-tag",
)
def test_both_injector_configurations_are_registered(webhooks: Webhooks) -> None:
    webhooks.expect_configurations("mutating")


@claim(
    "The injector's rules match every new pod.",
    source=CHARTS,
    hint="Look at the rules of the mutating webhook configurations.",
)
def test_the_injector_is_called_for_new_pods(webhooks: Webhooks) -> None:
    webhooks.expect_called_for_pods()


@claim(
    "Exactly one injector matches a plain pod of a namespace with injection enabled.",
    source=CHARTS,
    hint="Compare namespaceSelector and objectSelector of all entries.",
)
def test_exactly_one_injector_matches_a_plain_pod(webhooks: Webhooks) -> None:
    webhooks.expect_one_match()


@claim(
    "The injector fails closed: a pod that it cannot process is refused.",
    source=CHARTS,
    hint="failurePolicy of every injector entry must be Fail.",
)
def test_the_injector_fails_closed(webhooks: Webhooks) -> None:
    webhooks.expect_failure_policy("mutating")


@claim(
    "The injector declares no side effects, so that dry runs may call it.",
    source=ADMISSION,
    hint="sideEffects of every injector entry must be None.",
)
def test_the_injector_declares_no_side_effects(webhooks: Webhooks) -> None:
    webhooks.expect_side_effects("mutating")


@claim(
    "The injector is called at istiod's Service, port 443, path /inject.",
    source=CHARTS,
    hint="Look at clientConfig of every injector entry.",
)
def test_the_injector_is_called_where_istiod_listens(webhooks: Webhooks) -> None:
    webhooks.expect_target("mutating")


@claim(
    "The injector's Service has a ready endpoint on port 15017.",
    source="Kubernetes: EndpointSlices; Istio: ports used by istiod",
    hint="Are istiod's pods ready, and does the Service's selector match them?",
)
def test_the_injectors_service_has_ready_endpoints(webhooks: Webhooks) -> None:
    webhooks.expect_endpoints()


@claim(
    "The injector's caBundle validates the certificate that istiod serves.",
    source=ADMISSION,
    hint="istiod writes the bundle: look at its log. Do two installations overwrite each other's?",
    feature="port-forward",
    asks_istiod=True,
)
def test_the_ca_bundle_validates_the_certificate_served(webhooks: Webhooks) -> None:
    webhooks.expect_trusted()


@claim(
    "The certificate that istiod serves to the API server is valid today.",
    source="Istio: plug in CA certificates; RFC 5280, 4.1.2.5",
    hint="istiod renews its certificate in time: look at its log.",
    feature="port-forward",
    asks_istiod=True,
)
def test_the_certificate_served_is_valid_today(webhooks: Webhooks) -> None:
    webhooks.expect_lasting()


@claim(
    "A dry run of a plain pod in a namespace with injection enabled returns it with a sidecar.",
    source="Istio: installing the sidecar, automatic injection",
    hint="The API server's message names the webhook that it could not call, and why.",
    feature="writes",
    asks_istiod=True,
)
def test_a_dry_run_pod_comes_back_injected(admission: Admission) -> None:
    admission.expect_injected()


@claim(
    "A pod's annotations override the mesh's ports, CPU and memory.",
    source="istio.io, resource annotations; injection-template.yaml",
    hint="Look at the pod's istio-init and istio-proxy; is the injector's template a custom one?",
    feature="writes",
    asks_istiod=True,
)
def test_a_pods_own_wishes_are_granted(admission: Admission) -> None:
    admission.expect_overrides()


@claim(
    "A pod with an invalid traffic annotation is refused, with a message that names it.",
    source="pkg/kube/inject/validate.go, and recorded on 1.29.6",
    hint="Accepted: the injector was not called, or did not validate annotations.",
    feature="writes",
    asks_istiod=True,
)
def test_a_bad_wish_is_refused(admission: Admission) -> None:
    admission.expect_invalid_override_refused()


@claim(
    "A pod with an invalid metrics port, or one of Istio's own, is refused.",
    source="applyPrometheusMerge in pkg/kube/inject/webhook.go, since 1.31",
    hint="Accepted: Prometheus would scrape the proxy's own metrics twice, or nothing.",
    feature="writes",
    asks_istiod=True,
)
def test_a_bad_metrics_port_is_refused(admission: Admission) -> None:
    admission.expect_bad_metrics_ports_refused()


@claim(
    "Both validator configurations are registered: the revision's and the default's.",
    source=VALIDATION,
    hint="Does istiod-default-validator exist? It is installed with the default tag.",
    feature="default-tag",
)
def test_both_validator_configurations_are_registered(webhooks: Webhooks) -> None:
    webhooks.expect_configurations("validating")


@claim(
    "The validators fail closed: configuration that they cannot validate is refused.",
    source=VALIDATION,
    hint="istiod changes failurePolicy from Ignore to Fail once it is ready: look at its log.",
)
def test_the_validators_fail_closed(webhooks: Webhooks) -> None:
    webhooks.expect_failure_policy("validating")


@claim(
    "The validators' caBundle validates the certificate that istiod serves.",
    source=VALIDATION,
    hint="istiod writes the caBundle: look at its log.",
    feature="port-forward",
    asks_istiod=True,
)
def test_the_validators_trust_istiod(webhooks: Webhooks) -> None:
    webhooks.expect_bundle("validating")
    webhooks.expect_trusted("validating")


@claim(
    "The validator refuses a VirtualService with a negative weight and accepts a valid one.",
    source="pkg/config/validation, and recorded on 1.29.6",
    hint="Accepted: the validator was not called. Another message: it could not be reached.",
    feature="writes",
    asks_istiod=True,
)
def test_an_invalid_virtual_service_is_refused(admission: Admission) -> None:
    admission.expect_refusal()
