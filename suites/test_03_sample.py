"""Stage 3: the bookinfo sample without the mesh."""

from fixtures.claims import claim
from fixtures.istio.sample import Sample


@claim(
    "The sample's namespace has no injection label.",
    source="Istio, sidecar injection: a namespace without label is not injected",
    hint="Look for a policy engine or an admission webhook that labels new namespaces.",
)
def test_the_namespace_carries_no_injection_label(plain_sample: Sample) -> None:
    plain_sample.expect_label(None)


@claim(
    "Each of the sample's six workloads has one ready pod, without restarts.",
    source="samples/bookinfo/platform/kube/bookinfo.yaml",
    hint="Look at the events of the namespace: images, quota, scheduling.",
    blocking=True,
)
def test_six_pods_run(plain_sample: Sample) -> None:
    plain_sample.expect_running()


@claim(
    "Each pod has its one container and nothing else.",
    source="samples/bookinfo/platform/kube/bookinfo.yaml",
    hint="A webhook injects into namespaces without a label: look at the webhooks' selectors.",
)
def test_each_pod_has_one_container(plain_sample: Sample) -> None:
    plain_sample.expect_bare()


@claim(
    "The pods run the sample's images of this release.",
    source="samples/bookinfo/platform/kube/bookinfo.yaml of each release",
    hint="The content of the page depends on the image's tag.",
)
def test_the_images_are_those_of_the_release(plain_sample: Sample) -> None:
    plain_sample.expect_images()


@claim(
    "The sample's four Services are of type ClusterIP and serve HTTP on port 9080.",
    source="samples/bookinfo/platform/kube/bookinfo.yaml",
    hint="Istio takes the protocol from the port's name.",
)
def test_the_services_offer_http(plain_sample: Sample) -> None:
    plain_sample.expect_services()


@claim(
    "reviews has three ready endpoints, the other Services one each.",
    source="samples/bookinfo: three versions of reviews behind one Service",
    hint="Compare the Service's selector with the pods' labels.",
)
def test_each_service_has_its_endpoints(plain_sample: Sample) -> None:
    plain_sample.expect_endpoints()


@claim(
    "The endpoints of each Service are the addresses of its ready pods.",
    source="Kubernetes, EndpointSlices",
    hint="An endpoint without a ready pod is stale, or not made by Kubernetes' controller.",
)
def test_the_endpoints_are_the_living_pods(plain_sample: Sample) -> None:
    plain_sample.expect_endpoints_are_pods()


@claim(
    "The product page is served through a port-forward.",
    source="samples/bookinfo/src/productpage",
    hint="Look at productpage's log.",
    feature="port-forward",
)
def test_the_page_is_served(plain_sample: Sample) -> None:
    plain_sample.expect_page()


@claim(
    "The product page shows details and reviews.",
    source="samples/bookinfo/src/productpage: its status is 200 without them, too",
    hint="productpage calls them by DNS name: look at DNS, their Services and their logs.",
    feature="port-forward",
)
def test_the_page_shows_details_and_reviews(plain_sample: Sample) -> None:
    plain_sample.expect_whole_page()
