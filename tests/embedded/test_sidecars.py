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
from fixtures.providers.embedded.dataplane.envoy import Config, Seat, find_envoy
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
SLOW = 0.4
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
            if request.path == "/slow":
                await asyncio.sleep(SLOW)
            if request.path.startswith("/status/"):
                return web.Response(status=int(request.path.removeprefix("/status/")))
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
        envoy = Running(self.folder / name, seat=Seat(self.contexts[name].address))
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
            session.get(url, headers={"Host": host, **headers}, allow_redirects=False) as answer,
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


def rule(*http: Body, hosts: tuple[str, ...] = ("server",), **spec: Any) -> Body:
    metadata = {"name": "rule", "namespace": NAMESPACE}
    return {"metadata": metadata, "spec": {"hosts": list(hosts), "http": list(http), **spec}}


def to(subset: str = "", weight: int = 0, **more: Any) -> Body:
    destination = {"host": "server", **({"subset": subset} if subset else {})}
    return {"destination": destination, **({"weight": weight} if weight else {}), **more}


def destination_rule(*versions: str, **policy: Any) -> Body:
    subsets = [{"name": one, "labels": {"version": one}} for one in versions]
    return {
        "metadata": {"name": "server", "namespace": NAMESPACE},
        "spec": {"host": "server", "subsets": subsets, "trafficPolicy": policy},
    }


PODS = (pod("client"), pod("server-1", version="v1"), pod("server-2", version="v2"))
RULE = destination_rule("v1", "v2")


def test_rules_decide_which_version_answers_each_request(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, *PODS) as mesh:

            async def answers(count: int, **headers: str) -> set[str]:
                return {(await mesh.call("client", **headers))[1] for _ in range(count)}

            assert await answers(24) == {"server-1", "server-2"}
            await mesh.push(
                destination_rules=[RULE], virtual_services=[rule({"route": [to("v1")]})]
            )
            assert await answers(12) == {"server-1"}
            by_user = {"match": [{"headers": {"end-user": {"exact": "jason"}}}]}
            rules = [rule({"route": [to("v2")], **by_user}, {"route": [to("v1")]})]
            await mesh.push(virtual_services=rules)
            assert await answers(12) == {"server-1"}
            assert await answers(12, **{"end-user": "jason"}) == {"server-2"}
            await mesh.push(virtual_services=[rule({"route": [to("v1", 50), to("v2", 50)]})])
            assert await answers(24) == {"server-1", "server-2"}
            line = await mesh.envoys["client"].output.hears(r"\|v2\|server")
            assert line.endswith(" -")  # a rule without a name names no route

    asyncio.run(scenario())


def test_a_change_is_in_force_within_a_second_on_an_open_connection(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, *PODS) as mesh:
            connector = PodConnector(mesh.contexts["client"])
            url = f"http://{mesh.service}:{PORT}/"
            loop = asyncio.get_running_loop()
            async with aiohttp.ClientSession(connector=connector) as session:
                for version, answers in (("v1", "server-1"), ("v2", "server-2")):
                    began = loop.time()
                    wanted = [rule({"route": [to(version)]})]
                    await mesh.push(destination_rules=[RULE], virtual_services=wanted)
                    assert loop.time() - began < 1
                    async with session.get(url, headers={"Host": "server"}) as answer:
                        assert await answer.text() == answers

    asyncio.run(scenario())


def test_faults_timeouts_and_retries_are_as_a_rule_has_them(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, pod("client"), pod("server")) as mesh:
            loop = asyncio.get_running_loop()

            async def ruled(path: str = "/", **fields: Any) -> tuple[int, float, str]:
                one = {"route": [to()], **fields}
                await mesh.push(virtual_services=[rule(one)])
                began = loop.time()
                status, text, _ = await mesh.call("client", path)
                return status, loop.time() - began, text

            abort = {"httpStatus": 555, "percentage": {"value": 100}}
            assert (await ruled(fault={"abort": abort}))[::2] == (555, "fault filter abort")
            await mesh.envoys["client"].output.hears(" 555 FI fault_filter_abort ")
            assert mesh.served == []
            delay = {"fixedDelay": "0.3s", "percentage": {"value": 100}}
            status, seconds, _ = await ruled(timeout="0.1s", fault={"delay": delay})
            assert status == 200  # a timeout does not cut an injected delay (L30)
            assert seconds >= 0.3
            await mesh.envoys["client"].output.hears(" 200 DI via_upstream ")
            status, seconds, text = await ruled("/slow", timeout="0.1s")
            assert (status, text) == (504, "upstream request timeout")
            mesh.served.clear()
            retries = {"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx"}
            assert (await ruled("/status/503", retries=retries))[0] == 503
            assert len(mesh.served) == 4
            mesh.served.clear()
            assert (await ruled("/status/503", retries={"attempts": 0}))[0] == 503
            assert len(mesh.served) == 1
            changed = {"request": {"set": {"x-set": "ours"}}, "response": {"add": {"x-b": "c"}}}
            await ruled(headers=changed)
            _, _, headers = await mesh.call("client")
            assert "'x-set': 'ours'" in headers["x-got"]
            assert headers["x-b"] == "c"
            await mesh.push(virtual_services=[rule({"redirect": {"uri": "/new"}})])
            status, _, headers = await mesh.call("client")
            assert (status, headers.get("Location")) == (301, "http://server/new")

    asyncio.run(scenario())


