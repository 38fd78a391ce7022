"""Stage 8: requests between services, and what rules make of them."""

from fixtures.claims import claim
from fixtures.istio.reach import Reach
from fixtures.istio.resilience import Resilience
from fixtures.istio.routing import Routing

SHIFTING = "istio.io, tasks: request routing and traffic shifting"
FAULTS = "istio.io, tasks: fault injection; recorded on 1.29.6"
REFERENCE = "istio.io, reference: VirtualService"
RULE = "The claim applies and removes its rule: is another one there for the same host?"


@claim(
    "Requests from a client in the mesh reach all three versions of reviews.",
    source="istio.io, concepts: traffic management: without a rule, all endpoints of the Service",
    hint="Are the pods of the missing version ready? Does somebody's rule lead past them?",
    feature="sidecars",
)
def test_requests_reach_every_version(routing: Routing) -> None:
    routing.expect_spread()


@claim(
    "A rule that leads all requests to v1 is obeyed by each, and removing it restores the spread.",
    source=SHIFTING,
    hint=RULE,
    feature="sidecars",
)
def test_a_rule_is_obeyed_by_every_request(routing: Routing) -> None:
    routing.expect_all_to_v1()


@claim(
    "Weights of 50 and 50 divide requests between v1 and v3, within binomial bounds.",
    source=SHIFTING,
    hint=RULE,
    feature="sidecars",
)
def test_equal_weights_are_kept(routing: Routing) -> None:
    routing.expect_halves()


@claim(
    "Weights of 90 and 10 divide requests between v1 and v2, within binomial bounds.",
    source=SHIFTING,
    hint=RULE,
    feature="sidecars",
    level="extended",
)
def test_a_canarys_weight_is_kept(routing: Routing) -> None:
    routing.expect_canary()


@claim(
    "A match of a header decides which version answers each request.",
    source="istio.io, tasks: request routing, route based on user identity",
    hint=RULE,
    feature="sidecars",
)
def test_a_header_decides_the_version(routing: Routing) -> None:
    routing.expect_by_header()


@claim(
    "A rule that istiod refuses leaves the one that is in force as it is.",
    source="istio.io, ops: configuration validation webhook; recorded on 1.29.6",
    hint="Was it accepted? Then the validating webhook does not answer, or is not registered.",
    feature="sidecars",
    level="extended",
)
def test_a_refused_rule_changes_nothing(routing: Routing) -> None:
    routing.expect_refused_rule_changes_nothing()


@claim(
    "An injected abort answers its share of requests, and these never come to the service.",
    source=FAULTS,
    hint=RULE,
    feature="sidecars",
)
def test_an_abort_is_injected(resilience: Resilience) -> None:
    resilience.expect_abort()


@claim(
    "An injected delay holds up the requests that match, each for its time, and no other.",
    source=FAULTS,
    hint=RULE,
    feature="sidecars",
)
def test_a_delay_is_injected(resilience: Resilience) -> None:
    resilience.expect_delay()


@claim(
    "A timeout gives up a slow application, and not a fast one.",
    source="istio.io, tasks: request timeouts",
    hint="An injected delay is not cut by a timeout; a slow application is.",
    feature="sidecars",
)
def test_a_timeout_gives_up_a_slow_application(resilience: Resilience) -> None:
    resilience.expect_timeout()


@claim(
    "What fails is sent again as often as the rule says, counted at the service.",
    source=f"{REFERENCE}, HTTPRetry",
    hint=RULE,
    feature="sidecars",
)
def test_failed_requests_are_sent_again(resilience: Resilience) -> None:
    resilience.expect_retries()


@claim(
    "Where a rule allows one connection, the caller's sidecar refuses what exceeds it.",
    source="istio.io, tasks: circuit breaking",
    hint="Refused by the caller: with x-envoy-overloaded, and never seen by the service.",
    feature="sidecars",
    level="extended",
)
def test_one_connection_is_all_that_a_rule_allows(resilience: Resilience) -> None:
    resilience.expect_one_connection()


@claim(
    "A request to a host that the mesh does not know follows the mesh's outboundTrafficPolicy.",
    source="istio.io, reference: MeshConfig, outboundTrafficPolicy; ALLOW_ANY by default",
    hint="A Sidecar in the namespace or the root namespace overrides the mesh's policy.",
    feature="sidecars",
)
def test_a_host_outside_follows_the_meshs_policy(reach: Reach) -> None:
    reach.expect_mesh_policy()


@claim(
    "A Sidecar's outboundTrafficPolicy decides whether a host outside the mesh is reached.",
    source="istio.io, tasks: accessing external services",
    hint="502 and a closed connection are the sidecar's refusals (BlackHoleCluster in its log).",
    feature="sidecars",
    level="extended",
)
def test_a_host_outside_follows_a_sidecars_policy(reach: Reach) -> None:
    reach.expect_policies()


@claim(
    "A Sidecar narrows what its workload reaches, and nobody else's.",
    source="istio.io, reference: Sidecar, egress",
    hint="Which Sidecar selects the workload? Of two that do, istiod takes one.",
    feature="sidecars",
)
def test_a_sidecar_narrows_what_a_client_reaches(reach: Reach) -> None:
    reach.expect_narrowed()


@claim(
    "A route to a host that is not there is accepted, gets 503, and harms no other route.",
    source="Envoy: NC, cluster not found; recorded on 1.29.6",
    hint="istioctl analyze names such a route (IST0101).",
    feature="sidecars",
    level="extended",
)
def test_a_route_to_nowhere_harms_no_other(resilience: Resilience) -> None:
    resilience.expect_unknown_host()


@claim(
    "A route to a subset that nobody defines is accepted, gets 503, and harms no other route.",
    source="Envoy: NC, cluster not found; tried on 1.32",
    hint="istioctl analyze names such a route (IST0101); a DestinationRule defines subsets.",
    feature="sidecars",
    level="extended",
)
def test_a_route_to_an_unknown_subset_harms_no_other(resilience: Resilience) -> None:
    resilience.expect_unknown_subset()
