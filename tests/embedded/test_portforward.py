"""Port-forward in the Python client's protocol, and SPDY frame by frame.

What real kubectl makes of it is in test_kubectl.
"""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fixtures.providers.embedded.apiserver import portforward
from fixtures.providers.embedded.apiserver.errors import StatusError
from fixtures.providers.embedded.apiserver.node import ContainerLog

Body = dict[str, Any]
POD: Body = {"metadata": {"name": "p", "uid": "aa-bb"}}
PATIENCE = 10


class AccessPath:
    """A pod that answers on port 80 with what it was sent, in capitals, until half close."""

    def __init__(self, port: int) -> None:
        self.port = port

    def log(self, pod: Body, container: str, *, previous: bool = False) -> ContainerLog | None:
        return None

    async def dial(
        self, pod: Body, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if port != 80:
            raise ConnectionRefusedError
        return await asyncio.open_connection("127.0.0.1", self.port)


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk.upper())
        await writer.drain()
    writer.write(b"bye")
    writer.close()


@asynccontextmanager
async def forwarding() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    pod = await asyncio.start_server(shout, "127.0.0.1", 0)
    door = AccessPath(pod.sockets[0].getsockname()[1])

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await portforward.answer(request, POD, door)
        except StatusError as error:
            return web.json_response(error.status, status=error.code)

    app = web.Application()
    app.router.add_route("*", "/pf", handler)
    async with pod, TestClient(TestServer(app)) as client:
        yield client


