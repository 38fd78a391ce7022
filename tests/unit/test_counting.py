"""What a claim counts as inspected is what it found, never what it expected to find."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from fixtures.claims import ClaimFailed, NotTested, inspected_one, start_observing
from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import eventually, wait_policy
from fixtures.istio.addons import Addons
from fixtures.istio.admission import Admission
from fixtures.istio.ambient import Ambient
from fixtures.istio.ambient_policies import AmbientPolicies
from fixtures.istio.ambient_restart import AmbientRestart
from fixtures.istio.ambient_traffic import AmbientTraffic
from fixtures.istio.api_gateways import ApiGateways
from fixtures.istio.clash import Clash
from fixtures.istio.cluster import Cluster
from fixtures.istio.configuration import Configuration
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.credentials import Credentials
from fixtures.istio.expected.callers import Callers
from fixtures.istio.expected.modes import Modes
from fixtures.istio.expected.rising import Metrics
from fixtures.istio.expected.rows import Mode, Reached, Rising, Served
from fixtures.istio.expected.served import ServedHosts
from fixtures.istio.fleet import Fleet
from fixtures.istio.gateway import Gateway
from fixtures.istio.gateway_api import ApiGateway
from fixtures.istio.gateways import Gateways
from fixtures.istio.init_container import InitContainers
from fixtures.istio.injected import InjectedSample
from fixtures.istio.istioctl import Istioctl
from fixtures.istio.kube_inject import KubeInject
from fixtures.istio.mutual_tls import MutualTls, TrustDomain
from fixtures.istio.node_agent import NodeAgent
from fixtures.istio.observability.grafana import Grafana
from fixtures.istio.observability.jaeger import Jaeger
from fixtures.istio.observability.kiali import Kiali
from fixtures.istio.observability.loki import Loki
from fixtures.istio.observability.prometheus import Prometheus
from fixtures.istio.observability.traffic import Caused
from fixtures.istio.probe import Probe, Probes
from fixtures.istio.reach import Reach
from fixtures.istio.releases import expected
from fixtures.istio.releases.options import MeshOptions
from fixtures.istio.resilience import Resilience
from fixtures.istio.restarted import Restarted
from fixtures.istio.routing import Routing
from fixtures.istio.rules import Rules
from fixtures.istio.sample import PlainSample, Snapshot
from fixtures.istio.telemetry import Telemetry
from fixtures.istio.through_gateway import ThroughGateway
from fixtures.istio.through_waypoint import ThroughWaypoint
from fixtures.istio.tls_policies import TlsPolicies
from fixtures.istio.waypoints import Waypoints
from fixtures.istio.webhooks import Webhooks
from fixtures.istio.workloads import Workloads
from fixtures.istio.ztunnels import Ztunnels
from fixtures.k8s import Refused, Unreachable
from fixtures.k8s.service import Service
from fixtures.k8s.termination import Termination
from fixtures.providers.read_once import ReadOnce
from fixtures.setup.clients import CLIENTS
from fixtures.setup.kube_inject import workloads
from fixtures.setup.mutual_tls import documents
from fixtures.setup.traffic import rules_of
from fixtures.traffic.availability import Availability
from fixtures.traffic.client import Client
from fixtures.traffic.gateway_access import AccessPath
from fixtures.traffic.in_mesh import MeshClient, MeshClients

ROWS = expected("1.31.0", "v1.35.0", ["v1.35.0"])
SUITES = sorted((Path(__file__).parents[2] / "suites").glob("test_*.py"))
# Claims about what was found before they run: the version, and pods from before a change.
# What a user expects, a table for each kind of claim.
EXPECTED = {
    "served": Served(host="shop.example.com", gateway="istio-system/gate"),
    "mode": Mode(namespace="shop", mode="none"),
    "mutual_tls_mode": Mode(namespace="shop", mutual_tls="STRICT"),
    "reached": Reached(service="shop/cart:80"),
    "rising": Rising(metric="up"),
}
KNOWN_BEFORE = {
    "test_the_kubernetes_version_is_supported",
    "test_the_old_pods_are_gone_in_time",
}


class Nothing:
    """A cluster whose API answers, and has no object at all."""

    server = "https://empty"
    kinds = SimpleNamespace(served=lambda _: ["v1"])

    def list(self, *_: object, **__: object) -> list[Any]:
        return []

    def read(self, *_: object, **__: object) -> tuple[Any, ...]:
        return ()

    @property
    def read_once(self) -> ReadOnce:
        return ReadOnce()

    def find(self, *_: object, **__: object) -> None:
        return None

    def get(self, kind: str, name: str, *_: object) -> Any:
        raise Refused(404, reason="NotFound", message=f"{kind} {name} not found")

    def now(self) -> float:
        return 0.0

    def events(self, *_: object) -> tuple[Any, ...]:
        return ()

    def raw(self, path: str) -> Any:
        raise Refused(404, reason="NotFound", message=path)

    def create(self, *_: object, **__: object) -> Any:
        raise Refused(404, reason="NotFound", message="no such namespace")

    def apply(self, *_: object, **__: object) -> Any:
        raise Refused(404, reason="NotFound", message="no such namespace")

    def logs(self, *_: object, **__: object) -> str:
        return ""

    @contextmanager
    def forward(self, pod: str, *_: object) -> Iterator[Any]:
        raise Unreachable(f"{pod} is not there")
        yield


class Nouns:
    """The fixtures that claims take, over a cluster with nothing in it."""

    def __init__(self) -> None:  # noqa: PLR0915  # one statement a noun
        kube: Any = Nothing()

        self.cluster = Cluster(kube, "1.31.0", "v1.35.0", ("v1.35.0",))
        self.control_plane = mesh = ControlPlane(kube, ROWS)
        with_cni = ROWS.set_to(MeshOptions(cni=True))
        self.node_agent = NodeAgent(ControlPlane(kube, with_cni))
        services = {
            name: Service(name, "bookinfons", "ClusterIP", (), {}) for name in ROWS.endpoints
        }
        before = Snapshot(services=services, apps={}, uids=frozenset())
        self.plain_sample = PlainSample(kube, ROWS, first=before)
        old = Termination(kube, (), frozenset({"uid"}), since="the change")
        self.injected_sample = sample = InjectedSample(kube, ROWS, before=before, old_pods=old)
        self.kube_inject = KubeInject(  # by an istioctl that is at hand and writes nothing
            sample,
            Istioctl(("true",), Path("kubeconfig"), "empty", "istio-system"),
            workloads(sample.expected),
        )
        probe = Probe(kube, "bookinfons", "probe")
        self.probes = Probes(probe, probe)
        self.webhooks = Webhooks(kube, ROWS, "x")
        self.admission = Admission(kube, ROWS, "x")
        self.init_containers = InitContainers(sample)
        self.gateway = Gateway(kube, ROWS, AccessPath("gateway-forward"), mesh)
        self.client = Client(self.gateway)
        self.api_gateway = ApiGateway(kube, ROWS, AccessPath("gateway-forward"))
        self.api_client = Client(self.api_gateway)
        self.addons = Addons(kube, ROWS, "istio-system")
        self.workloads = Workloads(mesh)
        self.fleet = Fleet(mesh)
        self.gateways = Gateways(kube)
        self.credentials = Credentials(kube)
        self.ambient = Ambient(kube)
        self.ztunnels = Ztunnels(self.cluster, self.ambient)
        self.waypoints = Waypoints(kube)
        self.configuration = Configuration(kube)
        self.api_gateways = ApiGateways(kube, "1.31.0")
        clients = MeshClients(*(MeshClient(kube, name, "bookinfons") for name in CLIENTS))
        self.served_hosts, self.modes = ServedHosts(kube), Modes(kube)
        self.metrics, self.callers = Metrics(kube), Callers(kube, clients)
        self.routing = Routing(clients, rules_of(sample))
        self.resilience = Resilience(clients, rules_of(sample))
        self.clash = Clash(self.client, rules_of(sample))
        self.prometheus = Prometheus(self.addons)
        self.jaeger, self.grafana = Jaeger(self.addons), Grafana(self.addons)
        self.kiali, self.loki = Kiali(self.addons), Loki(self.addons)
        self.caused = self.sent = Caused(
            clients.client, 1, 0.0, "0" * 32, Telemetry(tracer="jaeger")
        )
        self.reach = Reach(clients, rules_of(sample), ROWS)
        trust = TrustDomain.read(mesh)
        self.mutual_tls = MutualTls(sample, clients, trust)
        rules = Rules(kube, "bookinfons", documents(kube, "bookinfons", trust))
        self.tls_policies = TlsPolicies(clients, rules, trust, mesh_writes=True)
        beside = MeshClient(kube, "seatrial-sidecar", "bookinfons")
        self.ambient_traffic = AmbientTraffic(clients, beside, trust, self.ambient, rules)
        self.ambient_policies = AmbientPolicies(clients, rules, trust, mesh_writes=True)
        self.through_gateway = ThroughGateway(self.ambient_traffic)
        self.through_waypoint = ThroughWaypoint(self.ambient_traffic)
        self.ambient_restart = AmbientRestart(self.ambient_traffic, self.ztunnels, True)
        availability = Availability(requests=())
        self.restarted = Restarted(sample, self.gateway, frozenset(), old, availability)

    @classmethod
    def made(cls) -> Self:
        return cls()


def claims() -> Iterator[Any]:
    """Every claim with the fixtures that it takes, and one value of each parameter."""
    for path in SUITES:
        for name, test in vars(import_module(f"suites.{path.stem}")).items():
            if not name.startswith("test_"):
                continue
            marks = {mark.name: mark for mark in getattr(test, "pytestmark", ())}
            given = inspect.signature(test).parameters
            values: dict[str, Any] = {k: row for k, row in EXPECTED.items() if k in given}
            assert "claim" in marks or values, f"{name} is no claim"
            if "parametrize" in marks:
                parameter, choices = marks["parametrize"].args
                values = {parameter: choices[0]}
            nouns = [n for n in inspect.signature(test).parameters if n not in values]
            yield pytest.param(test, nouns, values, id=f"{path.stem}/{name}")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    limit = timeout("it is distributed", 0)
    monkeypatch.setattr("fixtures.istio.control_plane.ROOT_DISTRIBUTED", limit)
    with wait_policy(factor=0.001):
        yield


@pytest.mark.parametrize(("claim", "nouns", "values"), list(claims()))
def test_where_nothing_is_found_nothing_is_inspected(
    claim: Callable[..., None], nouns: list[str], values: dict[str, Any]
) -> None:
    made = Nouns.made()
    subjects = {noun: getattr(made, noun) for noun in nouns}
    observed = start_observing()
    try:
        claim(**subjects, **values)
    except (ClaimFailed, NotTested):
        pass
    else:
        assert claim.__name__ in KNOWN_BEFORE or not observed.inspected, "it passes on nothing"
    if claim.__name__ not in KNOWN_BEFORE:
        assert observed.inspected == 0


def test_what_is_inspected_again_and_again_counts_once() -> None:
    observed = start_observing()
    inspected_one("before")
    tries = iter(range(5))

    def probe() -> None:
        inspected_one("a pod")
        if next(tries) < 3:
            raise ClaimFailed("a pod", expected="ready", got="not ready")

    eventually(probe, within=timeout("it is so", 1000), every=0.001)
    assert observed.inspected == 2
