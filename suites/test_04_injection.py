"""Stage 4: the same sample, deployed again after its namespace was labelled."""

from fixtures.claims import claim
from fixtures.istio.injected import InjectedSample
from fixtures.istio.kube_inject import KubeInject
from fixtures.istio.probe import Probes


@claim(
    "The sample's namespace has the label istio-injection=enabled.",
    source="Istio, sidecar injection: label istio-injection=enabled",
    hint="Only one of istio-injection and istio.io/rev may be set on a namespace.",
)
def test_the_namespace_asks_for_sidecars(injected_sample: InjectedSample) -> None:
    injected_sample.expect_label("enabled")


@claim(
    "Every pod of the sample has exactly one sidecar.",
    source="Istio, sidecar injection; pkg/kube/inject/webhook.go",
    hint="Look at the namespace's labels, then at the injector's webhooks and istiod's log.",
    blocking=True,
)
def test_every_pod_carries_one_sidecar(injected_sample: InjectedSample) -> None:
    injected_sample.expect_sidecars()


@claim(
    "The sidecar is native or classic, as this Istio injects it on these kubelets.",
    source="DetectNativeSidecar in pkg/kube/inject/webhook.go",
    hint="Native sidecars are init containers that keep running; ENABLE_NATIVE_SIDECARS decides.",
)
def test_the_sidecar_stands_where_it_belongs(injected_sample: InjectedSample) -> None:
    injected_sample.expect_sidecars_in_place()


@claim(
    "Each workload has one ready pod without restarts, and every sidecar is ready.",
    source="Istio, sidecar's readiness probe /healthz/ready on 15021",
    hint="A sidecar is ready once istiod has sent it its configuration: look at its log.",
    blocking=True,
)
def test_every_sidecar_is_ready(injected_sample: InjectedSample) -> None:
    injected_sample.expect_sidecars_ready()


@claim(
    "The pods' own containers are the same as without the mesh.",
    source="injection template: containers of the application are not changed",
    hint="Another admission webhook may also change pods.",
)
def test_the_applications_containers_are_untouched(injected_sample: InjectedSample) -> None:
    injected_sample.expect_apps_untouched()


@claim(
    "The sample's Services are the same as without the mesh.",
    source="Istio, sidecar injection: it changes pods and nothing else",
    hint="Was another manifest applied the second time?",
)
def test_the_services_are_the_same(injected_sample: InjectedSample) -> None:
    injected_sample.expect_services_untouched()


@claim(
    "reviews still has three ready endpoints, the other Services one each.",
    source="Kubernetes, EndpointSlices; terminating pods are no ready endpoints",
    hint="Compare the Service's selector with the pods' labels.",
)
def test_each_service_still_has_its_endpoints(injected_sample: InjectedSample) -> None:
    injected_sample.expect_endpoints()


@claim(
    "The annotation sidecar.istio.io/status of each pod names what was injected.",
    source="pkg/kube/inject: annotation sidecar.istio.io/status",
    hint="Pods that were injected by istioctl kube-inject may have an older annotation.",
)
def test_the_injectors_note_agrees(injected_sample: InjectedSample) -> None:
    injected_sample.expect_injection_noted()


@claim(
    "Each pod has the labels and annotations that the injector adds.",
    source="injection template: canonical name and revision, mutual TLS, merged metrics",
    hint="Telemetry and mutual TLS rely on them; is the injector's template a custom one?",
)
def test_each_pod_carries_the_meshs_marks(injected_sample: InjectedSample) -> None:
    injected_sample.expect_marks()


@claim(
    "Every sidecar runs the proxy image of the requested version.",
    source="values of the injector: global.proxy.image, hub and tag",
    hint="A pod keeps the proxy that it was created with: restart it after an upgrade.",
)
def test_the_sidecars_image_is_of_the_requested_version(injected_sample: InjectedSample) -> None:
    injected_sample.expect_sidecar_images()


@claim(
    "istioctl kube-inject makes the same of each workload as the webhook does.",
    source="Istio, installing the sidecar: manual injection; IntoObject in pkg/kube/inject",
    hint="kube-inject calls the first injector of its revision, whatever that one selects.",
    feature="istioctl",
)
def test_kube_inject_makes_what_the_webhook_makes(kube_inject: KubeInject) -> None:
    kube_inject.expect_same()


@claim(
    "A pod labelled sidecar.istio.io/inject=false gets no sidecar.",
    source="Istio, sidecar injection: the pod's label overrides its namespace's",
    hint="Look at the objectSelector of the injector's webhooks.",
    feature="writes",
)
def test_a_pod_that_opts_out_stays_without(probes: Probes) -> None:
    probes.opted_out.expect_bare()


@claim(
    "A pod in a namespace without injection label gets no sidecar.",
    source="Istio, sidecar injection: enableNamespacesByDefault is off",
    hint="Look at the namespaceSelector of the injector's webhooks.",
    feature="writes",
)
def test_a_pod_in_an_unlabelled_namespace_stays_without(probes: Probes) -> None:
    probes.outside.expect_bare()


@claim(
    "The product page still shows details and reviews.",
    source="samples/bookinfo/src/productpage",
    hint="The requests now pass sidecars: look for response flags in the log of productpage's.",
    feature="port-forward",
)
def test_the_page_still_works(injected_sample: InjectedSample) -> None:
    injected_sample.expect_whole_page()


@claim(
    "The pods from before the injection terminate within their grace period.",
    source="Kubernetes, pod termination: terminationGracePeriodSeconds",
    hint="A pod that stays Terminating has a finalizer, or its node does not answer.",
    run_last=True,
)
def test_the_old_pods_are_gone_in_time(injected_sample: InjectedSample) -> None:
    injected_sample.old_pods.expect_in_time()
