"""What API server and istiod together answer to objects of Istio's kinds, as recorded."""

from __future__ import annotations

import asyncio
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fixtures.providers.embedded.apiserver.api import StatusError
from tests.embedded.test_pilot import meshed
from tests.recordings import ISTIO_1_29

Body = dict[str, Any]

_NAMES = [name for name in ISTIO_1_29.names("api/istio", ".json") if "-read-" not in name]


class Answer(NamedTuple):
    """Status, the refusal's body, and the text of the warning header."""

    status: int
    refusal: Body | None
    warning: str | None


def _exchange(name: str) -> Body:
    found: Body = ISTIO_1_29.json(f"api/istio/{name}.json")
    return found


@cache
def _answers() -> dict[str, Answer]:
    """What the embedded cluster answers to all of the recorded requests."""

    async def scenario() -> dict[str, Answer]:
        with tempfile.TemporaryDirectory() as folder:
            async with meshed(Path(folder)) as mesh, mesh.pilot():
                await mesh.trusted()
                await mesh.api.create("namespaces", {"metadata": {"name": "bookinfons"}})
                return {
                    name: await request(mesh.api, _exchange(name)["request"]) for name in _NAMES
                }

    async def request(api: Any, request: Body) -> Answer:
        _, _, group, _, _, namespace, plural = request["path"].split("/")
        warnings: list[str] = []
        refusal: StatusError | None = None
        try:
            await api.create(
                f"{plural}.{group}",
                request["body"],
                namespace,
                dry_run=True,
                field_validation="Warn",
                warnings=warnings,
            )
        except StatusError as why:
            refusal = why
        warning = f"299 - {json.dumps(warnings[0])}" if warnings else None
        if refusal is None:
            return Answer(201, None, warning)
        return Answer(refusal.code, refusal.status, warning)

    return asyncio.run(scenario())


@pytest.mark.parametrize("name", _NAMES)
def test_the_answer_is_the_recorded_one(name: str) -> None:
    real = _exchange(name)["response"]
    refusal = None if real["status"] == 201 else real["body"]
    assert _answers()[name] == Answer(real["status"], refusal, real["headers"].get("Warning"))
