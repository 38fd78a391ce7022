"""Stage 16: requests between pods without sidecars: how they go, and under which policies."""

from fixtures.claims import claim
from fixtures.istio.ambient_policies import AmbientPolicies
from fixtures.istio.ambient_restart import AmbientRestart
from fixtures.istio.ambient_traffic import AmbientTraffic
from fixtures.istio.through_gateway import ThroughGateway
from fixtures.istio.through_waypoint import ThroughWaypoint

HBONE = "Istio, ambient data plane: HBONE, mutual TLS between ztunnels by the pods' identities"
LABELS = "Istio, ambient: add workloads to the mesh, label istio.io/dataplane-mode"
PEER = "Istio, ambient: PeerAuthentication is enforced by ztunnel"
POLICY = "Istio, ambient: Layer 4 authorization policies are enforced by ztunnel"
WAYPOINTS = "Istio, ambient: use a waypoint, label istio.io/use-waypoint on a Service"
BESIDE = "Istio, ambient: sidecars and ztunnels of one mesh call each other by HBONE"


@claim(
    "ztunnel counts requests in the mesh as mutual TLS at both ends, by the right identities.",
    source=f"{HBONE}; istio_tcp_connections_opened_total",
    hint="Policy unknown is plain text: is the server's node's ztunnel told of the pod?",
    feature="ambient-traffic",
)
def test_requests_are_counted_as_mutual_tls(ambient_traffic: AmbientTraffic) -> None:
    ambient_traffic.expect_counted()


@claim(
    "ztunnel's access log holds exactly the requests in the mesh, at both ends.",
    source=f"{HBONE}; ztunnel, access log",
    hint="A line with an error names the policy, or the ztunnel, that refused it.",
    feature="ambient-traffic",
)
def test_the_access_log_holds_exactly_the_requests(ambient_traffic: AmbientTraffic) -> None:
    ambient_traffic.expect_logged()


@claim(
    "A pod in ambient mode is captured before its application starts.",
    source=f"{LABELS}; the CNI plugin returns once ztunnel serves the pod",
    hint="Captured later: the agent did it, for the CNI plugin did not run. Its log says why.",
    feature="ambient-traffic",
)
def test_a_pod_is_captured_before_it_starts(ambient_traffic: AmbientTraffic) -> None:
    ambient_traffic.expect_captured_first()


@claim(
    "A caller outside the mesh is served as long as no policy says otherwise.",
    source=PEER,
    hint="Is there a PeerAuthentication with mode STRICT in the namespace?",
    feature="ambient-traffic",
)
def test_a_plain_caller_is_served_by_default(ambient_policies: AmbientPolicies) -> None:
    ambient_policies.expect_plain_served()


@claim(
    "Under STRICT a caller outside the mesh is refused, and the mesh's own are served.",
    source=PEER,
    hint="A pod that lost its rules on the node answers all the same: restart it, and its agent.",
    feature="ambient-traffic",
)
def test_strict_refuses_a_plain_caller(ambient_policies: AmbientPolicies) -> None:
    ambient_policies.expect_strict()


@claim(
    "An AuthorizationPolicy for one identity lets it in and keeps all others out, until it goes.",
    source=POLICY,
    hint="Policies with ALLOW are added up: does another one let these callers in?",
    feature="ambient-traffic",
)
def test_an_authorization_policy_keeps_others_out(ambient_policies: AmbientPolicies) -> None:
    ambient_policies.expect_authorization()


@claim(
    "A rule about HTTP where no waypoint reads it lets nobody in, and its status says so.",
    source=f"{POLICY}; conditions: ZtunnelAccepted, UnsupportedValue",
    hint="A rule of an ALLOW policy that ztunnel cannot match is left out: less is allowed.",
    feature="ambient-traffic",
)
def test_an_http_rule_without_a_waypoint_is_reported(ambient_policies: AmbientPolicies) -> None:
    ambient_policies.expect_http_rule_reported()


