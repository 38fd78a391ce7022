"""Stage 9: mutual TLS between workloads, their certificates, and the policies over both."""

from fixtures.claims import claim
from fixtures.istio.mutual_tls import MutualTls
from fixtures.istio.tls_policies import TlsPolicies

AUTO = "Istio, mutual TLS migration: automatic mutual TLS, mode PERMISSIVE by default"
PEER = "Istio, PeerAuthentication: the narrowest policy decides, mode STRICT"


@claim(
    "Each request between services of the sample arrives by mutual TLS.",
    source=f"{AUTO}; %REQUESTED_SERVER_NAME% in the access log of the server's sidecar",
    hint="Look for a DestinationRule with another tls.mode, and for callers without a sidecar.",
    feature="sidecars",
)
def test_requests_between_services_are_mutual_tls(mutual_tls: MutualTls) -> None:
    mutual_tls.expect_between_services()


@claim(
    "Each workload serves a certificate of its own identity that the mesh's root issued.",
    source="Istio, identity and certificate management; the SPIFFE X.509-SVID",
    hint="The notes say how long each is left. A proxy that is not renewed: is istiod reached?",
    feature="sidecars",
)
def test_each_workload_serves_its_own_certificate(mutual_tls: MutualTls) -> None:
    mutual_tls.expect_own_certificates()


@claim(
    "A server in the mesh is told the identity of its caller, which is its ServiceAccount's.",
    source="Istio, identity; Envoy: header x-forwarded-client-cert, By and URI",
    hint="Without the header the request came as plain text, or a setting of the mesh removes it.",
    feature="sidecars",
)
def test_a_server_is_told_who_calls(mutual_tls: MutualTls) -> None:
    mutual_tls.expect_callers_known()


@claim(
    "The server's sidecar counts requests in the mesh as those of mutual TLS.",
    source="Istio, standard metrics: istio_requests_total, connection_security_policy",
    hint="Policy none is plain text; unknown is what a client's sidecar says.",
    feature="sidecars",
)
def test_the_metrics_count_mutual_tls(mutual_tls: MutualTls) -> None:
    mutual_tls.expect_counted()


@claim(
    "A caller without a sidecar is served as long as no policy says otherwise.",
    source=AUTO,
    hint="Is there a PeerAuthentication with mode STRICT in the namespace?",
    feature="sidecars",
)
def test_a_plain_caller_is_served_by_default(tls_policies: TlsPolicies) -> None:
    tls_policies.expect_plain_served()


@claim(
    "Under STRICT a caller without a sidecar is refused, and the mesh's own are served.",
    source=PEER,
    hint="Does a narrower policy, or an older one of the same namespace, say otherwise?",
    feature="sidecars",
)
def test_strict_refuses_a_plain_caller(tls_policies: TlsPolicies) -> None:
    tls_policies.expect_strict()


@claim(
    "The mode of a workload's policy counts more than that of its namespace.",
    source=PEER,
    hint="Does the selector match the pods, and is there an older policy that matches them, too?",
    feature="sidecars",
)
def test_a_workloads_policy_comes_before_its_namespaces(tls_policies: TlsPolicies) -> None:
    tls_policies.expect_workload_over_namespace()


@claim(
    "The mode of one port counts more than that of its workload.",
    source="Istio, PeerAuthentication: portLevelMtls",
    hint="Ports there are the workload's own, not those of its Service.",
    feature="sidecars",
)
def test_a_ports_mode_comes_before_its_workloads(tls_policies: TlsPolicies) -> None:
    tls_policies.expect_port_over_workload()


@claim(
    "The mode of a namespace's policy counts more than that of the whole mesh.",
    source=PEER,
    hint="A policy holds for the whole mesh in its root namespace, and without a selector.",
    feature="sidecars",
)
def test_a_namespaces_policy_comes_before_the_meshs(tls_policies: TlsPolicies) -> None:
    tls_policies.expect_namespace_over_mesh()


@claim(
    "An AuthorizationPolicy for one identity lets it in and keeps all others out, until it goes.",
    source="Istio, AuthorizationPolicy: ALLOW, source principals",
    hint="Policies with ALLOW are added up: does another one let these callers in?",
    feature="sidecars",
)
def test_an_authorization_policy_keeps_others_out(tls_policies: TlsPolicies) -> None:
    tls_policies.expect_authorization()
