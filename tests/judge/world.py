"""The nouns that claims speak of, made of recorded clusters: what the fixtures make of real ones.

Which objects and answers there are is said by whoever makes a `World`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from fixtures.istio.addons import Addons
from fixtures.istio.admission import Admission
from fixtures.istio.ambient import Ambient
from fixtures.istio.api_gateways import ApiGateways
from fixtures.istio.cluster import Cluster
from fixtures.istio.configuration import Configuration
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.credentials import Credentials
from fixtures.istio.fleet import Fleet
from fixtures.istio.gateway import Gateway
from fixtures.istio.gateway_api import ApiGateway
from fixtures.istio.gateways import Gateways
from fixtures.istio.init_container import InitContainers
from fixtures.istio.injected import InjectedSample
from fixtures.istio.node_agent import NodeAgent
from fixtures.istio.options import read_options
from fixtures.istio.probe import Probe, Probes
from fixtures.istio.releases import Expected
from fixtures.istio.releases.injection import NAMESPACE_LABEL
from fixtures.istio.restarted import Restarted, pods_of_both
from fixtures.istio.sample import PlainSample, Sample
from fixtures.istio.waypoints import Waypoints
from fixtures.istio.webhooks import Webhooks
from fixtures.istio.workloads import Workloads
from fixtures.istio.ztunnels import Ztunnels
from fixtures.k8s import Kube
from fixtures.k8s.termination import Termination
from fixtures.providers.base import Access
from fixtures.setup import gateway_api as setup_gateway_api
from fixtures.setup.gateway import access_path
from fixtures.traffic.availability import Availability
from fixtures.traffic.client import Client

MESH, SAMPLE = "istio-system", "bookinfons"


@dataclass(frozen=True)
class World:
    """One recorded cluster.

    Attributes:
        kube: the cluster at a moment, named by the stage that was tested then.
        access: what a provider would know of it.
        host: for which host name its gateway leads on.
        allowed: whether the user goes on with versions that do not fit.
        labelled: a namespace with injection enabled.
        day: on which it was recorded; images are judged by that of today without it.
    """

    kube: Callable[[str], Kube]
    access: Access
    host: str = "*"
    allowed: bool = False
    labelled: str = SAMPLE
    outside: str = f"{SAMPLE}-outside"
    day: date | None = None

    def rows(self, moment: str) -> Expected:
        """What is expected of it."""
        kube = self.kube(moment)
        options = read_options(kube, self.access.revision)
        return self._cluster(kube).expected.set_to(options)

    def _cluster(self, kube: Kube) -> Cluster:
        return Cluster.read(
            kube,
            self.access.istio_version,
            absent=self.access.absent,
            revision=self.access.revision,
            hub=self.access.hub,
            any_version=self.allowed,
            day=self.day,
        )

    def cluster(self) -> Cluster:
        return self._cluster(self.kube("cluster"))

    def control_plane(self, moment: str = "installation") -> ControlPlane:
        return ControlPlane(self.kube(moment), self.rows(moment))

    def node_agent(self) -> NodeAgent:
        return NodeAgent(self.control_plane())

    def plain_sample(self) -> PlainSample:
        kube = self.kube("sample")
        rows = self._cluster(kube).expected
        return PlainSample(kube, rows, first=Sample(kube, rows).snapshot())

    def injected_sample(self, moment: str = "injection") -> InjectedSample:
        before, kube = self.plain_sample().first, self.kube(moment)
        old = Termination(kube, (SAMPLE,), before.uids, since="the injection")
        return InjectedSample(kube, self.rows(moment), before=before, old_pods=old)

    def probes(self) -> Probes:
        kube = self.kube("injection")
        opted_out = Probe(kube, SAMPLE, "seatrial-opted-out")
        return Probes(opted_out, Probe(kube, self.outside, "seatrial-outside"))

    def init_containers(self) -> InitContainers:
        return InitContainers(self.injected_sample("init-container"))

    def webhooks(self) -> Webhooks:
        # Where nothing was written, the namespace was only thought of.
        thought = {NAMESPACE_LABEL: "enabled"} if self.access.read_only else None
        return Webhooks(self.kube("webhooks"), self.rows("webhooks"), self.labelled, thought)

    def admission(self) -> Admission:
        return Admission(self.kube("webhooks"), self.rows("webhooks"), self.labelled)

    def gateway(self, moment: str = "gateway") -> Gateway:
        mesh, path = self.control_plane(moment), access_path(self.access, self.cluster())
        return Gateway(mesh.kube, mesh.expected, path, mesh, host=self.host)

    def client(self) -> Client:
        return Client(self.gateway())

    def api_gateway(self) -> ApiGateway:
        path = setup_gateway_api._access_path(self.access, self.cluster())
        return ApiGateway(self.kube("gateway"), self.rows("gateway"), path)

    def api_client(self) -> Client:
        return Client(self.api_gateway())

    def addons(self) -> Addons:
        return Addons(self.kube("addons"), self.rows("addons"), MESH)

    def workloads(self) -> Workloads:
        return Workloads(self.control_plane("workloads"))

    def fleet(self) -> Fleet:
        return Fleet(self.control_plane("workloads"))

    def gateways(self) -> Gateways:
        return Gateways(self.kube("gateways"))

    def credentials(self) -> Credentials:
        return Credentials(self.kube("gateways"))

    def api_gateways(self) -> ApiGateways:
        return ApiGateways(self.kube("gateways"), self.access.istio_version)

    def ambient(self) -> Ambient:
        return Ambient(self.kube("ambient"))

    def ztunnels(self) -> Ztunnels:
        return Ztunnels(self._cluster(self.kube("ambient")), self.ambient())

    def configuration(self) -> Configuration:
        return Configuration(self.kube("workloads"), revision=self.access.revision)

    def waypoints(self) -> Waypoints:
        return Waypoints(self.kube("ambient"))

    def restarted(self) -> Restarted:
        then = self.injected_sample("before restart"), self.control_plane("before restart")
        old = frozenset(pod.uid for pod in pods_of_both(*then))
        sample, gateway = self.injected_sample("restart"), self.gateway("restart")
        gone = Termination(sample.kube, (SAMPLE, MESH), old, since="the restart")
        return Restarted(sample, gateway, old, gone, Availability(requests=()))


def access_of(istio: str, kube: str, **known: Any) -> Access:
    """What a provider knows of a cluster that nobody can reach any more."""
    known = {"evidence": "conformance", "provider": "recorded", **known}
    return Access(
        Path(),
        "",
        known.pop("node_address", None),
        istio_version=istio,
        kube_version=kube,
        **known,
    )
