"""Envoy's questions for resources: who is answered at once, and who waits for news."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fixtures.providers.embedded.dataplane.xds import SOCKET, Discovery

SECRET = "ROOTCA"
REFUSED = {"error_detail": {"message": "no certificate"}}


async def answered(
    session: aiohttp.ClientSession, has: str = "", **more: Any
) -> asyncio.Task[dict[str, Any]]:
    """A question for a secret, on its way."""

    async def ask() -> dict[str, Any]:
        question = {"resource_names": [SECRET], **({"version_info": has} if has else {}), **more}
        text = json.dumps(question, separators=(",", ":"))
        async with session.post("http://envoy/v3/discovery:secrets", data=text) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    return asyncio.create_task(ask())


@pytest.mark.parametrize(
    ("has", "more", "at_once"),
    [
        pytest.param("", {}, True, id="somebody new"),
        pytest.param("1", {}, False, id="who has it"),
        pytest.param("", REFUSED, False, id="who refused it"),
    ],
)
def test_what_was_sent_is_sent_again_to_somebody_new(
    tmp_path: Path, has: str, more: dict[str, Any], *, at_once: bool
) -> None:
    async def run() -> None:
        discovery = Discovery(tmp_path)
        await discovery.start()
        connector = aiohttp.UnixConnector(path=str(tmp_path / SOCKET))
        try:
            async with aiohttp.ClientSession(connector=connector) as session:
                discovery.offer(f"secrets/{SECRET}", "[1]")
                first = await (await answered(session))
                assert first == {"version_info": "1", "resources": [1]}
                later = await answered(session, has, **more)
                if not at_once:
                    await asyncio.wait({later}, timeout=0.05)
                    assert not later.done()
                    discovery.offer(f"secrets/{SECRET}", "[2]")
                found = await asyncio.wait_for(later, 10)
                assert found["resources"] == ([1] if at_once else [2])
        finally:
            await discovery.stop()

    asyncio.run(run())