def test_a_rule_to_an_unknown_host_or_subset_answers_as_a_real_mesh(
    tmp_path: Path, block: Block
) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, pod("client"), pod("server")) as mesh:
            nowhere = {"route": [{"destination": {"host": "nowhere"}}]}
            await mesh.push(virtual_services=[rule(nowhere)])
            assert (await mesh.call("client"))[0] == 503
            await mesh.envoys["client"].output.hears(" 503 NC cluster_not_found ")
            await mesh.push(virtual_services=[rule({"route": [to("v9")]})])
            assert (await mesh.call("client", "/?u=2"))[0] == 503
            await mesh.envoys["client"].output.hears(r"u=2.* 503 NC cluster_not_found ")
            await mesh.push(destination_rules=[destination_rule("v9")])
            assert (await mesh.call("client", "/?u=3"))[1] == "no healthy upstream"
            await mesh.envoys["client"].output.hears(r"u=3.* 503 UH no_healthy_upstream ")

    asyncio.run(scenario())


def test_one_connection_is_all_that_a_rule_allows(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, pod("client"), pod("server")) as mesh:
            pool = {
                "tcp": {"maxConnections": 1},
                "http": {"http1MaxPendingRequests": 1, "maxRequestsPerConnection": 1},
            }
            await mesh.push(destination_rules=[destination_rule(connectionPool=pool)])
            answers = await asyncio.gather(*(mesh.call("client", "/slow") for _ in range(6)))
            assert {status for status, _, _ in answers} == {200, 503}
            refused = [headers for status, _, headers in answers if status == 503]
            assert all(headers["x-envoy-overloaded"] == "true" for headers in refused)
            await mesh.envoys["client"].output.hears(" 503 UO ")

    asyncio.run(scenario())


def test_a_sidecar_resource_narrows_what_its_pods_are_told(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, pod("client"), pod("server")) as mesh:
            metadata = {"name": "default", "namespace": NAMESPACE}
            spec = {
                "egress": [{"hosts": ["elsewhere/*"]}],
                "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
            }
            await mesh.push(sidecars=[{"metadata": metadata, "spec": spec}])
            with pytest.raises(aiohttp.ClientError):  # no HTTP is expected there any more
                await mesh.call("client")
            await mesh.envoys["client"].output.hears(" BlackHoleCluster ")
            spec["egress"] = [{"hosts": ["./*"]}]
            await mesh.push(sidecars=[{"metadata": metadata, "spec": spec}])
            assert (await mesh.call("client"))[0] == 200

    asyncio.run(scenario())


def test_mutual_tls_is_left_out_where_a_rule_disables_it(tmp_path: Path, block: Block) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, pod("client"), pod("server")) as mesh:
            await mesh.push(destination_rules=[destination_rule(tls={"mode": "DISABLE"})])
            assert (await mesh.call("client", "/?u=1"))[0] == 200
            line = await mesh.envoys["server"].output.hears("u=1")
            assert line.endswith(" - default")  # no server name

    asyncio.run(scenario())


def policy(spec: Body, *, namespace: str = NAMESPACE, name: str = "policy") -> Body:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


SELECTED = {"selector": {"matchLabels": {"app": "server"}}}


