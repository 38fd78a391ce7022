"""Services really lead to their endpoints, and to nothing where there are none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from fixtures.providers.embedded.addresses import Block
from fixtures.providers.embedded.apiserver.api import Api
from fixtures.providers.embedded.dataplane import kubeproxy
from fixtures.providers.embedded.dataplane.envoy import EnvoyFailed
from fixtures.providers.embedded.dataplane.kubeproxy import KubeProxy, service_config

Body = dict[str, Any]
PORT = 9080
SLICES = "endpointslices.discovery.k8s.io"


@pytest.fixture
def block() -> Iterator[Block]:
    with closing(Block.claim()) as claimed:
        yield claimed


@asynccontextmanager
async def pod(address: str) -> AsyncIterator[None]:
    """Somebody who says his address to whoever connects."""

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(address.encode())
        writer.close()

    async with await asyncio.start_server(say, address, PORT):
        yield


def service(address: str, *, port: int = PORT, **spec: Any) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "default"},
        "spec": {
            "type": "NodePort",
            "clusterIP": address,
            "ports": [{"name": "http", "port": port, "targetPort": PORT, "nodePort": 30000}],
            **spec,
        },
    }


def slice_of(*addresses: str, ready: bool = True) -> Body:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "s-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "s"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": ready}} for address in addresses
        ],
    }


class Reported(KubeProxy):
    """A kube-proxy that says when it has looked."""

    def __init__(self, *context: Any, **options: Any) -> None:
        super().__init__(*context, **options)
        self.looked = asyncio.Event()

    async def refresh(self) -> None:
        await super().refresh()
        self.looked.set()


class Node:
    """A kube-proxy with an API in memory, in which a Service `s` is at `address`."""

    def __init__(self, block: Block, folder: Path) -> None:
        self.api, self.address, self.node = Api(), block.service(40), block.node
        self.doors, self.log = asyncio.Event(), list[str]()
        self.proxy = Reported(self.api, block.node, folder, doors=self.doors, log=self.log.append)

    @asynccontextmanager
    async def started(self, **spec: Any) -> AsyncIterator[KubeProxy]:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
        await self.api.create("namespaces", namespace)
        await self.api.create("services", service(self.address, **spec), "default")
        await self.api.create(SLICES, slice_of(), "default")
        await self.proxy.start()
        try:
            yield self.proxy
        finally:
            await self.proxy.stop()

    async def endpoints(self, *addresses: str, ready: bool = True) -> None:
        await self.api.update(SLICES, slice_of(*addresses, ready=ready))
        await self.proxy.refresh()

    async def answers(self, address: str = "", port: int = PORT) -> set[str]:
        """Who answers; nobody if connections are refused, or reset by a door that just closed."""
        try:
            return {await hear(address or self.address, port) for _ in range(4)}
        except (ConnectionRefusedError, ConnectionResetError):
            return set()


async def hear(address: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(address, port)
    message = await reader.read()
    writer.close()
    return message.decode()


def test_a_service_answers_at_its_own_address_and_at_the_node(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        node, one, two = Node(block, tmp_path), block.pods.take(), block.pods.take()
        async with pod(one), pod(two), node.started():
            await node.endpoints(one, two)
            assert await node.answers() == {one, two}
            assert await node.answers(block.node, 30000) == {one, two}
            await node.endpoints(two)
            assert await node.answers() == {two}
            await node.endpoints(two, ready=False)
            assert await node.answers() == set()
            assert await node.answers(block.node, 30000) == set()
        assert node.log == []

    asyncio.run(scenario())


def test_it_follows_the_api_and_the_doors(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        node, one = Node(block, tmp_path), block.pods.take()
        async with node.started() as proxy, asyncio.timeout(10):
            running = asyncio.create_task(proxy.run())
            looked = node.proxy.looked
            await looked.wait()

            looked.clear()
            await node.api.update(SLICES, slice_of(one))
            await looked.wait()
            assert await node.answers() == set(), "nobody listens there yet"

            async with pod(one):
                looked.clear()
                node.doors.set()
                await looked.wait()
                assert await node.answers() == {one}

            running.cancel()

    asyncio.run(scenario())


def test_the_end_of_its_envoy_is_an_error(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        node = Node(block, tmp_path)
        async with node.started() as proxy, asyncio.timeout(10):
            running = asyncio.create_task(proxy.run())
            await node.proxy.looked.wait()
            assert proxy._envoy._process
            proxy._envoy._process.kill()
            with pytest.raises(EnvoyFailed, match="kube-proxy's Envoy ended"):
                await running

    asyncio.run(scenario())


def test_an_open_connection_survives_a_change_of_endpoints(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        node, one, two = Node(block, tmp_path), block.pods.take(), block.pods.take()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                writer.write(line)
            writer.close()

        async with await asyncio.start_server(echo, one, PORT), pod(two), node.started():
            await node.endpoints(one)
            reader, writer = await asyncio.open_connection(node.address, PORT)
            writer.write(b"before\n")
            assert await reader.readline() == b"before\n"
            await node.endpoints(two)
            assert await node.answers() == {two}
            writer.write(b"after\n")
            assert await asyncio.wait_for(reader.readline(), 10) == b"after\n"
            writer.close()

    asyncio.run(scenario())


def test_ports_this_user_may_not_bind_are_skipped_and_that_is_reported_once(
    tmp_path: Path, block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeproxy, "lowest_port", lambda: 1024)

    async def scenario() -> None:
        node, one = Node(block, tmp_path), block.pods.take()
        async with pod(one), node.started(port=80):
            await node.endpoints(one)
            assert await node.answers(block.node, 30000) == {one}
            assert await node.answers(port=80) == set()
            await node.proxy.refresh()
        assert node.log == ["no ClusterIP below port 1024: this user may not bind one there"]

    asyncio.run(scenario())


def test_headless_services_have_no_listener() -> None:
    reported = service_config(
        [service("None", type="ClusterIP", ports=[{"name": "http", "port": PORT}])],
        [slice_of("10.0.0.1")],
        node="10.0.0.9",
        listening={("10.0.0.1", PORT)},
    )
    assert reported.listeners == []
