"""Pods of the sample as the embedded cluster stores them, against those of real clusters."""

from __future__ import annotations

import asyncio
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.test_pilot import Mesh, meshed
from tests.fidelity import recorded

Body = dict[str, Any]

_WAYS = recorded.WAYS | {"4-injected": recorded.NATIVE}
_WAYS.pop("2-istio-installed")  # which has no sample
_WAYS.pop("ambient/bookinfo")  # whose sample has no sidecars
_APPS = ("details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3")
_TOKEN = "kube-api-access-"


def _one(state: str, kind: str, app: str) -> Body:
    """The only living object of a kind that belongs to one Deployment."""
    found: Body = next(
        one
        for one in recorded.state(state)[kind]
        if one["metadata"]["name"].startswith(f"{app}-")
        and "deletionTimestamp" not in one["metadata"]
        and (one["kind"] != "Pod" or one["spec"].get("initContainers"))
    )
    return found


def _specified(state: str, app: str) -> Body:
    """The pod that the ReplicaSet asks for."""
    replicas = _one(state, "apps/v1/replicasets", app)
    metadata = replicas["spec"]["template"]["metadata"]
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": replicas["metadata"]["name"],
        "uid": replicas["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "metadata": {
            "generateName": f"{replicas['metadata']['name']}-",
            "labels": metadata["labels"],
            "annotations": metadata.get("annotations", {}),
            "ownerReferences": [owner],
        },
        "spec": replicas["spec"]["template"]["spec"],
    }


@cache
def _made(state: str) -> dict[str, Body]:
    """What the embedded cluster makes of all of them."""

    async def scenario() -> dict[str, Body]:
        with tempfile.TemporaryDirectory() as folder:
            async with meshed(Path(folder), _WAYS[state]) as mesh, mesh.pilot():
                await mesh.trusted()
                namespaces = recorded.state(state)["v1/namespaces"]
                space = next(one for one in namespaces if one["metadata"]["name"] == "bookinfons")
                metadata = {key: space["metadata"][key] for key in ("name", "labels")}
                await mesh.api.create("namespaces", {"metadata": metadata})
                return {app: await make(mesh, app) for app in _APPS}

    async def make(mesh: Mesh, app: str) -> Body:
        specified = _specified(state, app)
        account = specified["spec"]["serviceAccountName"]
        if mesh.api.find("serviceaccounts", account, "bookinfons") is None:
            account_ = {"metadata": {"name": account}}
            await mesh.api.create("serviceaccounts", account_, "bookinfons")
        return await mesh.api.create("pods", specified, "bookinfons")

    return asyncio.run(scenario())


def _comparable(pod: Body) -> Body:
    """The pod without the scheduler's choice and random names."""
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    token = next(one["name"] for one in spec["volumes"] if one["name"].startswith(_TOKEN))
    known = ("labels", "annotations", "generateName", "ownerReferences")
    metadata = {key: pod["metadata"][key] for key in known}
    whole: Body = json.loads(json.dumps([spec, metadata]).replace(token, _TOKEN))
    return whole


@pytest.mark.parametrize("app", _APPS)
@pytest.mark.parametrize("state", _WAYS)
def test_the_stored_pod_is_that_of_a_real_cluster(state: str, app: str) -> None:
    assert _comparable(_made(state)[app]) == _comparable(_one(state, "v1/pods", app))
