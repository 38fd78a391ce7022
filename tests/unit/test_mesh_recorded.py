"""Stages 1 to 4 on a cluster as it was recorded: they hold as it is, and notice what is broken."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested, Unrecoverable
from fixtures.claims.deadlines import POD_GONE, documented_limit, timeout
from fixtures.claims.observations import observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.cluster import Cluster
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.injected import InjectedSample
from fixtures.istio.releases import expected, versions
from fixtures.istio.releases.bookinfo import NAMESPACE
from fixtures.istio.releases.rows import NOT_SEEN
from fixtures.istio.sample import Sample, Snapshot
from fixtures.k8s import Body
from fixtures.k8s.deployment import await_images
from fixtures.k8s.termination import Termination
from suites import test_01_cluster, test_02_installation, test_03_sample, test_04_injection
from tests.unit.states import FakeKube, recorded

RAW = {
    "/readyz": "ok",
    "/version": {"gitVersion": "v1.34.4"},
    "/apis/admissionregistration.k8s.io/v1": {
        "resources": [
            {"name": "mutatingwebhookconfigurations"},
            {"name": "validatingwebhookconfigurations"},
        ]
    },
}
EXPECTED = expected("1.29.6", "v1.34.4", ["v1.34.4"])


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


def cluster(state: str = "1-fresh-cluster") -> tuple[FakeKube, Cluster]:
    kube = recorded(state, RAW)
    return kube, Cluster.read(kube, "1.29.6")


def plane(state: str = "2-istio-installed") -> tuple[FakeKube, ControlPlane]:
    kube = recorded(state)
    return kube, ControlPlane(kube, EXPECTED)


def plain() -> tuple[FakeKube, Sample]:
    kube = recorded("3-plain-bookinfo")
    return kube, Sample(kube, EXPECTED)


def injected(state: str = "4-injected") -> tuple[FakeKube, InjectedSample]:
    kube = recorded(state)
    before = Sample(recorded("3-plain-bookinfo"), EXPECTED).snapshot()
    place = expected("1.29.6", "v1.34.4", ["v1.32.0" if "classic" in state else "v1.34.4"])
    return kube, InjectedSample(kube, place, before=before, old_pods=leaving(kube, before))


def leaving(kube: Any, before: Snapshot) -> Termination:
    return Termination(kube, (NAMESPACE,), before.uids, since="the injection")


def claims(module: ModuleType, noun: str) -> list[Any]:
    """The claims of a module about this noun that need no port of a pod."""
    return [
        pytest.param(test, id=name.removeprefix("test_"))
        for name, test in vars(module).items()
        if name.startswith("test_")
        and list(inspect.signature(test).parameters) == [noun]
        and _feature(test) not in {"port-forward", "gateway-api"}  # nor what was not installed
        and name != "test_every_other_istiod_is_rolled_out"  # see tests.judge.test_living_planes
    ]


def _feature(test: Any) -> object:
    return next(m.kwargs["feature"] for m in test.pytestmark if m.name == "claim")


@pytest.mark.parametrize("claim", claims(test_01_cluster, "cluster"))
def test_a_real_fresh_cluster_holds(claim: Callable[[Cluster], None]) -> None:
    claim(cluster()[1])


@pytest.mark.parametrize("claim", claims(test_02_installation, "control_plane"))
def test_a_real_installation_holds(claim: Callable[[ControlPlane], None]) -> None:
    claim(plane()[1])


@pytest.mark.parametrize("claim", claims(test_03_sample, "plain_sample"))
def test_a_real_plain_sample_holds(claim: Callable[[Sample], None]) -> None:
    claim(plain()[1])


@pytest.mark.parametrize("claim", claims(test_04_injection, "injected_sample"))
def test_a_real_injected_sample_holds(claim: Callable[[InjectedSample], None]) -> None:
    kube, subject = injected()
    # The pods before the injection were still dying when this state was recorded.
    for pod in kube.list("pods", NAMESPACE):
        if "deletionTimestamp" in pod["metadata"]:
            kube.remove("pods", pod["metadata"]["name"])
    claim(subject)


@pytest.mark.parametrize("claim", claims(test_04_injection, "injected_sample"))
def test_a_real_sample_with_classic_sidecars_holds(
    claim: Callable[[InjectedSample], None],
) -> None:
    claim(injected("classic/injected")[1])


def seen(request: Callable[[], object]) -> ClaimFailed:
    with pytest.raises(ClaimFailed) as caught:
        request()
    return caught.value


def test_a_node_that_is_not_ready_is_named_with_the_kubelets_words() -> None:
    kube, subject = cluster()

    def break_it(node: Body) -> None:
        ready = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
        ready.update(
            status="False", reason="KubeletNotReady", message="CNI plugin not initialized"
        )

    kube.change("nodes", "", break_it)
    assert "CNI plugin not initialized" in str(seen(subject.expect_nodes_ready))


def test_dns_without_endpoints_is_noticed() -> None:
    kube, subject = cluster()
    kube.change("endpointslices.discovery.k8s.io", "kube-dns", lambda s: s.update(endpoints=None))
    assert "none ready" in str(seen(subject.expect_dns))


def test_an_admission_plugin_that_is_turned_off_is_noticed() -> None:
    kube, subject = cluster()
    off = "--disable-admission-plugins=MutatingAdmissionWebhook"
    kube.change(
        "pods", "kube-apiserver", lambda p: p["spec"]["containers"][0]["command"].append(off)
    )
    assert "MutatingAdmissionWebhook: expected on, got off" in str(
        seen(subject.expect_admission_webhooks)
    )


def test_a_kubernetes_that_is_too_old_is_noticed() -> None:
    kube = recorded("1-fresh-cluster", {**RAW, "/version": {"gitVersion": "v1.29.1"}})
    assert "expected 1.31 to 1.35, got v1.29.1" in str(
        seen(Cluster.read(kube, "1.29.6").expect_supported)
    )


def test_a_kubernetes_that_is_known_not_to_fit_is_not_claimed() -> None:
    kube = recorded("1-fresh-cluster", {**RAW, "/version": {"gitVersion": "v1.29.1"}})
    subject = Cluster.read(kube, "1.29.6", any_version=True)
    with pytest.raises(NotTested, match=r"supports Kubernetes 1\.31 to 1\.35, this is v1\.29\.1"):
        subject.expect_supported()


def test_an_istio_that_is_older_than_the_tables_is_one_claim() -> None:
    kube = recorded("1-fresh-cluster", RAW)
    assert "version of Istio: expected 1.13 or newer" in str(
        seen(Cluster.read(kube, "1.12.9").expect_supported)
    )


def test_beyond_a_range_that_is_only_inferred_nothing_is_claimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kube = recorded("1-fresh-cluster", {**RAW, "/version": {"gitVersion": "v1.99.1"}})
    row = versions.RANGES[-1]
    inferred = replace(row, source=f"{NOT_SEEN}: a guess")
    monkeypatch.setattr(versions, "RANGES", (*versions.RANGES[:-1], inferred))
    with pytest.raises(NotTested, match=r"whether Istio \S+ supports v1\.99\.1: .* inferred"):
        Cluster.read(kube, f"{row.id}.0").expect_supported()
    old = recorded("1-fresh-cluster", {**RAW, "/version": {"gitVersion": "v1.20.1"}})
    assert "got v1.20.1" in str(seen(Cluster.read(old, f"{row.id}.0").expect_supported))


def test_a_namespace_that_ends_is_noticed() -> None:
    kube, subject = cluster()
    kube.change("namespaces", "kube-public", lambda n: n["status"].update(phase="Terminating"))
    assert "got Terminating" in str(seen(subject.expect_namespaces_active))


def test_available_on_an_old_pod_is_no_roll_out() -> None:
    """The counts that a real Deployment showed while its new pods were refused."""
    kube, subject = plane()
    kube.change("deployments.apps", "istiod", lambda d: d["status"].update(updatedReplicas=0))
    assert "0/1 updated, 1 available" in str(seen(lambda: subject.expect_rolled_out("istiod")))


def test_who_watches_a_roll_out_is_shown_how_far_it_is() -> None:
    kube, subject = plane()

    def pulling(pod: Body) -> None:
        pod["status"]["containerStatuses"][0].update(imageID="", ready=False)
        for condition in pod["status"]["conditions"]:
            condition["status"] = "False"

    kube.change("pods", "istiod", pulling)
    kube.change("deployments.apps", "istiod", lambda d: d["status"].update(availableReplicas=0))
    error = seen(lambda: subject.expect_rolled_out("istiod"))
    assert error.brief == "istiod 0/1, pulling image"


def test_a_refused_pod_is_waited_for_and_reported_in_the_servers_words() -> None:
    kube, subject = plane()
    words = 'Internal error occurred: failed calling webhook "object.sidecar-injector.istio.io"'
    refusal = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": words,
    }
    kube.change("deployments.apps", "istiod", lambda d: d["status"]["conditions"].append(refusal))
    kube.change("deployments.apps", "istiod", lambda d: d["status"].update(updatedReplicas=0))
    error = seen(lambda: subject.expect_rolled_out("istiod"))
    assert not isinstance(error, Unrecoverable)  # the controller tries again
    assert error.deadline
    assert words in str(error)


def stuck_pull(pod: Body) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image x"}
    pod["status"]["containerStatuses"][0].update(state={"waiting": waiting}, ready=False)


def test_an_image_that_cannot_be_pulled_gets_its_time_and_the_kubelets_words() -> None:
    kube, subject = plain()
    kube.change("pods", "ratings", stuck_pull)
    kube.change("deployments.apps", "ratings", lambda d: d["status"].update(availableReplicas=0))
    error = seen(subject.expect_running)
    assert not isinstance(error, Unrecoverable)  # the kubelet tries again
    assert error.deadline
    assert "ratings: ImagePullBackOff: Back-off pulling image x" in str(error)
    assert "app container ratings (docker.io/istio/" in error.evidence


def test_an_image_name_that_no_registry_can_know_ends_the_wait() -> None:
    kube, subject = plain()
    waiting = {"reason": "InvalidImageName", "message": 'couldn\'t parse image name "a b"'}
    kube.change(
        "pods",
        "ratings",
        lambda p: p["status"]["containerStatuses"][0].update(
            state={"waiting": waiting}, ready=False
        ),
    )
    kube.change("deployments.apps", "ratings", lambda d: d["status"].update(availableReplicas=0))
    error = seen(subject.expect_running)
    assert isinstance(error, Unrecoverable)
    assert "InvalidImageName" in str(error)


def test_an_image_that_is_still_on_its_way_is_named() -> None:
    kube, subject = plain()
    await_images(subject.kube, subject.namespace, subject.deployments())
    kube.change(
        "pods", "ratings", lambda p: p["status"]["containerStatuses"][0].update(imageID="")
    )
    error = seen(lambda: await_images(subject.kube, subject.namespace, subject.deployments()))
    assert "docker.io/istio/examples-bookinfo-ratings-v1:1.20.3" in str(error)


def test_a_pod_that_was_not_made_yet_is_waited_for() -> None:
    kube, subject = plain()
    kube.remove("pods", "ratings")
    error = seen(lambda: await_images(subject.kube, subject.namespace, subject.deployments()))
    assert "pods of Deployment bookinfons/ratings-v1: expected 1, got 0" in str(error)


def test_a_pod_between_two_crashes_is_noticed() -> None:
    kube, subject = plain()
    kube.change(
        "pods", "ratings", lambda p: p["status"]["containerStatuses"][0].update(restartCount=2)
    )
    assert "expected no restart, got ratings 2 times" in str(seen(subject.expect_running))


def test_a_port_that_leads_elsewhere_is_noticed() -> None:
    kube, subject = plane()

    def break_it(service: Body) -> None:
        service["spec"]["ports"][1]["targetPort"] = 8081

    kube.change("services", "istio-ingressgateway", break_it)
    error = seen(lambda: subject.expect_services_of("istio-ingressgateway"))
    assert "http2 80->8081" in str(error)


def budget(**spec: object) -> Body:
    """A PodDisruptionBudget for istiod, which has one pod."""
    selector = {"matchLabels": {"app": "istiod"}}
    meta = {"name": "istiod", "namespace": "istio-system"}
    return {"metadata": meta, "spec": {"selector": selector, **spec}}


@pytest.mark.parametrize(
    "spec", [{"minAvailable": 1}, {}, {"maxUnavailable": 0}, {"minAvailable": "50%"}]
)
def test_a_disruption_budget_that_forbids_every_eviction_is_noticed(spec: Body) -> None:
    kube, subject = plane()
    kube.add("poddisruptionbudgets.policy", budget(**spec))
    assert "istiod, which is none of them, never lets pod istiod-" in str(
        seen(subject.expect_budgets)
    )
    older = expected("1.27.9", "v1.33.1", ["v1.33.1"])
    assert "istio-egressgateway is missing; istio-ingressgateway is missing (" in str(
        seen(ControlPlane(subject.kube, older).expect_budgets)
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"minAvailable": 0},
        {"maxUnavailable": 1},
        {"maxUnavailable": "10%"},
        {"minAvailable": 1, "selector": {"matchLabels": {"app": "anothers"}}},
        {"minAvailable": 1, "selector": None},
    ],
)
def test_a_disruption_budget_of_ones_own_is_well(spec: Body) -> None:
    kube, subject = plane()
    kube.add("poddisruptionbudgets.policy", budget(**spec))
    subject.expect_budgets()


def test_a_definition_that_lost_a_version_is_noticed() -> None:
    kube, subject = plane()
    kube.change(
        "customresourcedefinitions.apiextensions.k8s.io",
        "sidecars",
        lambda d: d["spec"]["versions"][0].update(served=False),
    )
    assert "not as v1" in str(seen(subject.expect_definitions_serving))


def test_an_image_of_another_version_is_noticed_and_a_flavour_is_not() -> None:
    kube, subject = plane()

    def tagged(tag: str) -> Callable[[Body], None]:
        def change(deployment: Body) -> None:
            container = deployment["spec"]["template"]["spec"]["containers"][0]
            container["image"] = f"mirror.example:5000/istio/pilot:{tag}"

        return change

    kube.change("deployments.apps", "istiod", tagged("1.29.6-distroless"))
    subject.expect_images()
    kube.change("deployments.apps", "istiod", tagged("1.29.5"))
    assert "expected pilot:1.29.6, got pilot:1.29.5" in str(seen(subject.expect_images))


def test_pods_are_not_listed_where_no_budget_could_hold_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kube, subject = plane()
    listed: list[str] = []
    listing = kube.list

    def listen(kind: str, *what: Any, **more: Any) -> Any:
        listed.append(kind)
        return listing(kind, *what, **more)

    monkeypatch.setattr(kube, "list", listen)
    subject.expect_budgets()
    assert "poddisruptionbudgets.policy" in listed
    assert "pods" not in listed


def behind(kube: Any, version: str) -> None:
    """The ingress gateway is of another version than istiod, as an upgrade in steps leaves it."""

    def change(deployment: Body) -> None:
        deployment["metadata"]["labels"]["operator.istio.io/version"] = version
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["image"] = f"docker.io/istio/proxyv2:{version}"

    kube.change("deployments.apps", "istio-ingressgateway", change)


@pytest.mark.parametrize("version", ["1.28.9", "1.29.2"], ids=["a minor version", "a patch"])
def test_a_gateway_behind_istiod_is_noted_on_a_mesh_that_exists(version: str) -> None:
    kube, subject = plane()
    behind(kube, version)
    subject = replace(subject, taken=True)
    for claim in (subject.expect_images, subject.expect_version_labels):
        with observing() as observations:
            claim()
        assert f"istio-ingressgateway is of {version}, istiod of 1.29.6" in str(observations.notes)


@pytest.mark.parametrize(
    ("version", "taken"),
    [("1.28.9", False), ("1.27.4", True), ("1.30.0", True), ("latest", True)],
    ids=["of a cluster that we made", "two minor versions", "newer than istiod", "unknown"],
)
def test_a_gateway_of_another_version_is_noticed(version: str, *, taken: bool) -> None:
    kube, subject = plane()
    behind(kube, version)
    subject = replace(subject, taken=taken)
    assert f"got proxyv2:{version}" in str(seen(subject.expect_images))
    assert f"got {version}" in str(seen(subject.expect_version_labels))


def test_istiod_itself_is_of_the_requested_version() -> None:
    kube, subject = plane()
    kube.change(
        "deployments.apps",
        "istiod",
        lambda body: body["spec"]["template"]["spec"]["containers"][0].update(
            image="docker.io/istio/pilot:1.28.9"
        ),
    )
    subject = replace(subject, taken=True)
    assert "expected pilot:1.29.6, got pilot:1.28.9" in str(seen(subject.expect_images))


def test_a_missing_root_certificate_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = documented_limit("it is distributed", 0.1, source="a test")
    monkeypatch.setattr("fixtures.istio.control_plane.ROOT_DISTRIBUTED", limit)
    kube, subject = plane()
    kube.change(
        "configmaps",
        "istio-ca-root-cert",
        lambda m: (
            m["metadata"].update(name="gone") if m["metadata"]["namespace"] == "default" else None
        ),
    )
    assert "ConfigMap default/istio-ca-root-cert" in str(seen(subject.expect_root_certificates))


def test_a_container_that_starts_again_is_noticed() -> None:
    kube, subject = plane()

    def restart(pod: Body) -> None:
        pod["status"]["containerStatuses"][0]["restartCount"] += 1

    before = subject.restarts

    def restarts() -> Any:
        counts = before()
        kube.change("pods", "istiod", restart)
        return counts

    object.__setattr__(subject, "restarts", restarts)
    error = seen(lambda: subject.expect_stable(timeout("a moment", 0.01)))
    assert "discovery of pod istio-system/istiod" in str(error)


def test_a_dying_pod_is_no_subject() -> None:
    """After delete and apply old pods stay for 30 s beside the new ones, with the same labels."""
    kube, subject = injected()

    def die(pod: Body) -> None:
        pod["metadata"]["deletionTimestamp"] = "2026-11-23T14:47:27Z"
        pod["spec"]["initContainers"] = []

    kube.change("pods", "ratings", die)
    assert len(subject.pods()) == 5


def test_a_pod_without_sidecar_is_named() -> None:
    kube, subject = injected()
    kube.change("pods", "reviews-v2", lambda p: p["spec"].update(initContainers=[]))
    error = seen(subject.expect_sidecars)
    assert "reviews-v2" in str(error)
    assert "none among reviews" in str(error)


def test_two_sidecars_are_one_too_many() -> None:
    kube, subject = injected()

    def double(pod: Body) -> None:
        pod["spec"]["containers"].append(dict(pod["spec"]["initContainers"][1]))

    kube.change("pods", "details", double)
    assert "got 2 among" in str(seen(subject.expect_sidecars))


def test_a_classic_sidecar_where_a_native_one_belongs_is_noticed_with_the_rule() -> None:
    before = Sample(recorded("3-plain-bookinfo"), EXPECTED).snapshot()
    kube = recorded("classic/injected")
    subject = InjectedSample(kube, EXPECTED, before=before, old_pods=leaving(kube, before))
    error = seen(subject.expect_sidecars_in_place)
    assert "expected istio-proxy in initContainers, got istio-proxy in containers" in str(error)
    derived = "is expected in initContainers because Istio 1.29 and every kubelet is 1.33 or newer"
    assert derived in str(error)


def test_a_changed_application_is_noticed_and_the_api_servers_own_mount_is_not() -> None:
    kube, subject = injected()
    kube.change("pods", "ratings", lambda p: p["spec"]["containers"][0].update(args=["--verbose"]))
    assert "expected {'args': 'unset'}, got {'args': '[\"--verbose\"]'}" in str(
        seen(subject.expect_apps_untouched)
    )


def test_a_changed_service_is_noticed() -> None:
    kube, subject = injected()
    kube.change("services", "details", lambda s: s["spec"].update(type="NodePort"))
    assert "NodePort" in str(seen(subject.expect_services_untouched))


def test_a_note_that_does_not_agree_is_noticed() -> None:
    kube, subject = injected()

    def lie(pod: Body) -> None:
        pod["metadata"]["annotations"]["sidecar.istio.io/status"] = '{"initContainers":["x"]}'

    kube.change("pods", "productpage", lie)
    assert "['x']" in str(seen(subject.expect_injection_noted))


def test_a_missing_mark_is_noticed() -> None:
    kube, subject = injected()
    kube.change(
        "pods", "details", lambda p: p["metadata"]["labels"].pop("security.istio.io/tlsMode")
    )
    assert "labels of pod bookinfons/details" in str(seen(subject.expect_marks))


def test_an_endpoint_that_is_no_pod_of_the_sample_is_noticed() -> None:
    kube, subject = plain()
    stray = {"addresses": ["10.9.9.9"], "conditions": {"ready": True}}
    kube.change(
        "endpointslices.discovery.k8s.io", "reviews", lambda s: s["endpoints"].append(stray)
    )
    assert "10.9.9.9" in str(seen(subject.expect_endpoints_are_pods))
    assert "expected 3, got 4" in str(seen(subject.expect_endpoints))


def test_old_pods_that_stay_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    soon = replace(POD_GONE, length=timedelta(seconds=0.05))
    monkeypatch.setattr("fixtures.k8s.termination.POD_GONE", soon)
    kube = recorded("3-plain-bookinfo")
    old = leaving(kube, Sample(kube, EXPECTED).snapshot())
    error = str(seen(old.expect_in_time))
    assert "pods in bookinfons from before the injection" in error
    assert "still there: details-v1-" in error
