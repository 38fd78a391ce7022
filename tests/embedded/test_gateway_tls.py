"""A gateway's servers of TLS and TCP, with a real Envoy and handshakes of our own."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from fixtures.providers.embedded.addresses import Block
from fixtures.providers.embedded.dataplane import faults
from fixtures.providers.embedded.dataplane.envoy import Config
from fixtures.providers.embedded.dataplane.gateway_config import for_gateway
from fixtures.providers.embedded.dataplane.mesh import Mesh, Proxy
from tests.embedded.test_dataplane_envoy import LABELS, application, block, mesh, running

__all__ = ["block"]
Body = dict[str, Any]
CA, OTHER = trustme.CA(), trustme.CA()
PORT = 8443
TO_PAGE = {"route": [{"destination": {"host": "productpage", "port": {"number": 9080}}}]}


def secret(name: str, *names: str, **more: bytes) -> dict[tuple[str, str], Body]:
    issued = CA.issue_cert(*names)
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    data = {"tls.crt": chain, "tls.key": issued.private_key_pem.bytes(), **more}
    data = {key.replace("_", "."): value for key, value in data.items()}
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {("istio-system", name): {"data": encoded}}


def server(*hosts: str, protocol: str = "HTTPS", name: str = "https", **tls: str) -> Body:
    port = {"number": PORT, "name": name, "protocol": protocol}
    return {"port": port, "hosts": list(hosts), **({"tls": tls} if tls else {})}


def gateway(*servers: Body, name: str = "edge", since: str = "2026-01-01") -> Body:
    meta = {"name": name, "namespace": "bookinfons", "creationTimestamp": since}
    return {"metadata": meta, "spec": {"selector": LABELS, "servers": list(servers)}}


def routed(kind: str, rule: Body, *hosts: str) -> Body:
    spec = {"hosts": list(hosts or ["*"]), "gateways": ["edge"], kind: [rule]}
    return {"metadata": {"name": kind, "namespace": "bookinfons"}, "spec": spec}


def of(pod: str, servers: list[Body], *services: Body, **more: Any) -> Mesh:
    """The sample's pod behind a Gateway with these servers."""
    gateways = [gateway(*servers)]
    return replace(mesh(pod), gateways=gateways, virtual_services=list(services), **more)


def trusting(*, own: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    if own:
        own.configure_cert(context)
    return context


async def shown(address: str, name: str, **more: Any) -> list[str]:
    """The names in the certificate that a server name is shown."""
    _, writer = await asyncio.open_connection(
        address, PORT, ssl=trusting(**more), server_hostname=name
    )
    try:
        certificate = writer.get_extra_info("peercert")
        return [value for _, value in certificate["subjectAltName"]]
    finally:
        writer.close()


async def page(address: str, name: str, **more: Any) -> tuple[int, str]:
    class Here(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
            del family
            return [
                {
                    "hostname": host,
                    "host": address,
                    "port": port,
                    "family": 2,
                    "proto": 0,
                    "flags": 0,
                }
            ]

        async def close(self) -> None:
            pass

    connector = aiohttp.TCPConnector(resolver=Here(), force_close=True)
    url = f"https://{name}:{PORT}/productpage"
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, ssl=trusting(**more)) as reply,
    ):
        return reply.status, await reply.text()


@asynccontextmanager
async def serving(folder: Path, block: Block, made: Callable[[str], Mesh]) -> AsyncIterator[str]:
    """A gateway before the sample's pod; its address."""
    pod, address = block.pods.take(), block.pods.take()
    config = for_gateway(made(pod), Proxy("istio-system", LABELS, address)).config
    async with application(pod), running(folder, config, address) as envoy:
        yield address
        assert envoy.trouble.printed == []


def config_of(made: Mesh) -> Config:
    return for_gateway(made, Proxy("istio-system", LABELS, "127.9.9.9")).config


def test_each_name_is_shown_its_own_certificate(tmp_path: Path, block: Block) -> None:
    servers = [
        server("one.example", mode="SIMPLE", credentialName="one"),
        server("*.two.example", name="two", mode="SIMPLE", credentialName="two"),
    ]
    secrets = secret("one", "one.example") | secret("two", "*.two.example")

    async def scenario() -> None:
        http = routed("http", TO_PAGE)
        async with serving(
            tmp_path, block, lambda pod: of(pod, servers, http, secrets=secrets)
        ) as address:
            assert await shown(address, "one.example") == ["one.example"]
            assert await shown(address, "x.two.example") == ["*.two.example"]
            assert await page(address, "one.example") == (200, "a page")
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await shown(address, "three.example")

    asyncio.run(scenario())


def test_a_credential_without_a_secret_leaves_no_listener_or_no_name() -> None:
    missing = server("gone.example", name="gone", mode="SIMPLE", credentialName="gone")
    there = server("one.example", mode="SIMPLE", credentialName="one")
    known = secret("one", "one.example")
    assert config_of(of("127.9.9.8", [missing])).listeners == []
    (listener,) = config_of(of("127.9.9.8", [missing, there], secrets=known)).listeners
    (chain,) = listener["filter_chains"]
    assert chain["filter_chain_match"] == {"server_names": ["one.example"]}
    elsewhere = {("bookinfons", "one"): known["istio-system", "one"]}
    assert config_of(of("127.9.9.8", [there], secrets=elsewhere)).listeners == []


