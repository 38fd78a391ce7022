"""Stage 14: ambient mode, by the API and by the pages of ztunnel; nothing is sent or changed."""

from fixtures.claims import claim
from fixtures.istio.ambient import Ambient
from fixtures.istio.waypoints import Waypoints
from fixtures.istio.ztunnels import Ztunnels

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
    hint="Where there is none, pods that run go on, and new ones do not start.",
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
    hint="Conditions stay True while its pods crash: look at the pods.",
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


@claim(
    "Every ztunnel says by its own page that it is ready.",
    source="ztunnel, src/readiness: port 15021, /healthz/ready",
    hint="It waits for its configuration from istiod, and for the agent of the CNI plugin.",
)
def test_every_ztunnel_says_that_it_is_ready(ztunnels: Ztunnels) -> None:
    ztunnels.expect_ready()


@claim(
    "Every agent of the CNI plugin says by its own page that its plugin is in place.",
    source="cni/pkg/install: port 8000, /readyz, while the plugin's configuration is valid",
    hint="Does another CNI plugin write over the node's chain? The agent's log names the file.",
)
def test_every_cni_agent_says_that_its_plugin_is_in_place(ztunnels: Ztunnels) -> None:
    ztunnels.expect_agents_ready()


@claim(
    "Every ztunnel is at most one minor version older or newer than istiod.",
    source="Istio, upgrade of ambient mode: istiod first, then the CNI plugin and ztunnel",
    hint="An upgrade of istiod leaves ztunnel as it is: it is upgraded by its own release.",
)
def test_no_ztunnel_is_too_old_or_too_new(ztunnels: Ztunnels) -> None:
    ztunnels.expect_versions()


@claim(
    "Every ztunnel is connected to istiod and has the configuration that it was sent.",
    source="istiod, /debug/syncz: for each type of resource what was sent and acknowledged",
    hint="Not connected: can its node reach istiod's port 15012? Its log names the error.",
)
def test_every_ztunnel_is_in_sync(ztunnels: Ztunnels) -> None:
    ztunnels.expect_in_sync()


@claim(
    "Every ztunnel serves the captured pods of its node by HBONE, and no others.",
    source="ztunnel, /config_dump: workloadState and protocol; metric workload_manager_*",
    hint="Restart the agent of the CNI plugin on that node: it sends ztunnel all of its pods.",
)
def test_ztunnel_serves_exactly_the_captured_pods(ztunnels: Ztunnels) -> None:
    ztunnels.expect_served()


@claim(
    "Every ztunnel holds a certificate of its own for each identity on its node, renewed in time.",
    source="ztunnel, /config_dump: certificates; renewed when half of their life is over",
    hint="ztunnel requests them from istiod, which must know the ServiceAccount and the node.",
)
def test_ztunnels_certificates_are_renewed_in_time(ztunnels: Ztunnels) -> None:
    ztunnels.expect_certificates()
