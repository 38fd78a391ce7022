"""Stage 5: Istio's admission webhooks, layer by layer, from their registration to what they do."""

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
    "The injector is to be called for every new pod.",
    source=CHARTS,
    hint="Look at the rules of the mutating webhook configurations.",
)
def test_the_injector_is_called_for_new_pods(webhooks: Webhooks) -> None:
    webhooks.expect_called_for_pods()


@claim(
    "Exactly one injector matches a plain pod of a namespace with injection enabled.",
    source=CHARTS,
    hint="Compare namespaceSelector and objectSelector of all entries; names tell nothing.",
)
def test_exactly_one_injector_matches_a_plain_pod(webhooks: Webhooks) -> None:
    webhooks.expect_one_match()


@claim(
    "A pod that the injector cannot look at is refused, not let through without a sidecar.",
    source=CHARTS,
    hint="failurePolicy of every injector entry must be Fail.",
)
def test_the_injector_fails_closed(webhooks: Webhooks) -> None:
    webhooks.expect_failure_policy("mutating")


@claim(
    "The injector declares to have no side effects, so that dry runs may call it.",
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
    "The Service that the injector is called at has a ready endpoint on port 15017.",
    source="Kubernetes: EndpointSlices; Istio: ports used by istiod",
    hint="Are istiod's pods ready, and does the Service's selector choose them?",
)
def test_the_injectors_service_has_ready_endpoints(webhooks: Webhooks) -> None:
    webhooks.expect_endpoints()


@claim(
    "The injector's caBundle validates the certificate that istiod really serves.",
    source=ADMISSION,
    hint="istiod writes the bundle: look at its log, and whether several of them fight.",
    feature="port-forward",
)
def test_the_ca_bundle_validates_the_certificate_served(webhooks: Webhooks) -> None:
    webhooks.expect_trusted()


@claim(
    "The certificate that istiod serves to the API server is valid today.",
    source="Istio: plug in CA certificates; RFC 5280, 4.1.2.5",
    hint="A certificate that ends soon is not renewed: look at istiod's log.",
    feature="port-forward",
)
def test_the_certificate_served_is_valid_today(webhooks: Webhooks) -> None:
    webhooks.expect_lasting()


@claim(
    "A plain pod asked for in a namespace with injection enabled comes back with its sidecar.",
    source="Istio: installing the sidecar, automatic injection",
    hint="The API server's words name the webhook that it could not call, and why.",
    feature="writes",
)
def test_a_dry_run_pod_comes_back_injected(admission: Admission) -> None:
    admission.expect_injected()


@claim(
    "What a pod asks for in its annotations is granted: ports to leave alone, CPU and memory.",
    source="istio.io, resource annotations; injection-template.yaml",
    hint="Look at the pod's istio-init and istio-proxy; is the injector's template your own?",
    feature="writes",
)
def test_a_pods_own_wishes_are_granted(admission: Admission) -> None:
    admission.expect_wishes_granted()


@claim(
    "A pod whose traffic annotation makes no sense is refused, with words that name it.",
    source="pkg/kube/inject/validate.go, and seen on a living 1.29.6",
    hint="Accepted: the injector was not called, or did not look.",
    feature="writes",
)
def test_a_bad_wish_is_refused(admission: Admission) -> None:
    admission.expect_bad_wish_refused()


@claim(
    "A pod whose metrics would be merged from no port, or from one of Istio's own, is refused.",
    source="applyPrometheusMerge in pkg/kube/inject/webhook.go, since 1.31",
    hint="Accepted: Prometheus would read the proxy's own metrics twice, or nothing.",
    feature="writes",
)
def test_a_bad_metrics_port_is_refused(admission: Admission) -> None:
    admission.expect_bad_metrics_ports_refused()


@claim(
    "Both validator configurations are registered: the revision's and the default's.",
    source=VALIDATION,
    hint="Does istiod-default-validator exist? It goes with the default tag.",
    feature="default-tag",
)
def test_both_validator_configurations_are_registered(webhooks: Webhooks) -> None:
    webhooks.expect_configurations("validating")


@claim(
    "Configuration that the validators cannot look at is refused.",
    source=VALIDATION,
    hint="istiod turns failurePolicy from Ignore to Fail once it is ready: look at its log.",
)
def test_the_validators_fail_closed(webhooks: Webhooks) -> None:
    webhooks.expect_failure_policy("validating")


@claim(
    "The validators carry the authority that istiod's certificate is signed by.",
    source=VALIDATION,
    hint="istiod writes the caBundle: look at its log.",
    feature="port-forward",
)
def test_the_validators_trust_istiod(webhooks: Webhooks) -> None:
    webhooks.expect_bundle("validating")
    webhooks.expect_trusted("validating")


@claim(
    "A VirtualService with a negative weight is refused by the validator, a good one is not.",
    source="pkg/config/validation, and seen on a living 1.29.6",
    hint="Accepted: the validator was not called. Other words: it could not be reached.",
    feature="writes",
)
def test_an_invalid_virtual_service_is_refused(admission: Admission) -> None:
    admission.expect_refusal()
