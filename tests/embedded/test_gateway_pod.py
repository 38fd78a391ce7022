"""A gateway's pod from its start to its end, with a real Envoy and an API in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fixtures.providers.embedded.addresses import Block
from fixtures.providers.embedded.apiserver.api import Api
from fixtures.providers.embedded.apiserver.node import ContainerLog
from fixtures.providers.embedded.dataplane.agent import Gateway
from fixtures.providers.embedded.dataplane.envoy import find_envoy
from fixtures.providers.embedded.istio import install as crds
from fixtures.providers.embedded.istio.installation import installation
from fixtures.providers.embedded.workloads.container_context import (
    ClusterContext,
    ContainerContext,
)

Body = dict[str, Any]
DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
GATEWAYS = "gateways.networking.istio.io"


@pytest.fixture
def block() -> Iterator[Block]:
    with closing(Block.claim()) as claimed:
        yield claimed


class Pod:
    """A gateway's pod and what it stands in."""

    def __init__(self, block: Block, folder: Path) -> None:
        self.api, self.log, self.address = Api(), ContainerLog(), block.pods.take()
        self.cluster = ClusterContext(
            api=self.api,
            block=block,
            folder=folder,
            envoy=find_envoy(),
            istio=installation("1.29.6"),
            kube_version="1.34.4",
            node_name="node",
        )
        metadata = {
            "name": "istio-ingressgateway-1",
            "namespace": "istio-system",
            "uid": "0123456789",
            "labels": {"istio": "ingressgateway"},
        }
        self.context = ContainerContext(
            {"metadata": metadata}, {}, self.address, self.log, self.cluster
        )
        self.workload = Gateway(self.context)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Gateway]:
        await self.workload.start()
        try:
            async with asyncio.timeout(30):
                yield self.workload
        finally:
            await self.workload.stop()

    async def install(self) -> None:
        await self.api.create("namespaces", BOOKINFONS)
        for body in crds.definitions(installation("1.29.6"), {}):
            await self.api.create(DEFINITIONS, body)

    async def says(self, words: str) -> None:
        async for line in self.log.follow():
            if words in line.text:
                return

    async def reported(self) -> None:
        """Wait until the gateway has taken a configuration."""
        await self.cluster.doors.wait()
        self.cluster.doors.clear()

    async def status(self, port: int, path: str) -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.address}:{port}{path}") as reply,
        ):
            await reply.read()
            return reply.status


BOOKINFONS: Body = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "bookinfons"},
}
GATEWAY: Body = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "bookinfo-gateway", "namespace": "bookinfons"},
    "spec": {
        "selector": {"istio": "ingressgateway"},
        "servers": [
            {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
            {
                "port": {"number": 8443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["*"],
                "tls": {"mode": "AUTO_PASSTHROUGH"},
            },
        ],
    },
}


def test_it_is_not_ready_before_an_istiod_runs(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        pod = Pod(block, tmp_path)
        async with pod.started():
            await pod.says("Envoy proxy is NOT ready")
            with pytest.raises(aiohttp.ClientConnectorError):
                await pod.status(15021, "/healthz/ready")
            pod.cluster.pilots.arrive("istiod-1")
            await pod.says("Envoy proxy is ready")
            assert await pod.status(15021, "/healthz/ready") == 200
            assert await pod.status(15090, "/stats/prometheus") == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await pod.status(15021, "/healthz/ready")

    asyncio.run(scenario())


def test_it_follows_the_api_only_while_an_istiod_runs(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        pod = Pod(block, tmp_path)
        await pod.install()
        pod.cluster.pilots.arrive("istiod-1")
        async with pod.started():
            await pod.reported()
            with pytest.raises(aiohttp.ClientConnectorError):
                await pod.status(8080, "/")

            await pod.api.create(GATEWAYS, GATEWAY, "bookinfons")
            await pod.reported()
            assert await pod.status(8080, "/") == 404
            await pod.says(
                "skipped: bookinfons/bookinfo-gateway: HTTPS server on port 8443 passes"
            )

            pod.cluster.pilots.leave("istiod-1")
            await pod.api.delete(GATEWAYS, "bookinfo-gateway", "bookinfons")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pod.reported(), 0.3)
            assert await pod.status(8080, "/") == 404

            pod.cluster.pilots.arrive("istiod-2")
            await pod.reported()
            with pytest.raises(aiohttp.ClientConnectorError):
                await pod.status(8080, "/")

    asyncio.run(scenario())


def in_sync(workload: Gateway) -> bool:
    """Whether its Envoy took all that was made for it."""
    state = workload._envoy.discovery.state("listeners")
    return state is not None and state.sent == state.acked


def test_an_object_that_makes_no_sense_leaves_it_as_it_was(tmp_path: Path, block: Block) -> None:
    nonsense: Body = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "nonsense", "namespace": "bookinfons"},
        "spec": {
            "hosts": ["*"],
            "gateways": ["bookinfo-gateway"],
            "http": [{"directResponse": {"body": {}}}],
        },
    }

    async def scenario() -> None:
        pod = Pod(block, tmp_path)
        await pod.install()
        pod.cluster.pilots.arrive("istiod-1")
        await pod.api.create(GATEWAYS, GATEWAY, "bookinfons")
        async with pod.started() as workload:
            await pod.reported()
            assert await pod.status(8080, "/") == 404
            assert in_sync(workload)
            await pod.api.create("virtualservices.networking.istio.io", nonsense, "bookinfons")
            await pod.says("no new configuration, VirtualService bookinfons/nonsense is not")
            assert await pod.status(8080, "/") == 404
            assert not in_sync(workload)
            await pod.api.delete("virtualservices.networking.istio.io", "nonsense", "bookinfons")
            await pod.reported()
            assert in_sync(workload)

    asyncio.run(scenario())


def test_the_end_of_its_envoy_is_its_end(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        pod = Pod(block, tmp_path)
        pod.cluster.pilots.arrive("istiod-1")
        async with pod.started() as workload:
            await pod.reported()
            assert workload._envoy._process
            workload._envoy._process.kill()
            assert await workload.exited != 0
            await pod.says("Epoch 0 exited with error")

    asyncio.run(scenario())
