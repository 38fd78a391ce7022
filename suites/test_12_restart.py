"""Stage 12: after a restart of the sample and of the mesh, what held before holds again."""

from fixtures.claims import claim
from fixtures.istio.restarted import Restarted

RESTART = "Kubernetes: kubectl rollout restart; Deployment status"
STAGE = "claimed before the restart, with the source given there"


@claim(
    "After the restart the sample is rolled out whole: one ready pod a workload.",
    source=RESTART,
    hint="updatedReplicas and events of the ReplicaSets tell; available stays true on old pods.",
    blocking=True,
)
def test_the_sample_is_whole_again(restarted: Restarted) -> None:
    restarted.expect_sample_running()


@claim(
    "After the restart istiod and the gateways are rolled out whole.",
    source=RESTART,
    hint="updatedReplicas and events of the ReplicaSets tell; available stays true on old pods.",
    blocking=True,
)
def test_the_mesh_is_whole_again(restarted: Restarted) -> None:
    restarted.expect_mesh_rolled_out()


@claim(
    "Every living pod was made by the restart.",
    source=RESTART,
    hint="An old pod that lives on belongs to a ReplicaSet that was not scaled down.",
)
def test_every_living_pod_is_new(restarted: Restarted) -> None:
    restarted.expect_new_pods()


@claim(
    "The pods from before the restart are gone within their grace period.",
    source="Kubernetes: termination of pods, 30 s by default",
    hint="Look for finalizers, and for containers that do not end.",
    run_last=True,
)
def test_the_old_pods_are_gone_in_time(restarted: Restarted) -> None:
    restarted.old_pods.expect_in_time()


@claim(
    "After the restart every living pod of the sample carries exactly one ready sidecar.",
    source=STAGE,
    hint="Was the injector called for the new pods? Look at the namespace's label and at istiod.",
)
def test_every_new_pod_carries_one_ready_sidecar(restarted: Restarted) -> None:
    restarted.sample.expect_sidecars()
    restarted.sample.expect_sidecars_ready()


@claim(
    "After the restart istio-init redirects as before, in every living pod.",
    source=STAGE,
    hint="Arguments that differ after a restart mean that the injector was configured anew.",
)
def test_istio_init_redirects_as_before(restarted: Restarted) -> None:
    restarted.init_containers.expect_flags()


@claim(
    "After the restart the sample's Services are the same, and lead to the new pods.",
    source=STAGE,
    hint="Compare the EndpointSlices with the addresses of the living pods.",
)
def test_the_services_lead_to_the_new_pods(restarted: Restarted) -> None:
    restarted.sample.expect_services_untouched()
    restarted.sample.expect_endpoints()
    restarted.sample.expect_endpoints_are_pods()


@claim(
    "After the restart istiod tells the same version.",
    source=STAGE,
    hint="Another version means that somebody changed the Deployment's image meanwhile.",
    feature="port-forward",
)
def test_istiod_tells_the_same_version(restarted: Restarted) -> None:
    restarted.mesh.expect_own_answer()


@claim(
    "After the restart the injector's Service leads to an istiod whose certificate is trusted.",
    source=STAGE,
    hint="A new istiod has a new certificate; the caBundle must validate it.",
    feature="port-forward",
)
def test_the_new_istiod_is_trusted(restarted: Restarted) -> None:
    restarted.webhooks.expect_endpoints()
    restarted.webhooks.expect_trusted()


@claim(
    "After the restart a new pod is still injected.",
    source=STAGE,
    hint="The API server's words name the webhook that it could not call, and why.",
    feature="writes",
)
def test_a_dry_run_pod_is_still_injected(restarted: Restarted) -> None:
    restarted.admission.expect_injected()


@claim(
    "After the restart an invalid VirtualService is still refused.",
    source=STAGE,
    hint="Accepted: the validator was not called. Other words: it could not be reached.",
    feature="writes",
)
def test_an_invalid_virtual_service_is_still_refused(restarted: Restarted) -> None:
    restarted.admission.expect_refusal()


@claim(
    "After the restart each route through the gateway reaches productpage.",
    source=STAGE,
    hint="The message names the first broken hop and says the log's response flag in words.",
    feature="ingress",
)
def test_each_route_still_reaches_productpage(restarted: Restarted) -> None:
    restarted.client.expect_routes()


@claim(
    "After the restart a path that no route matches still gets the gateway's 404.",
    source=STAGE,
    hint="Has the new gateway got its configuration from istiod?",
    feature="ingress",
)
def test_a_path_no_route_matches_still_gets_404(restarted: Restarted) -> None:
    restarted.client.expect_unrouted()


@claim(
    "After the restart the page through the gateway is whole again.",
    source=STAGE,
    hint="How long it was away meanwhile is told as a note.",
    feature="ingress",
)
def test_the_page_is_whole_again(restarted: Restarted) -> None:
    restarted.tell_absence()
    restarted.client.expect_whole_page()


@claim(
    "After the restart the new gateway logs a request with productpage as its upstream.",
    source=STAGE,
    hint="The log of the new pod is read; the old one's is gone with it.",
    feature="pod-log",
)
def test_the_new_gateway_logs_its_upstream(restarted: Restarted) -> None:
    restarted.client.expect_upstream()