@claim(
    "A pod with a sidecar calls a captured one by mutual TLS.",
    source=BESIDE,
    hint="Has the sidecar ISTIO_META_ENABLE_HBONE? Restart what is older than ambient mode.",
    feature="ambient-traffic",
)
def test_a_sidecar_calls_a_captured_pod(ambient_traffic: AmbientTraffic) -> None:
    ambient_traffic.expect_from_sidecar()


@claim(
    "A captured pod calls one with a sidecar by mutual TLS.",
    source=BESIDE,
    hint="Is the other pod HBONE in istioctl ztunnel-config workloads?",
    feature="ambient-traffic",
)
def test_a_captured_pod_calls_a_sidecar(ambient_traffic: AmbientTraffic) -> None:
    ambient_traffic.expect_to_sidecar()


@claim(
    "A gateway calls a captured pod by mutual TLS.",
    source=f"{BESIDE}; gateways too",
    hint="Has the gateway ISTIO_META_ENABLE_HBONE? Restart what is older than ambient mode.",
    feature="ambient-traffic",
)
def test_a_gateway_calls_a_captured_pod(through_gateway: ThroughGateway) -> None:
    through_gateway.expect_to_captured()


@claim(
    "A gateway calls a pod with a sidecar by mutual TLS.",
    source="Istio, security: auto mutual TLS between proxies that support it",
    hint="Does a DestinationRule for the Service set another TLS mode than ISTIO_MUTUAL?",
    feature="ambient-traffic",
)
def test_a_gateway_calls_a_sidecar(through_gateway: ThroughGateway) -> None:
    through_gateway.expect_to_sidecar()


@claim(
    "A namespace that loses its label releases its pods without a restart, and takes them back.",
    source=LABELS,
    hint="Does the agent of the CNI plugin run? It alone takes the rules out of a pod.",
    feature="ambient-traffic",
)
def test_a_pod_is_released_without_a_restart(ambient_traffic: AmbientTraffic) -> None:
    ambient_traffic.expect_released()


@claim(
    "A waypoint gets ready: it is programmed, with ready pods and endpoints, and a Service bound.",
    source=f"{WAYPOINTS}; condition istio.io/WaypointBound",
    hint="Conditions stay True while its pods crash: look at the pods of its Deployment.",
    feature="ambient-traffic",
)
def test_a_waypoint_gets_ready(through_waypoint: ThroughWaypoint) -> None:
    through_waypoint.expect_ready()


@claim(
    "Requests for a Service that uses a waypoint go through it.",
    source=f"{WAYPOINTS}; ztunnel, access log",
    hint="Callers outside ambient mode, those with sidecars too, go past a waypoint.",
    feature="ambient-traffic",
)
def test_requests_go_through_the_waypoint(through_waypoint: ThroughWaypoint) -> None:
    through_waypoint.expect_used()


@claim(
    "A rule about HTTP for a Service that uses a waypoint is enforced.",
    source="Istio, ambient: Layer 7 authorization, targetRefs of kind Service",
    hint="Is the policy's condition WaypointAccepted? It has to be in the Service's namespace.",
    feature="ambient-traffic",
)
def test_an_http_rule_acts_at_the_waypoint(through_waypoint: ThroughWaypoint) -> None:
    through_waypoint.expect_obeyed()


@claim(
    "A restart of the CNI plugin's agent cuts no pod off, and leaves the mesh whole.",
    source="Istio, ambient data plane: the agent sets a pod up, and is not in its traffic's way",
    hint="Do pods lose their rules when the agent ends? Read its log.",
    feature="ambient-traffic",
)
def test_a_restart_of_the_cni_agent_cuts_nobody_off(ambient_restart: AmbientRestart) -> None:
    ambient_restart.expect_agent_back()


@claim(
    "After a restart of ztunnel the mesh is whole again.",
    source="Istio, ambient: ztunnel is restarted node by node; connections through it end",
    hint="Is there room for a second ztunnel on the node, and does a quota allow its pod?",
    feature="ambient-traffic",
)
def test_a_restart_of_ztunnel_leaves_the_mesh_whole(ambient_restart: AmbientRestart) -> None:
    ambient_restart.expect_ztunnel_back()
