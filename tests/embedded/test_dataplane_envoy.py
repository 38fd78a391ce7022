"""A real Envoy: started, changed, misled, killed; and the gateway's agent around one."""

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fixtures.providers.embedded.addresses import Block
from fixtures.providers.embedded.dataplane.envoy import Config, Envoy, EnvoyFailed, Seat
from fixtures.providers.embedded.dataplane.gateway_config import for_gateway
from fixtures.providers.embedded.dataplane.mesh import Mesh, Proxy
from fixtures.providers.embedded.dataplane.pieces import prefix_listener
from fixtures.providers.embedded.dataplane.telemetry import MARK
from tests.golden import Golden

Body = dict[str, Any]
LABELS = {"istio": "ingressgateway"}
PAGE = "outbound|9080||productpage.bookinfons.svc.cluster.local"


@pytest.fixture
def block() -> Iterator[Block]:
    with closing(Block.claim()) as claimed:
        yield claimed


class Listener:
    """Where an Envoy under test says things."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.counted: list[str] = []
        self._news = asyncio.Event()

    def __call__(self, line: str) -> None:
        (self.counted if line.startswith(MARK) else self.printed).append(line)
        self._news.set()

    async def hears(self, pattern: str) -> str:
        async with asyncio.timeout(10):
            while True:
                for line in self.printed:
                    if re.search(pattern, line):
                        return line
                self._news.clear()
                await self._news.wait()


class Running(Envoy):
    """An Envoy whose listeners say what it answers."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.output, self.trouble = Listener(), Listener()
        super().__init__(
            folder, name="under-test", output=self.output, trouble=self.trouble, **options
        )


@asynccontextmanager
async def running(folder: Path, config: Config, source: str = "") -> AsyncIterator[Running]:
    envoy = Running(folder, seat=Seat(source))
    await envoy.start(config)
    try:
        yield envoy
    finally:
        await envoy.stop()


def answering(address: str, *ports: int, status: int = 200) -> Config:
    return Config(
        listeners=[
            prefix_listener(address, port, "/", direct_response={"status": status})
            for port in ports
        ]
    )


async def request(address: str, port: int, path: str = "/") -> tuple[int, str, dict[str, str]]:
    # No pooling: each question finds the listener that is there now.
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
        session.get(f"http://{address}:{port}{path}", allow_redirects=False) as reply,
    ):
        return reply.status, await reply.text(), dict(reply.headers)


