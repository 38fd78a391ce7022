"""Two pods with sidecars, and one without: what passes between them, by real Envoys."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fixtures.providers.embedded.addresses import Block, localhost_of
from fixtures.providers.embedded.apiserver.api import Api
from fixtures.providers.embedded.apiserver.node import ContainerLog
from fixtures.providers.embedded.dataplane import transport
from fixtures.providers.embedded.dataplane.certificates import Issued, issue
from fixtures.providers.embedded.dataplane.envoy import Config, find_envoy
from fixtures.providers.embedded.dataplane.mesh import Mesh, Proxy
from fixtures.providers.embedded.dataplane.sidecar_config import for_sidecar
from fixtures.providers.embedded.istio.installation import installation
from fixtures.providers.embedded.istio.pilot import ca_secret, make_ca
from fixtures.providers.embedded.workloads.connector import PodConnector
from fixtures.providers.embedded.workloads.container_context import (
    ClusterContext,
    ContainerContext,
)
from tests.embedded.test_dataplane_envoy import Running

Body = dict[str, Any]
PORT = 9080
NAMESPACE = "shop"
CLUSTER = f"outbound|{PORT}||server.{NAMESPACE}.svc.cluster.local"


@pytest.fixture
def block() -> Iterator[Block]:
    with closing(Block.claim()) as claimed:
        yield claimed


def pod(name: str, *, sidecar: bool = True, **labels: str) -> Body:
    mode = {"security.istio.io/tlsMode": "istio"} if sidecar else {}
    proxy = [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}] if sidecar else []
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app": name.partition("-")[0], **mode, **labels},
        },
        "spec": {
            "serviceAccountName": name,
            "containers": [{"name": "app", "ports": [{"containerPort": PORT}]}, *proxy],
        },
    }


class Shop:
    """A mesh of pods, their applications and their sidecars."""

    def __init__(self, block: Block, folder: Path, stack: AsyncExitStack) -> None:
        self.block, self.folder, self._stack = block, folder, stack
        self.cluster = ClusterContext(
            Api(), block, folder, find_envoy(), installation("1.29.6"), "1.34.4", "node"
        )
        self.service = block.service(50)
        self.mesh = Mesh(
            services=[
                {
                    "metadata": {"name": "server", "namespace": NAMESPACE},
                    "spec": {
                        "clusterIP": self.service,
                        "selector": {"app": "server"},
                        "ports": [{"name": "http", "port": PORT, "targetPort": PORT}],
                    },
                }
            ]
        )
        self.contexts: dict[str, ContainerContext] = {}
        self.envoys: dict[str, Running] = {}
        self.served: list[tuple[str, str]] = []
        self._secret = ca_secret(make_ca(), "ca", "istio-system")["data"]
        self.root = ""

    def place(self, body: Body) -> None:
        """Give a pod an address; one of the server's is behind its Service."""
        name = body["metadata"]["name"]
        made = ContainerContext(body, {}, self.block.pods.take(), ContainerLog(), self.cluster)
        self.contexts[name] = made
        pods = {**self.mesh.pods, (NAMESPACE, name): body}
        endpoints = [
            {
                "addresses": [one.address],
                "conditions": {"ready": True},
                "targetRef": {"name": key},
            }
            for key, one in self.contexts.items()
            if key.startswith("server")
        ]
        piece = {
            "metadata": {
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": "server"},
            },
            "ports": [{"name": "http", "port": PORT}],
            "endpoints": endpoints,
        }
        self.mesh = replace(self.mesh, pods=pods, slices=[piece])

    async def application(self, name: str) -> None:
        """Have a pod's application listen; it answers with its name."""

        async def answer(request: web.Request) -> web.Response:
            self.served.append((name, request.remote or ""))
            return web.Response(text=name, headers={"x-got": str(dict(request.headers))})

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self.contexts[name].listens_at(PORT), PORT).start()

    def issued(self, name: str) -> Issued:
        data = {key: base64.b64decode(text) for key, text in self._secret.items()}
        identity = f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{name}"
        return issue(data["ca-cert.pem"], data["ca-key.pem"], identity)

    def config(self, name: str) -> Config:
        context = self.contexts[name]
        labels = context.pod["metadata"]["labels"]
        proxy = Proxy(NAMESPACE, labels, context.address, context.localhost, (PORT,))
        return for_sidecar(self.mesh, proxy)

    async def sidecar(self, name: str) -> None:
        """Run the Envoy of a pod."""
        one = self.issued(name)
        self.root = one.root
        config = self.config(name)
        config.secrets.extend(transport.secrets(one.chain, one.key, one.root))
        envoy = Running(self.folder / name, source=self.contexts[name].address)
        await envoy.start(config)
        self._stack.push_async_callback(envoy.stop)
        self.envoys[name] = envoy

    async def push(self, **changes: Any) -> None:
        """Change the mesh, for every proxy."""
        self.mesh = replace(self.mesh, **changes)
        for name, envoy in self.envoys.items():
            await envoy.apply(self.config(name))

    async def call(
        self, name: str, path: str = "/", host: str = "server", **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        """A request from a pod to the Service."""
        connector = PodConnector(self.contexts[name], force_close=True)
        url = f"http://{self.service}:{PORT}{path}"
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(url, headers={"Host": host, **headers}) as answer,
        ):
            return answer.status, await answer.text(), dict(answer.headers)


