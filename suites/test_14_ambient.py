"""Stage 14: ambient mode, as far as the API tells; not claimed of a mesh with sidecars alone."""

from fixtures.claims import claim
from fixtures.istio.ambient import Ambient
from fixtures.istio.waypoints import Waypoints

CAPTURE = "Istio, ambient data plane: ztunnel node proxy, pods are captured by the CNI plugin"
WAYPOINTS = "Istio, configure waypoint proxies: label istio.io/use-waypoint"


@claim(
    "Every node with pods that ask for ambient mode has a ready ztunnel.",
    source=CAPTURE,
    hint="A DaemonSet that is scheduled nowhere looks whole: compare its nodeSelector and taints.",
)
def test_ztunnel_is_on_every_node_that_needs_it(ambient: Ambient) -> None:
    ambient.expect_ztunnel()


@claim(
    "Every node with pods that ask for ambient mode has a ready agent of the CNI plugin.",
    source=CAPTURE,
    hint="Without it running pods go on, and no new one starts.",
)
def test_the_cni_agent_is_on_every_node_that_needs_it(ambient: Ambient) -> None:
    ambient.expect_agent()


@claim(
    "Every pod that asks for ambient mode is captured.",
    source="cni/pkg/util: annotation ambient.istio.io/redirection",
    hint="Pending for long: the agent waits for ztunnel. No annotation: look at the agent's log.",
)
def test_every_pod_that_asks_is_captured(ambient: Ambient) -> None:
    ambient.expect_captured()


@claim(
    "Every waypoint has a ready endpoint.",
    source=WAYPOINTS,
    hint="Its conditions stay True while its pods crash: look at these.",
    feature="gateway-api",
)
def test_every_waypoint_has_ready_endpoints(waypoints: Waypoints) -> None:
    waypoints.expect_endpoints()


@claim(
    "Every waypoint that a namespace, a Service or a pod names exists.",
    source=WAYPOINTS,
    hint="Traffic flows without a waypoint that is not there, and past its policies.",
)
def test_every_waypoint_that_is_named_exists(waypoints: Waypoints) -> None:
    waypoints.expect_named()


@claim(
    "Every policy that only a waypoint can enforce has one.",
    source="Istio, ambient: L7 policies need a waypoint; conditions of policies",
    hint="Bind what it is for to a waypoint, or write it for ztunnel: without HTTP.",
)
def test_every_policy_is_enforced(waypoints: Waypoints) -> None:
    waypoints.expect_policies()
