"""A cluster in this process: API, controllers and kubelet, without HTTPS and without Envoy."""

from __future__ import annotations

import asyncio
import functools
import json
import string
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec

import yaml

from fixtures.providers.embedded import bootstrap
from fixtures.providers.embedded.addresses import Block
from fixtures.providers.embedded.apiserver.api import Api
from fixtures.providers.embedded.controllers.daemonsets import DaemonSets
from fixtures.providers.embedded.controllers.deployments import Deployments
from fixtures.providers.embedded.controllers.endpoints import Endpoints
from fixtures.providers.embedded.controllers.garbage import GarbageCollector
from fixtures.providers.embedded.controllers.kubelet import Kubelet
from fixtures.providers.embedded.controllers.namespaces import Namespaces
from fixtures.providers.embedded.controllers.replicasets import ReplicaSets
from fixtures.providers.embedded.dataplane.mesh import Mesh
from fixtures.providers.embedded.istio.installation import installation
from fixtures.providers.embedded.workloads.container_context import ClusterContext
from tests.recordings import ISTIO_1_29, state_of

Body = dict[str, Any]
P = ParamSpec("P")

ROOT = Path(__file__).parents[2]
NAMESPACE = "sample"
PATIENCE = 10
IMAGE = "docker.io/istio/examples-bookinfo-{}:1.20.3"


def in_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test that waits."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def within_patience() -> None:
            async with asyncio.timeout(PATIENCE):
                await test(*args, **kwargs)

        asyncio.run(within_patience())

    return run


class Small:
    """The cluster, and a user's few gestures."""

    def __init__(self, cluster: ClusterContext, kubelet: Kubelet) -> None:
        self.cluster, self.kubelet, self.api = cluster, kubelet, cluster.api

    async def apply(self, *bodies: Body) -> None:
        """Make objects in the sample's namespace."""
        for body in bodies:
            info = self.api.registry.of_kind(body["apiVersion"], body["kind"])
            assert info
            await self.api.create(info.key, body, NAMESPACE)

    async def until(self, true: Callable[[], Any]) -> Any:
        """Wait until something is true, looking again after each event."""
        kinds = (
            "pods",
            "replicasets.apps",
            "deployments.apps",
            "daemonsets.apps",
            "namespaces",
            "endpoints",
            "events",
        )
        with self.api.watch(*kinds, "endpointslices.discovery.k8s.io") as events:
            while not (found := true()):
                await events.get()
        return found

    def pods(self, labels: str = "") -> list[Body]:
        """The sample's pods."""
        return self.api.list("pods", NAMESPACE, labels=labels)

    def ready_pods(self, labels: str = "") -> list[Body]:
        """Those that are ready and not on their way out."""
        return [
            pod
            for pod in self.pods(labels)
            if any(
                one["type"] == "Ready" and one["status"] == "True"
                for one in pod["status"].get("conditions", ())
            )
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def reason(self, pod: Body) -> str:
        """Why its first container waits."""
        found = (self.api.get("pods", pod["metadata"]["name"], NAMESPACE)).get("status", {})
        statuses = found.get("containerStatuses") or [{"state": {}}]
        return str(statuses[0]["state"].get("waiting", {}).get("reason", ""))

    def events(self, reason: str) -> list[str]:
        """The events of a reason in the sample's namespace."""
        reported = self.api.list("events", NAMESPACE)
        return [one["message"] for one in reported if one["reason"] == reason]


@asynccontextmanager
async def small(folder: Path, *, termination: float = 0.01) -> AsyncIterator[Small]:
    """A cluster with its node and the sample's namespace."""
    block = Block.claim()
    cluster = ClusterContext(
        api=Api(service_network=block.service_network),
        block=block,
        folder=folder,
        envoy=Path("/nonexistent"),
        istio=installation("1.29.6"),
        kube_version="1.34.4",
        node_name="seatrial-control-plane",
        termination=termination,
    )
    api, kubelet = cluster.api, Kubelet(cluster)
    await bootstrap.make(cluster, 6443)
    parts = (
        *(Deployments(api), ReplicaSets(api), Endpoints(api), Namespaces(api, "root")),
        *(DaemonSets(api), GarbageCollector(api), kubelet),
    )
    tasks = [asyncio.create_task(one.run()) for one in parts]
    home = Small(cluster, kubelet)
    try:
        await api.create("namespaces", {"metadata": {"name": NAMESPACE}})
        await home.until(lambda: api.find("serviceaccounts", "default", NAMESPACE))
        yield home
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        block.close()
    assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended


class Nameless(ClusterContext):
    """ClusterContext without Services: names are looked up in a table."""

    table: dict[str, str] = {}  # noqa: RUF012 - filled by the test that made it

    def resolve(self, host: str, namespace: str) -> str:
        """The table's address."""
        if host not in self.table:
            raise OSError("Name or service not known")
        return self.table[host]


def nameless(cluster: ClusterContext, table: dict[str, str]) -> ClusterContext:
    """The same cluster context with a table of names."""
    made = Nameless(**vars(replace(cluster)))
    object.__setattr__(made, "table", table)
    return made


def sample() -> list[Body]:
    """The plain sample's objects, as the suite applies them."""
    text = (ROOT / "fixtures" / "manifests" / "bookinfo.yaml").read_text("utf-8")
    filled = string.Template(text).substitute(
        IMAGE_PREFIX="docker.io/istio/examples-bookinfo-", IMAGE_TAG="1.20.3"
    )
    return [one for one in yaml.load_all(filled, yaml.CSafeLoader) if one]


def of(app: str) -> list[Body]:
    """The sample's objects of one service."""
    return [one for one in sample() if app in one["metadata"]["name"]]


def pod(name: str, *containers: Body, **spec: Any) -> Body:
    """A pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": list(containers), **spec},
    }


def recorded(stream: str, prefix: str) -> Iterator[Body]:
    """What a real cluster's watch reported of the objects whose names begin so."""
    for line in ISTIO_1_29.text(f"watch/{stream}.jsonl").splitlines():
        event = json.loads(line)
        if event["object"]["metadata"]["name"].startswith(prefix):
            yield event


def recorded_mesh() -> Mesh:
    """What a data plane is made of: a real cluster with the sample behind its gateway."""
    objects = state_of("7-gateway")

    def all_of(kind: str) -> list[Body]:
        (found,) = [value for key, value in objects.items() if key.endswith(f"/{kind}")]
        return list(found["items"] if isinstance(found, dict) else found)

    return Mesh(
        gateways=all_of("gateways"),
        virtual_services=all_of("virtualservices"),
        services=all_of("services"),
        slices=all_of("endpointslices"),
        pods={
            (one["metadata"]["namespace"], one["metadata"]["name"]): one for one in all_of("pods")
        },
    )
