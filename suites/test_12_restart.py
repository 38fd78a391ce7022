"""Stage 12: the claims of the earlier stages hold again after a restart of sample and mesh."""

from fixtures.claims import claim
from fixtures.istio.restarted import Restarted

RESTART = "Kubernetes: kubectl rollout restart; Deployment status"
STAGE = "the same claim before the restart, with its source"


@claim(
    "After the restart each workload of the sample has one ready pod.",
    source=RESTART,
    hint="Look at updatedReplicas and at the events of the ReplicaSets.",
    blocking=True,
)
def test_the_sample_is_whole_again(restarted: Restarted) -> None:
    restarted.expect_sample_running()


@claim(
    "After the restart istiod and the gateways are fully rolled out.",
    source=RESTART,
    hint="Look at updatedReplicas and at the events of the ReplicaSets.",
    blocking=True,
)
def test_the_mesh_is_whole_again(restarted: Restarted) -> None:
    restarted.expect_mesh_rolled_out()


@claim(
    "Every running pod was created by the restart.",
    source=RESTART,
    hint="An old pod that keeps running belongs to a ReplicaSet that was not scaled down.",
)
def test_every_living_pod_is_new(restarted: Restarted) -> None:
    restarted.expect_new_pods()


@claim(
    "The pods from before the restart terminate within their grace period.",
    source="Kubernetes: termination of pods, 30 s by default",
    hint="Look for finalizers, and for containers that ignore SIGTERM.",
    run_last=True,
)
def test_the_old_pods_are_gone_in_time(restarted: Restarted) -> None:
    restarted.old_pods.expect_in_time()


@claim(
    "After the restart every pod of the sample has exactly one ready sidecar.",
    source=STAGE,
    hint="Was the injector called for the new pods? Look at the namespace's label and at istiod.",
)
def test_every_new_pod_carries_one_ready_sidecar(restarted: Restarted) -> None:
    restarted.sample.expect_sidecars()
    restarted.sample.expect_sidecars_ready()


@claim(
    "After the restart istio-init redirects as before, in every pod.",
    source=STAGE,
    hint="Other arguments mean that the injector's configuration changed meanwhile.",
)
def test_istio_init_redirects_as_before(restarted: Restarted) -> None:
    restarted.init_containers.expect_flags()


@claim(
    "After the restart the sample's Services are the same, with the new pods as endpoints.",
    source=STAGE,
    hint="Compare the EndpointSlices with the addresses of the pods.",
)
def test_the_services_lead_to_the_new_pods(restarted: Restarted) -> None:
    restarted.sample.expect_services_untouched()
    restarted.sample.expect_endpoints()
    restarted.sample.expect_endpoints_are_pods()


@claim(
    "After the restart istiod reports the same version.",
    source=STAGE,
    hint="Another version means that the Deployment's image changed meanwhile.",
    feature="port-forward",
)
def test_istiod_tells_the_same_version(restarted: Restarted) -> None:
    restarted.mesh.expect_own_answer()


@claim(
    "After the restart the injector's Service has an endpoint whose certificate is trusted.",
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
    hint="The API server's message names the webhook that it could not call, and why.",
    feature="writes",
)
def test_a_dry_run_pod_is_still_injected(restarted: Restarted) -> None:
    restarted.admission.expect_injected()


@claim(
    "After the restart an invalid VirtualService is still refused.",
    source=STAGE,
    hint="Accepted: the validator was not called. Another message: it could not be reached.",
    feature="writes",
)
def test_an_invalid_virtual_service_is_still_refused(restarted: Restarted) -> None:
    restarted.admission.expect_refusal()


@claim(
    "After the restart each route through the gateway reaches productpage.",
    source=STAGE,
    hint="The message names the first broken hop and explains the log's response flag.",
    feature="ingress",
)
def test_each_route_still_reaches_productpage(restarted: Restarted) -> None:
    restarted.client.expect_routes()


@claim(
    "After the restart a path that no route matches still gets the gateway's 404.",
    source=STAGE,
    hint="Did the new gateway get its configuration from istiod?",
    feature="ingress",
)
def test_a_path_no_route_matches_still_gets_404(restarted: Restarted) -> None:
    restarted.client.expect_unrouted()


@claim(
    "After the restart the page through the gateway is complete again.",
    source=STAGE,
    hint="A note says for how long it was away meanwhile.",
    feature="ingress",
)
def test_the_page_is_whole_again(restarted: Restarted) -> None:
    restarted.note_availability()
    restarted.client.expect_whole_page()


@claim(
    "After the restart the new gateway logs a request with productpage as its upstream.",
    source=STAGE,
    hint="Only the new pod's log is read; the old pod's is gone.",
    feature="pod-log",
)
def test_the_new_gateway_logs_its_upstream(restarted: Restarted) -> None:
    restarted.client.expect_upstream()