def play(scene: Callable[[TestClient[web.Request, web.Application]], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE), forwarding() as client:
            await scene(client)

    asyncio.run(whole())


def test_several_ports_share_one_socket_channel_by_channel() -> None:
    async def scene(client: TestClient[web.Request, web.Application]) -> None:
        url = "/pf?ports=80,81"
        async with client.ws_connect(url, protocols=[portforward.CHANNELS]) as socket:
            assert socket.protocol == portforward.CHANNELS
            opening = {await socket.receive_bytes() for _ in range(4)}
            message = await socket.receive_bytes()
            eighty, eighty_one = struct.pack("<H", 80), struct.pack("<H", 81)
            assert opening == {
                *(b"\0" + eighty, b"\1" + eighty, b"\2" + eighty_one, b"\3" + eighty_one)
            }
            assert message[:1] == b"\3"
            assert b"error forwarding port 81 to pod aabb" in message
            assert message.endswith(b"connect: connection refused")
            await socket.send_bytes(b"\0hello")
            assert await socket.receive_bytes() == b"\0HELLO"

    play(scene)


def test_a_large_answer_comes_whole() -> None:
    async def scene(client: TestClient[web.Request, web.Application]) -> None:
        sent = b"x" * 1_000_000
        async with client.ws_connect("/pf?ports=80", protocols=[portforward.CHANNELS]) as socket:
            for _ in range(2):
                await socket.receive_bytes()
            await socket.send_bytes(b"\0" + sent)
            received = b""
            while len(received) < len(sent):
                received += (await socket.receive_bytes())[1:]
            assert received == sent.upper()

    play(scene)


@pytest.mark.parametrize(
    ("url", "headers", "words"),
    [
        ("/pf?ports=80", {}, "Upgrade request required"),
        (
            "/pf",
            {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"},
            "SPDY is spoken inside a WebSocket only: use kubectl 1.31 or newer",
        ),
    ],
    ids=["no upgrade", "bare SPDY"],
)
def test_what_is_not_spoken_is_refused(url: str, headers: dict[str, str], words: str) -> None:
    async def scene(client: TestClient[web.Request, web.Application]) -> None:
        answer = await client.post(url, headers=headers)
        assert (answer.status, (await answer.json())["message"]) == (400, words)

    play(scene)


class Kubectl:
    """The client's end of SPDY: just enough to play kubectl, and to play it badly."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.deflate = zlib.compressobj(zdict=portforward.DICTIONARY)
        self.inflate = zlib.decompressobj(zdict=portforward.DICTIONARY)
        self.wire = b""

    def syn(self, number: int, **headers: str) -> bytes:
        text = struct.pack(">I", len(headers))
        for word in (word for pair in headers.items() for word in pair):
            text += struct.pack(">I", len(word)) + word.encode()
        block = self.deflate.compress(text) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        return self.control(portforward.SYN_STREAM, struct.pack(">IIH", number, 0, 0) + block)

    @staticmethod
    def control(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", 1 << 31 | 3 << 16 | kind, len(body)) + body

    @staticmethod
    def data(number: int, body: bytes, flags: int = 0) -> bytes:
        return struct.pack(">II", number, flags << 24 | len(body)) + body

    async def connect(self, first: int, port: int) -> None:
        """Open an error stream, close this side of it, and open its data stream."""
        common = {"port": str(port), "requestid": str(first)}
        frames = self.syn(first, streamtype="error", **common) + self.data(
            first, b"", portforward.FIN
        )
        await self.socket.send_bytes(frames)
        await self.socket.send_bytes(self.syn(first + 2, streamtype="data", **common))
        for number in (first, first + 2):
            assert await self.frame() == ("SYN_REPLY", number)

    async def frame(self) -> tuple[Any, ...]:
        while len(self.wire) < 8 or len(self.wire) < 8 + (
            struct.unpack(">I", self.wire[4:8])[0] & 0xFFFFFF
        ):
            self.wire += await self.socket.receive_bytes()
        first, second = struct.unpack(">II", self.wire[:8])
        end = 8 + (second & 0xFFFFFF)
        body, self.wire = self.wire[8:end], self.wire[end:]
        if not first >> 31:
            return (first, body, second >> 24)
        if first & 0xFFFF == portforward.SYN_REPLY:
            assert self.inflate.decompress(body[4:]) == b"\0\0\0\0"
            return ("SYN_REPLY", struct.unpack(">I", body[:4])[0])
        return (first & 0xFFFF, body)


def play_spdy(scene: Callable[[Kubectl], Awaitable[None]]) -> None:
    async def upgraded(client: TestClient[web.Request, web.Application]) -> None:
        async with client.ws_connect("/pf", protocols=[portforward.SPDY]) as socket:
            await scene(Kubectl(socket))

    play(upgraded)


def test_two_connections_side_by_side_and_a_half_close() -> None:
    async def scene(kubectl: Kubectl) -> None:
        await kubectl.connect(1, 80)
        await kubectl.connect(5, 80)
        await kubectl.socket.send_bytes(kubectl.data(7, b"five"))
        assert await kubectl.frame() == (7, b"FIVE", 0)
        await kubectl.socket.send_bytes(kubectl.data(3, b"one", portforward.FIN))
        heard = b""
        while (frame := await kubectl.frame())[0] == 3:
            heard += frame[1]
        assert heard == b"ONEbye"  # the pod still answered after the half close
        assert frame == (1, b"", portforward.FIN)
        assert await kubectl.frame() == (3, b"", portforward.FIN)
        await kubectl.socket.send_bytes(kubectl.data(7, b"more"))
        assert await kubectl.frame() == (7, b"MORE", 0)

    play_spdy(scene)


def test_more_than_a_window_of_spdy_goes_both_ways() -> None:
    async def scene(kubectl: Kubectl) -> None:
        await kubectl.connect(1, 80)
        sent, heard = b"x" * 1_000_000, b""
        for at in range(0, len(sent), 32_768):
            await kubectl.socket.send_bytes(kubectl.data(3, sent[at : at + 32_768]))
        while len(heard) < len(sent):
            number, body, _ = await kubectl.frame()
            assert number == 3
            heard += body
        assert heard == sent.upper()

    play_spdy(scene)


def test_a_refused_port_is_reported_on_the_error_stream() -> None:
    async def scene(kubectl: Kubectl) -> None:
        await kubectl.connect(1, 81)
        number, words, flags = await kubectl.frame()
        assert (number, flags) == (1, portforward.FIN)
        assert b"error forwarding port 81" in words
        assert await kubectl.frame() == (3, b"", portforward.FIN)

    play_spdy(scene)


def test_frames_may_be_cut_and_joined_anywhere() -> None:
    async def scene(kubectl: Kubectl) -> None:
        await kubectl.connect(1, 80)
        frames = kubectl.control(portforward.PING, b"\0\0\0\1") + kubectl.data(3, b"word")
        for byte in frames:
            await kubectl.socket.send_bytes(bytes([byte]))
        assert await kubectl.frame() == (portforward.PING, b"\0\0\0\1")
        assert await kubectl.frame() == (3, b"WORD", 0)

    play_spdy(scene)


def test_a_reset_stream_leaves_the_others_alone() -> None:
    async def scene(kubectl: Kubectl) -> None:
        await kubectl.connect(1, 80)
        await kubectl.connect(5, 80)
        reset = kubectl.control(portforward.RST_STREAM, struct.pack(">II", 3, 5))
        await kubectl.socket.send_bytes(reset + kubectl.data(3, b"lost") + kubectl.data(7, b"ok"))
        assert await kubectl.frame() == (7, b"OK", 0)

    play_spdy(scene)


def test_what_is_no_spdy_is_answered_by_goaway() -> None:
    async def scene(kubectl: Kubectl) -> None:
        nonsense = struct.pack(">IIH", 1, 0, 0) + b"not compressed"
        await kubectl.socket.send_bytes(kubectl.control(portforward.SYN_STREAM, nonsense))
        assert (await kubectl.frame())[0] == portforward.GOAWAY

    play_spdy(scene)
