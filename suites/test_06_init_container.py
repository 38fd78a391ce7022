"""Stage 6: the init container that redirects a pod's traffic to its sidecar, flag by flag."""

from fixtures.claims import claim
from fixtures.istio.init_container import InitContainers

TEMPLATE = "injection-template.yaml, and the golden pods of pkg/kube/inject"
FLAGS = "tools/istio-iptables/pkg/cmd/root.go"


@claim(
    "Every pod of the sample has exactly one istio-init, and it completed.",
    source=TEMPLATE,
    hint="Look at its log. With Istio CNI the container is istio-validation instead.",
)
def test_every_pod_has_one_istio_init_that_ended_well(init_containers: InitContainers) -> None:
    init_containers.expect_one_in_each_pod()


@claim(
    "istio-init runs istio-iptables.",
    source=TEMPLATE,
    hint="Look at its arguments: the first one is the program.",
)
def test_istio_init_runs_istio_iptables(init_containers: InitContainers) -> None:
    init_containers.expect_program()


@claim(
    "Outbound traffic is redirected to Envoy's port 15001.",
    source=FLAGS,
    hint="-p: the mesh's proxyListenPort.",
)
def test_outbound_traffic_goes_to_15001(init_containers: InitContainers) -> None:
    init_containers.expect_flag("-p")


@claim(
    "Inbound traffic is redirected to Envoy's port 15006.",
    source=FLAGS,
    hint="-z: the mesh's proxyInboundListenPort.",
)
def test_inbound_traffic_goes_to_15006(init_containers: InitContainers) -> None:
    init_containers.expect_flag("-z")


@claim(
    "The traffic of Envoy itself, by default user 1337, is not redirected.",
    source=FLAGS,
    hint="-u: without it Envoy's requests would be redirected to Envoy again.",
)
def test_the_proxys_own_traffic_is_left_alone(init_containers: InitContainers) -> None:
    init_containers.expect_flag("-u")


@claim(
    "The interception mode is REDIRECT, unless the mesh is configured otherwise.",
    source=FLAGS,
    hint="-m: annotation sidecar.istio.io/interceptionMode or the mesh's interceptionMode.",
)
def test_connections_are_caught_by_redirect(init_containers: InitContainers) -> None:
    init_containers.expect_flag("-m")


@claim(
    "Traffic to every destination is redirected, unless the mesh is configured otherwise.",
    source=FLAGS,
    hint="-i: annotation traffic.sidecar.istio.io/includeOutboundIPRanges. There is no -I.",
)
def test_every_destination_is_caught(init_containers: InitContainers) -> None:
    init_containers.expect_flag("-i")


@claim(
    "No destination is excluded, unless the mesh is configured otherwise.",
    source=FLAGS,
    hint="-x: annotation traffic.sidecar.istio.io/excludeOutboundIPRanges.",
)
def test_no_destination_is_left_alone(init_containers: InitContainers) -> None:
    init_containers.expect_flag("-x")


@claim(
    "Every inbound port is redirected, unless the mesh is configured otherwise.",
    source=FLAGS,
    hint="-b: annotation traffic.sidecar.istio.io/includeInboundPorts.",
)
def test_callers_are_caught_on_every_port(init_containers: InitContainers) -> None:
    init_containers.expect_flag("-b")


@claim(
    "Of inbound ports only 15090, 15021, 15020 and those of the mesh's settings are excluded.",
    source=FLAGS,
    hint="-d: annotation traffic.sidecar.istio.io/excludeInboundPorts adds to it.",
)
def test_only_the_sidecars_own_ports_are_left_alone(init_containers: InitContainers) -> None:
    init_containers.expect_flag("-d")


@claim(
    "istio-init has the capabilities NET_ADMIN and NET_RAW, and no others.",
    source=TEMPLATE,
    hint="Pod security admission or a policy engine may remove them.",
)
def test_istio_init_has_its_two_capabilities(init_containers: InitContainers) -> None:
    init_containers.expect_capabilities()


@claim(
    "istio-init runs as root.",
    source=TEMPLATE,
    hint="runAsUser 0: no other user may change iptables.",
)
def test_istio_init_runs_as_root(init_containers: InitContainers) -> None:
    init_containers.expect_root()


@claim(
    "istio-init has the same image as the sidecar of its pod.",
    source=TEMPLATE,
    hint="Look at the mesh's values global.proxy and global.proxy_init.",
)
def test_istio_init_has_the_sidecars_image(init_containers: InitContainers) -> None:
    init_containers.expect_proxy_image()
