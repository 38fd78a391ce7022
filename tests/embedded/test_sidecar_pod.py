"""A sidecar's agent from its start to its end, with a real Envoy and an API in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fixtures.providers.embedded.addresses import Block
from fixtures.providers.embedded.apiserver.api import Api
from fixtures.providers.embedded.apiserver.node import ContainerLog
from fixtures.providers.embedded.dataplane import faults
from fixtures.providers.embedded.dataplane.agent import Sidecar
from fixtures.providers.embedded.dataplane.envoy import find_envoy
from fixtures.providers.embedded.hooks import Hooks
from fixtures.providers.embedded.istio.installation import installation
from fixtures.providers.embedded.istio.pilot import ca_secret, make_ca, syncz
from fixtures.providers.embedded.workloads.container_context import (
    ClusterContext,
    ContainerContext,
)

Body = dict[str, Any]
PORT = 9080
NAMESPACE = "shop"
PROBES = {"/app-health/app/readyz": {"httpGet": {"path": "/well", "port": PORT}}}
SCRAPED = {"scrape": "true", "path": "/own", "port": str(PORT)}
ENV = {
    "ISTIO_KUBE_APP_PROBERS": json.dumps(PROBES),
    "ISTIO_PROMETHEUS_ANNOTATIONS": json.dumps(SCRAPED),
}


@pytest.fixture
def block() -> Iterator[Block]:
    with closing(Block.claim()) as claimed:
        yield claimed


class Pod:
    """A pod with a sidecar, its application, and what they stand in."""

    def __init__(self, block: Block, folder: Path, app: str = "app") -> None:
        self.api, self.log, self.address = Api(), ContainerLog(), block.pods.take()
        self.hooks = Hooks(faults.HOOKS)
        self.cluster = ClusterContext(
            self.api,
            block,
            folder,
            find_envoy(),
            installation("1.29.6"),
            "1.34.4",
            "node",
            hooks=self.hooks,
        )
        self.container = {
            "name": "istio-proxy",
            "image": "istio/proxyv2:1.29.6",
            "args": ["proxy", "sidecar"],
            "env": [{"name": name, "value": value} for name, value in ENV.items()],
        }
        self.body: Body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "app-1", "namespace": NAMESPACE, "labels": {"app": app}},
            "spec": {
                "containers": [
                    {"name": "app", "image": "app:1", "ports": [{"containerPort": PORT}]},
                    self.container,
                ]
            },
        }

    async def make(self) -> None:
        """Store the pod and the mesh's authority, and have its application listen."""
        for namespace in (NAMESPACE, "istio-system"):
            await self.api.create("namespaces", {"metadata": {"name": namespace}})
        mesh = {"metadata": {"name": "istio"}, "data": {"mesh": "accessLogFile: /dev/stdout"}}
        await self.api.create("configmaps", mesh, "istio-system")
        account = {"metadata": {"name": "default"}}
        await self.api.create("serviceaccounts", account, NAMESPACE)
        secret = ca_secret(make_ca(), "istio-ca-secret", "istio-system")
        await self.api.create("secrets", secret, "istio-system")
        self.body = await self.api.create("pods", self.body, NAMESPACE)
        self.context = ContainerContext(
            self.body, self.container, self.address, self.log, self.cluster
        )

    @asynccontextmanager
    async def application(self) -> AsyncIterator[None]:
        app = web.Application()
        for path, text in (("/well", "well"), ("/own", "own_metric 1\n"), ("/", "page")):
            app.router.add_get(path, _saying(text))
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, self.context.listens_at(PORT), PORT).start()
        try:
            yield
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Sidecar]:
        workload = Sidecar(self.context)
        await workload.start()
        try:
            async with asyncio.timeout(30):
                yield workload
        finally:
            await workload.stop()

    async def says(self, words: str) -> str:
        async for line in self.log.follow():
            if words in line.text:
                return line.text
        raise AssertionError(words)

    async def get(self, port: int, path: str, at: str = "") -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{at or self.address}:{port}{path}") as reply,
        ):
            return reply.status, await reply.text()


def _saying(text: str) -> Any:
    async def say(_: web.Request) -> web.Response:
        return web.Response(text=text)

    return say