@pytest.mark.parametrize("beside", [True, False])
def test_mutual_tls_requires_a_certificate_of_the_authority(
    tmp_path: Path,
    block: Block,
    beside: bool,  # noqa: FBT001  # whether the authority has a Secret of its own
) -> None:
    servers = [server("one.example", mode="MUTUAL", credentialName="one")]
    roots = CA.cert_pem.bytes()
    if beside:
        secrets = secret("one", "one.example") | secret("one-cacert", "x", cacert=roots)
    else:
        secrets = secret("one", "one.example", ca_crt=roots)

    async def scenario() -> None:
        http = routed("http", TO_PAGE)
        async with serving(
            tmp_path, block, lambda pod: of(pod, servers, http, secrets=secrets)
        ) as address:
            known, stranger = CA.issue_cert("client"), OTHER.issue_cert("client")
            assert await page(address, "one.example", own=known) == (200, "a page")
            for own in (None, stranger):
                with pytest.raises(aiohttp.ClientError):
                    await page(address, "one.example", own=own)

    asyncio.run(scenario())


def test_tls_passes_to_where_its_server_name_leads(tmp_path: Path, block: Block) -> None:
    servers = [server("*.example", protocol="TLS", mode="PASSTHROUGH")]
    rule = {"match": [{"sniHosts": ["in.example"], "port": PORT}], **TO_PAGE}
    inside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert("in.example").configure_cert(inside)

    async def scenario() -> None:
        pod, address = block.pods.take(), block.pods.take()
        made = of(pod, servers, routed("tls", rule, "*.example"))
        config = for_gateway(made, Proxy("istio-system", LABELS, address)).config

        async def bye(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        ended = await asyncio.start_server(bye, pod, 9080, ssl=inside)
        async with ended, running(tmp_path, config, address):
            assert await shown(address, "in.example") == ["in.example"]
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await shown(address, "out.example")

    asyncio.run(scenario())


@pytest.mark.parametrize("tls", [True, False])
def test_connections_are_carried_where_a_tcp_route_leads(
    tmp_path: Path,
    block: Block,
    tls: bool,  # noqa: FBT001  # whether it ends at the gateway
) -> None:
    ends = {"protocol": "TLS", "mode": "SIMPLE", "credentialName": "one"}
    servers = [server("*", **(ends if tls else {"protocol": "TCP"}))]

    async def scenario() -> None:
        tcp, secrets = routed("tcp", TO_PAGE), secret("one", "one.example")
        async with serving(
            tmp_path, block, lambda pod: of(pod, servers, tcp, secrets=secrets)
        ) as address:
            reader, writer = await asyncio.open_connection(
                address,
                PORT,
                ssl=trusting() if tls else None,
                server_hostname="one.example" if tls else None,
            )
            writer.write(b"GET /productpage HTTP/1.0\r\n\r\n")
            assert (await reader.read()).endswith(b"a page")
            writer.close()

    asyncio.run(scenario())


def test_weights_divide_connections() -> None:
    rule = {
        "route": [
            {"destination": {"host": host, "port": {"number": 9080}}, "weight": weight}
            for host, weight in (("one", 80), ("two", 20), ("three", 0))
        ]
    }
    made = of("127.9.9.8", [server("*", protocol="TCP")], routed("tcp", rule))
    (listener,) = config_of(made).listeners
    (carried,) = listener["filter_chains"][0]["filters"]
    shares = carried["typed_config"]["weighted_clusters"]["clusters"]
    assert [one["weight"] for one in shares] == [80, 20]
    assert "cluster" not in carried["typed_config"]


def test_of_two_that_want_one_port_for_other_protocols_the_older_has_it() -> None:
    plain = server("*", protocol="HTTP", name="http")
    younger = gateway(server("*", protocol="TCP"), name="young", since="2026-02-01")
    known = replace(mesh("127.9.9.8"), gateways=[younger, gateway(plain)])
    pushed = for_gateway(known, Proxy("istio-system", LABELS, "127.9.9.9"))
    (listener,) = pushed.config.listeners
    (chain,) = listener["filter_chains"]
    assert "http_connection_manager" in chain["filters"][0]["name"]
    words = f"TCP server on port {PORT} conflicts with an older one of another protocol"
    assert pushed.left_out == (f"bookinfons/young: {words}",)


def test_of_two_with_one_server_name_the_older_has_it() -> None:
    secrets = secret("one", "one.example")
    tls = {"mode": "SIMPLE", "credentialName": "one"}
    younger = gateway(server("one.example", **tls), name="young", since="2026-02-01")
    older = gateway(server("one.example", **tls))
    known = replace(mesh("127.9.9.8"), gateways=[younger, older], secrets=secrets)
    config = for_gateway(known, Proxy("istio-system", LABELS, "127.9.9.9")).config
    (listener,) = config.listeners
    assert len(listener["filter_chains"]) == 1
    assert [one["name"] for one in config.routes] == ["https.8443.https.edge.bookinfons"]


def test_a_fault_lets_the_younger_have_it() -> None:
    younger = gateway(server("*", protocol="TCP"), name="young", since="2026-02-01")
    older = gateway(server("*", protocol="HTTP", name="http"))
    turned = faults.youngest_first([older, younger])
    known = replace(mesh("127.9.9.8"), gateways=turned)
    pushed = for_gateway(known, Proxy("istio-system", LABELS, "127.9.9.9"))
    assert pushed.config.listeners == [], "which no route of TCP leads on"
    (words,) = pushed.left_out
    assert words.startswith("bookinfons/edge: HTTP server")