@asynccontextmanager
async def shop(
    block: Block, folder: Path, *pods: Body, sidecars: bool = True
) -> AsyncIterator[Shop]:
    async with asyncio.timeout(30), AsyncExitStack() as stack:
        made = Shop(block, folder, stack)
        for body in pods:
            made.place(body)
        for name, context in made.contexts.items():
            if name.startswith("server"):
                await made.application(name)
            if context.redirection.active and sidecars:
                await made.sidecar(name)
        yield made


def test_between_two_sidecars_traffic_is_mutual_tls_and_is_logged_as_by_real_ones(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, pod("client"), pod("server")) as mesh:
            client, server = (mesh.contexts[one].address for one in ("client", "server"))
            status, text, headers = await mesh.call("client", "/page?u=1")
            assert (status, text) == (200, "server")
            assert f"URI=spiffe://cluster.local/ns/{NAMESPACE}/sa/client" in headers["x-got"]
            assert mesh.served == [("server", "127.0.0.6")]
            line = await mesh.envoys["client"].output.hears("u=1")
            assert re.fullmatch(
                r'\[\S+Z\] "GET /page\?u=1 HTTP/1.1" 200 - via_upstream - "-" 0 6 \d+ \d+ "-" '
                rf'"[^"]+" "[0-9a-f-]{{36}}" "server" "{server}:9080" {re.escape(CLUSTER)} '
                rf"{client}:\d+ {mesh.service}:9080 {client}:\d+ - default",
                line,
            )
            line = await mesh.envoys["server"].output.hears("u=1")
            assert re.fullmatch(
                r'\[\S+Z\] "GET /page\?u=1 HTTP/1.1" 200 - via_upstream - "-" 0 6 \d+ \d+ "-" '
                rf'"[^"]+" "[0-9a-f-]{{36}}" "server" "{localhost_of(server)}:9080" '
                rf"inbound\|9080\|\| 127.0.0.6:\d+ {server}:9080 {client}:\d+ "
                r"outbound_.9080_._.server.shop.svc.cluster.local default",
                line,
            )

    asyncio.run(scenario())


def test_a_plain_caller_is_served_on_the_same_port(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        pods = (pod("plain", sidecar=False), pod("server"))
        async with shop(block, tmp_path, *pods) as mesh:
            at = mesh.contexts["server"].address
            reader, writer = await mesh.contexts["plain"].connect(at, PORT)
            writer.write(b"GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
            writer.close()
            line = await mesh.envoys["server"].output.hears("GET /")
            caller = mesh.contexts["plain"].address
            assert re.search(rf" {at}:9080 {caller}:\d+ - default$", line)

    asyncio.run(scenario())


def test_the_certificate_shown_on_a_pods_port_is_its_workloads(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, pod("server")) as mesh:
            own = tmp_path / "own.pem"
            one = mesh.issued("somebody")
            own.write_text(one.chain + one.key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=mesh.root)
            context.load_cert_chain(own)
            context.check_hostname = False
            context.set_alpn_protocols(["istio"])
            _, writer = await asyncio.open_connection(
                mesh.contexts["server"].address, PORT, ssl=context
            )
            shown = writer.get_extra_info("peercert")
            identity = f"spiffe://cluster.local/ns/{NAMESPACE}/sa/server"
            assert shown["subjectAltName"] == (("URI", identity),)
            writer.close()

    asyncio.run(scenario())


def test_a_host_outside_the_mesh_is_passed_on_unless_only_the_registry_is_let_out(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, pod("client"), pod("server")) as mesh:
            # Nothing listens there: the answer is the sidecar's own.
            assert (await mesh.call("client", "/?u=1", host="elsewhere.example"))[0] == 503
            line = await mesh.envoys["client"].output.hears("u=1")
            assert " 503 UF " in line
            assert " PassthroughCluster " in line
            await mesh.push(config={"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})
            assert (await mesh.call("client", "/?u=2", host="elsewhere.example"))[0] == 502
            assert (await mesh.call("client", "/?u=3"))[0] == 200

    asyncio.run(scenario())