@pytest.mark.parametrize(
    ("policies", "refused"),
    [
        pytest.param([({"mtls": {"mode": "STRICT"}}, "istio-system")], True, id="mesh"),
        pytest.param([({"mtls": {"mode": "STRICT"}}, NAMESPACE)], True, id="namespace"),
        pytest.param([({"mtls": {"mode": "STRICT"}}, "elsewhere")], False, id="elsewhere"),
        pytest.param(
            [
                ({"mtls": {"mode": "STRICT"}}, "istio-system"),
                ({"mtls": {"mode": "PERMISSIVE"}}, NAMESPACE),
            ],
            False,
            id="namespace-before-mesh",
        ),
        pytest.param(
            [
                ({"mtls": {"mode": "STRICT"}}, NAMESPACE),
                ({"mtls": {"mode": "PERMISSIVE"}, **SELECTED}, NAMESPACE),
            ],
            False,
            id="workload-before-namespace",
        ),
        pytest.param(
            [
                (
                    {
                        "mtls": {"mode": "STRICT"},
                        "portLevelMtls": {PORT: {"mode": "DISABLE"}},
                        **SELECTED,
                    },
                    NAMESPACE,
                )
            ],
            False,
            id="port-before-workload",
        ),
    ],
)
def test_strict_refuses_a_plain_caller_by_a_reset_and_serves_the_meshs_own(
    tmp_path: Path, block: Block, policies: list[tuple[Body, str]], *, refused: bool
) -> None:
    async def scenario() -> None:
        pods = (pod("client"), pod("plain", sidecar=False), pod("server"))
        async with shop(block, tmp_path, *pods) as mesh:
            server = mesh.contexts["server"].address

            async def plain() -> bytes:
                reader, writer = await mesh.contexts["plain"].connect(server, PORT)
                try:
                    writer.write(b"GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")
                    return await reader.read()
                finally:
                    writer.close()

            assert (await plain()).startswith(b"HTTP/1.1 200 OK")
            made = [policy(spec, namespace=where) for spec, where in policies]
            await mesh.push(peer_authentications=made)
            if refused:
                with pytest.raises(ConnectionResetError):
                    await plain()
                line = await mesh.envoys["server"].output.hears(" NR filter_chain_not_found ")
                assert re.search(r'"- - -" 0 NR filter_chain_not_found - "-" 0 0 \d+ - "-"', line)
            else:
                assert (await plain()).startswith(b"HTTP/1.1 200 OK")
            assert (await mesh.call("client"))[:2] == (200, "server")

    asyncio.run(scenario())


def sources(**source: list[str]) -> Body:
    return {"from": [{"source": source}]}


def operations(**operation: list[str]) -> Body:
    return {"to": [{"operation": operation}]}


CLIENT = f"cluster.local/ns/{NAMESPACE}/sa/client"


@pytest.mark.parametrize(
    ("spec", "let_in"),
    [
        pytest.param({}, set(), id="empty-denies-all"),
        pytest.param(
            {"rules": [{}]}, {"client /a", "client /b", "other /a", "other /b"}, id="all"
        ),
        pytest.param(
            {"rules": [sources(principals=[CLIENT])]}, {"client /a", "client /b"}, id="principal"
        ),
        pytest.param(
            {"rules": [sources(notPrincipals=[CLIENT])]}, {"other /a", "other /b"}, id="not"
        ),
        pytest.param({"rules": [sources(namespaces=["elsewhere"])]}, set(), id="namespace"),
        pytest.param(
            {"rules": [operations(paths=["/a*"], methods=["GET"])]},
            {"client /a", "other /a"},
            id="path-and-method",
        ),
        pytest.param({"rules": [operations(ports=["1"])]}, set(), id="port"),
        pytest.param(
            {"action": "DENY", "rules": [sources(principals=[CLIENT]) | operations(paths=["/a"])]},
            {"client /b", "other /a", "other /b"},
            id="deny",
        ),
        pytest.param({"rules": [sources(requestPrincipals=["*"])]}, set(), id="no-token"),
    ],
)
def test_an_authorization_policy_decides_who_gets_in(
    tmp_path: Path, block: Block, spec: Body, let_in: set[str]
) -> None:
    async def scenario() -> None:
        async with shop(block, tmp_path, pod("client"), pod("other"), pod("server")) as mesh:
            await mesh.push(authorization_policies=[policy(spec | SELECTED)])
            served = set()
            for caller in ("client", "other"):
                for path in ("/a", "/b"):
                    status, text, _ = await mesh.call(caller, path)
                    assert (status, text) in {(200, "server"), (403, "RBAC: access denied")}
                    served |= {f"{caller} {path}"} if status == 200 else set()
            assert served == let_in
            await mesh.push(authorization_policies=[])
            # A connection of the caller's sidecar ends with its next answer, as the old says (L6).
            answers = [(await mesh.call("client"))[0] for _ in range(2)]
            assert answers[-1] == 200

    asyncio.run(scenario())