@asynccontextmanager
async def application(address: str) -> AsyncIterator[None]:
    """The pod behind the gateway, on port 9080."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="a page")

    app = web.Application()
    app.router.add_get("/productpage", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, address, 9080).start()
    try:
        yield
    finally:
        await runner.cleanup()


def mesh(*pods: str, host: str = "productpage", gateways: int = 1) -> Mesh:
    rule = {
        "match": [{"uri": {"exact": "/productpage"}}, {"uri": {"prefix": "/login"}}],
        "route": [{"destination": {"host": host, "port": {"number": 9080}}}],
    }
    metadata = {"name": "bookinfo", "namespace": "bookinfons"}
    server = {"port": {"number": 8080, "protocol": "HTTP"}, "hosts": ["*"]}
    return Mesh(
        gateways=[{"metadata": metadata, "spec": {"selector": LABELS, "servers": [server]}}]
        * gateways,
        virtual_services=[
            {
                "metadata": metadata,
                "spec": {"hosts": ["*"], "gateways": ["bookinfo"], "http": [rule]},
            }
        ],
        services=[
            {
                "metadata": metadata | {"name": "productpage"},
                "spec": {"ports": [{"name": "http", "port": 9080, "protocol": "TCP"}]},
            }
        ],
        slices=[
            {
                "metadata": metadata | {"labels": {"kubernetes.io/service-name": "productpage"}},
                "ports": [{"name": "http", "port": 9080}],
                "endpoints": [{"addresses": [pod], "conditions": {"ready": True}} for pod in pods],
            }
        ],
    )


def test_it_listens_when_started_and_a_change_holds_when_applied(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        address = block.pods.take()
        async with running(tmp_path, answering(address, 8080)) as envoy:
            assert (await request(address, 8080))[0] == 200
            await envoy.apply(answering(address, 8080, 8081, status=204))
            assert [(await request(address, port))[0] for port in (8080, 8081)] == [204, 204]
            await envoy.apply(answering(address, 8081))
            with pytest.raises(aiohttp.ClientConnectorError):
                await request(address, 8080)
            assert envoy.trouble.printed == []

    asyncio.run(scenario())


def test_a_refused_configuration_is_reported_in_one_line_and_the_old_one_stays(
    tmp_path: Path, block: Block, golden: Golden
) -> None:
    async def scenario() -> None:
        address = block.pods.take()
        async with running(tmp_path, answering(address, 8080)) as envoy:
            foreign = answering("192.0.2.1", 8080).listeners[0] | {"name": "foreign"}
            await envoy.apply(Config(listeners=[*answering(address, 8080).listeners, foreign]))
            (line,) = envoy.trouble.printed
            golden(line)
            assert (await request(address, 8080))[0] == 200

    asyncio.run(scenario())


def test_a_bootstrap_it_does_not_take_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        envoy = Running(tmp_path, static={"nonsense": 1})
        with pytest.raises(EnvoyFailed, match=r"Envoy under-test ended: .*no\s+such\s+field"):
            await envoy.start(Config())

    asyncio.run(scenario())


def test_a_crash_is_noticed_and_stopping_ends_it_at_once(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        async with running(tmp_path, Config()) as envoy:
            assert envoy._process
            envoy._process.kill()
            assert await asyncio.wait_for(envoy.exited, 10) == -signal.SIGKILL
            assert not envoy.running
        address = block.pods.take()
        async with running(tmp_path, answering(address, 8080)) as envoy:
            pass
        assert envoy.exited.result() == 0
        with pytest.raises(aiohttp.ClientConnectorError):
            await request(address, 8080)

    asyncio.run(scenario())


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    child = f"""
import asyncio, os, pathlib
from fixtures.providers.embedded.dataplane.envoy import Config, Envoy
async def main():
    envoy = Envoy(pathlib.Path({str(tmp_path)!r}), name="orphan", output=print, trouble=print)
    await envoy.start(Config())
    print(envoy._process.pid, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    code = [sys.executable, "-c", child]
    reported = subprocess.run(code, stdout=subprocess.PIPE, timeout=30, check=False, text=True)
    try:
        orphan = os.pidfd_open(int(reported.stdout))
    except ProcessLookupError:
        return  # gone already
    with os.fdopen(orphan) as ended:
        assert select.select([ended], [], [], 10)[0], "Envoy outlived its parent"


def test_a_gateways_answers_and_log_lines_are_those_of_a_real_one(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        pod, address = block.pods.take(), block.pods.take()
        proxy = Proxy("istio-system", LABELS, address)

        def reported(**about: Any) -> Config:
            return for_gateway(mesh(pod, **about), proxy).config

        async with application(pod), running(tmp_path, reported(), address) as envoy:
            status, text, headers = await request(address, 8080, "/productpage?u=1")
            assert (status, text, headers["Server"]) == (200, "a page", "istio-envoy")
            assert "x-envoy-upstream-service-time" in headers
            line = await envoy.output.hears(r"u=1")
            assert re.fullmatch(
                r'\[\S+Z\] "GET /productpage\?u=1 HTTP/1.1" 200 - via_upstream - "-" 0 6 \d+ \d+ '
                rf'"\S+" "[^"]+" "[0-9a-f-]{{36}}" "{address}:8080" "{pod}:9080" {re.escape(PAGE)}'
                rf" {address}:\d+ {address}:8080 \S+:\d+ - -",
                line,
            )
            # The application's own 404 carries the header (L13), the gateway's does not (L12).
            assert "x-envoy-upstream-service-time" in (await request(address, 8080, "/login"))[2]
            status, text, headers = await request(address, 8080, "/health")
            assert (status, text) == (404, "")
            assert "x-envoy-upstream-service-time" not in headers
            await envoy.output.hears(r'"GET /health HTTP/1.1" 404 NR route_not_found ')

            await envoy.apply(reported(host="nowhere"))
            assert (await request(address, 8080, "/productpage?u=2"))[:2] == (503, "")
            await envoy.output.hears(r'u=2 HTTP/1.1" 503 NC cluster_not_found .* "-" - - ')

            await envoy.apply(for_gateway(mesh(), proxy).config)
            reply = await request(address, 8080, "/productpage?u=3")
            assert reply[:2] == (503, "no healthy upstream")
            await envoy.output.hears(r'u=3 HTTP/1.1" 503 UH no_healthy_upstream ')

            await envoy.apply(reported(gateways=0))
            with pytest.raises(aiohttp.ClientConnectorError):
                await request(address, 8080, "/productpage")
            assert envoy.trouble.printed == []

    asyncio.run(scenario())


def test_an_open_connection_survives_a_change_of_routes_and_endpoints(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        first, second, address = (block.pods.take() for _ in range(3))
        proxy = Proxy("istio-system", LABELS, address)
        config = for_gateway(mesh(first), proxy).config
        async with (
            application(first),
            application(second),
            running(tmp_path, config) as envoy,
            aiohttp.ClientSession() as session,
        ):
            clients = []
            for pod in (first, second):
                await envoy.apply(for_gateway(mesh(pod), proxy).config)
                async with session.get(f"http://{address}:8080/productpage") as reply:
                    assert reply.status == 200
                line = await envoy.output.hears(rf'"{pod}:9080"')
                clients.append(line.split()[-3])
            assert clients[0] == clients[1], "the client had to connect again"

    asyncio.run(scenario())
