"""Stage 4: the same sample, deployed again after its namespace was labelled."""

from fixtures.claims import claim
from fixtures.istio.injected import InjectedSample
from fixtures.istio.probe import Probes


@claim(
    "The sample's namespace asks for sidecars.",
    source="Istio, sidecar injection: label istio-injection=enabled",
    hint="istio-injection and istio.io/rev on one namespace contradict each other.",
)
def test_the_namespace_asks_for_sidecars(injected_sample: InjectedSample) -> None:
    injected_sample.expect_label("enabled")


@claim(
    "Every living pod of the sample carries exactly one sidecar.",
    source="Istio, sidecar injection; pkg/kube/inject/webhook.go",
    hint="Look at the namespace's labels, then at the injector's webhooks and istiod's log.",
    blocking=True,
)
def test_every_pod_carries_one_sidecar(injected_sample: InjectedSample) -> None:
    injected_sample.expect_sidecars()


@claim(
    "The sidecar stands where this Istio and these kubelets put it.",
    source="DetectNativeSidecar in pkg/kube/inject/webhook.go",
    hint="Native sidecars are init containers that keep running; ENABLE_NATIVE_SIDECARS decides.",
)
def test_the_sidecar_stands_where_it_belongs(injected_sample: InjectedSample) -> None:
    injected_sample.expect_sidecars_in_place()


@claim(
    "One ready pod runs for each workload, on its first run, and every sidecar is ready.",
    source="Istio, sidecar's readiness probe /healthz/ready on 15021",
    hint="A sidecar is ready when istiod has sent it its configuration: look at its log.",
    blocking=True,
)
def test_every_sidecar_is_ready(injected_sample: InjectedSample) -> None:
    injected_sample.expect_sidecars_ready()


@claim(
    "The pods' own containers are what they were without the mesh.",
    source="injection template: containers of the application are left alone",
    hint="Another admission webhook may change pods, too.",
)
def test_the_applications_containers_are_untouched(injected_sample: InjectedSample) -> None:
    injected_sample.expect_apps_untouched()


@claim(
    "The sample's Services are what they were without the mesh.",
    source="Istio, sidecar injection: it changes pods and nothing else",
    hint="Were other manifests applied the second time?",
)
def test_the_services_are_the_same(injected_sample: InjectedSample) -> None:
    injected_sample.expect_services_untouched()


@claim(
    "reviews still has three ready endpoints, the other Services one each.",
    source="Kubernetes, EndpointSlices; dying pods are no ready endpoints",
    hint="Compare the Service's selector with the pods' labels.",
)
def test_each_service_still_has_its_endpoints(injected_sample: InjectedSample) -> None:
    injected_sample.expect_endpoints()


@claim(
    "The injector's own note on each pod names what was injected.",
    source="pkg/kube/inject: annotation sidecar.istio.io/status",
    hint="A pod that was made by kube-inject or by hand may carry an older note.",
)
def test_the_injectors_note_agrees(injected_sample: InjectedSample) -> None:
    injected_sample.expect_injection_noted()


@claim(
    "Each pod carries the labels and annotations by which the mesh knows it.",
    source="injection template: canonical name and revision, mutual TLS, merged metrics",
    hint="Telemetry and mutual TLS rely on these.",
)
def test_each_pod_carries_the_meshs_marks(injected_sample: InjectedSample) -> None:
    injected_sample.expect_marks()


@claim(
    "Every sidecar runs the proxy image of the requested version.",
    source="values of the injector: global.proxy.image, hub and tag",
    hint="A pod keeps the proxy of its birth: restart it after an upgrade.",
)
def test_the_sidecars_image_is_of_the_requested_version(injected_sample: InjectedSample) -> None:
    injected_sample.expect_sidecar_images()


@claim(
    "A pod labelled sidecar.istio.io/inject=false stays without a sidecar.",
    source="Istio, sidecar injection: the pod's label beats its namespace's",
    hint="Look at the objectSelector of the injector's webhooks.",
    feature="writes",
)
def test_a_pod_that_opts_out_stays_without(probes: Probes) -> None:
    probes.opted_out.expect_bare()


@claim(
    "A pod in a namespace without label stays without a sidecar.",
    source="Istio, sidecar injection: enableNamespacesByDefault is off",
    hint="Look at the namespaceSelector of the injector's webhooks.",
    feature="writes",
)
def test_a_pod_in_an_unlabelled_namespace_stays_without(probes: Probes) -> None:
    probes.outside.expect_bare()


@claim(
    "The product page still shows what details and reviews say.",
    source="samples/bookinfo/src/productpage",
    hint="Between the pods there are sidecars now: look at productpage's for response flags.",
    feature="port-forward",
)
def test_the_page_still_works(injected_sample: InjectedSample) -> None:
    injected_sample.expect_whole_page()


@claim(
    "The pods from before the injection are gone within their grace period.",
    source="Kubernetes, pod termination: terminationGracePeriodSeconds",
    hint="A pod that stays Terminating has a finalizer, or its node does not answer.",
    run_last=True,
)
def test_the_old_pods_are_gone_in_time(injected_sample: InjectedSample) -> None:
    injected_sample.old_pods.expect_in_time()