def test_it_is_not_ready_before_an_istiod_runs(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        pod = Pod(block, tmp_path)
        await pod.make()
        async with pod.started():
            await pod.says("Envoy proxy is NOT ready")
            assert (await pod.get(15020, "/healthz/ready"))[0] == 503
            with pytest.raises(aiohttp.ClientConnectorError):
                await pod.get(15021, "/healthz/ready")
            pod.cluster.pilots.arrive("istiod-1")
            await pod.says("Envoy proxy is ready")
            assert [(await pod.get(one, "/healthz/ready"))[0] for one in (15020, 15021)] == [
                200
            ] * 2
        for port in (15020, 15021, 15006):
            with pytest.raises(aiohttp.ClientConnectorError):
                await pod.get(port, "/healthz/ready")

    asyncio.run(scenario())


def test_its_ports_answer_of_what_envoy_carried_and_of_the_application(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        pod = Pod(block, tmp_path)
        await pod.make()
        pod.cluster.pilots.arrive("istiod-1")
        async with pod.started(), pod.application():
            await pod.says("Envoy proxy is ready")
            assert await pod.get(15020, "/app-health/app/readyz") == (200, "")
            assert (await pod.get(15020, "/app-health/app/livez"))[0] == 404
            assert await pod.get(PORT, "/") == (200, "page")
            line = await pod.says('"GET / HTTP/1.1" 200')
            assert f'"{pod.address}:{PORT}" inbound|{PORT}|| 127.0.0.6:' in line
            # Each line is followed by the one that is counted: after the next it has been.
            assert await pod.get(PORT, "/?next") == (200, "page")
            await pod.says('"GET /?next HTTP/1.1" 200')
            _, merged = await pod.get(15020, "/stats/prometheus")
            _, own = await pod.get(15090, "/stats/prometheus")
            counted = [
                one for one in merged.splitlines() if one.startswith("istio_requests_total")
            ]
            assert len(counted) == 1
            for label in (
                'reporter="destination"',
                'source_workload="unknown"',
                'destination_workload="app-1"',
                'destination_workload_namespace="shop"',
                'response_code="200"',
                'connection_security_policy="none"',
            ):
                assert label in counted[0]
            assert counted[0].endswith((" 1", " 2"))
            assert "envoy_server_live" in merged
            assert "own_metric 1" in merged
            assert counted[0].rpartition(" ")[0] in own
            assert "own_metric" not in own
            assert (
                "virtualInbound" in (await pod.get(15000, "/listeners", pod.context.localhost))[1]
            )
            with pytest.raises(aiohttp.ClientConnectorError):
                await pod.get(15000, "/listeners")

    asyncio.run(scenario())


def test_istiods_page_tells_what_it_took(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        pod = Pod(block, tmp_path)
        await pod.make()
        of = pod.cluster.istio

        def listed() -> list[Body]:
            return syncz(pod.cluster, of, of.words["rev"])

        assert listed() == []
        pod.cluster.pilots.arrive("istiod-1")
        async with pod.started() as workload:
            await pod.says("Envoy proxy is ready")
            (entry,) = listed()
            assert (entry["proxy"], entry["proxy_type"]) == ("app-1.shop", "sidecar")
            assert entry["listener_sent"] == entry["listener_acked"]
            kinds = {key.rpartition(".")[2] for key in entry["resources"]}
            assert {"Cluster", "Listener", "ClusterLoadAssignment"} <= kinds
            discovery = workload._envoy.discovery
            discovery.hold(on=True)
            taken = discovery.offer("clusters", "[]")
            assert taken
            (entry,) = listed()
            assert entry["cluster_sent"] != entry["cluster_acked"]
            discovery.hold(on=False)
            assert await taken
            (entry,) = listed()
            assert entry["cluster_sent"] == entry["cluster_acked"]
        assert listed() == []

    asyncio.run(scenario())


def test_the_end_of_its_envoy_is_its_end(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        pod = Pod(block, tmp_path)
        await pod.make()
        pod.cluster.pilots.arrive("istiod-1")
        async with pod.started() as workload:
            await pod.says("Envoy proxy is ready")
            assert workload._envoy._process
            workload._envoy._process.kill()
            assert await workload.exited != 0

    asyncio.run(scenario())


def test_one_that_refuses_its_configuration_keeps_what_it_has(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        pod = Pod(block, tmp_path, "ratings")
        await pod.make()
        of = pod.cluster.istio
        pod.cluster.pilots.arrive("istiod-1")
        async with pod.started(), pod.application():
            await pod.says("Envoy proxy is ready")
            pod.hooks.set(faults.REJECTING)
            await pod.says("rejected its configuration")
            (entry,) = syncz(pod.cluster, of, of.words["rev"])
            assert entry["listener_sent"] != entry["listener_acked"]
            assert entry["cluster_sent"] == entry["cluster_acked"]
            assert await pod.get(PORT, "/") == (200, "page")

    asyncio.run(scenario())


def test_one_that_is_killed_ends_its_container(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        pod = Pod(block, tmp_path, "ratings")
        await pod.make()
        pod.cluster.pilots.arrive("istiod-1")
        async with pod.started() as workload:
            await pod.says("Envoy proxy is ready")
            pod.hooks.set(faults.KILLED)
            assert await workload.exited != 0

    asyncio.run(scenario())
