"""istiod as a workload, over a real API in memory and real HTTPS, with no cluster around it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec

import aiohttp
import pytest

from fixtures.providers.embedded.addresses import Block
from fixtures.providers.embedded.apiserver.admission import HOOKS, Webhooks
from fixtures.providers.embedded.apiserver.api import Api, StatusError
from fixtures.providers.embedded.apiserver.node import ContainerLog
from fixtures.providers.embedded.hooks import Hooks
from fixtures.providers.embedded.istio import faults
from fixtures.providers.embedded.istio.install import install
from fixtures.providers.embedded.istio.installation import Installation, installation
from fixtures.providers.embedded.istio.pilot import Pilot
from fixtures.providers.embedded.workloads.container_context import (
    ClusterContext,
    ContainerContext,
)
from tests.golden import Golden

Body = dict[str, Any]

_GROUP = "admissionregistration.k8s.io"
_VALIDATING = f"validatingwebhookconfigurations.{_GROUP}"
_MUTATING = f"mutatingwebhookconfigurations.{_GROUP}"
_SLICES = "endpointslices.discovery.k8s.io"
_GATEWAYS = "gateways.networking.istio.io"
_PATIENCE = 5


_ISTIO = installation("1.30.3")
_P = ParamSpec("_P")


def in_a_loop(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Run a test that waits."""

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Mesh:
    """A cluster of one istiod."""

    def __init__(self, folder: Path, istio: Installation) -> None:
        self.api = Api()
        self.block = Block.claim()
        self.hooks = Hooks(faults.HOOKS | HOOKS)
        self.webhooks = Webhooks(self.api, self.hooks)
        self.api.admission = self.webhooks
        self.cluster = ClusterContext(
            api=self.api,
            block=self.block,
            folder=folder,
            envoy=Path("envoy"),
            istio=istio,
            kube_version="1.34.4",
            node_name="node",
            hooks=self.hooks,
        )
        self.log = ContainerLog()

    async def prepare(self) -> None:
        """Install, with the namespaces and the node a cluster has."""
        for name in ("kube-system", "kube-public"):
            await self.api.create("namespaces", {"metadata": {"name": name}})
        space = {"metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}
        await self.api.create("namespaces", space)
        await self.api.create("serviceaccounts", {"metadata": {"name": "default"}}, "shop")
        node = {
            "metadata": {"name": "node"},
            "status": {"nodeInfo": {"kubeletVersion": "v1.34.4"}},
        }
        await self.api.create("nodes", node)
        await install(self.api, self.cluster.istio)

    @asynccontextmanager
    async def pilot(self) -> AsyncIterator[Pilot]:
        """istiod runs, and its Service has it as endpoint."""
        address = self.block.pods.take()
        pod = {"metadata": {"name": "istiod-x", "namespace": "istio-system"}}
        suffix = self.cluster.istio.words["suffix"]
        deployed = self.api.get("deployments.apps", f"istiod{suffix}", "istio-system")
        container = deployed["spec"]["template"]["spec"]["containers"][0]
        context = ContainerContext(pod, container, address, self.log, self.cluster)
        pilot = Pilot(context)
        await pilot.start()
        endpoints = [{"addresses": [address], "conditions": {"ready": True}}]
        slice_ = {
            "metadata": {
                "name": "istiod-x",
                "labels": {"kubernetes.io/service-name": f"istiod{suffix}"},
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "https-webhook", "port": 15017}],
        }
        await self.api.create(_SLICES, slice_, "istio-system")
        try:
            yield pilot
        finally:
            await self.api.delete(_SLICES, "istiod-x", "istio-system")
            await pilot.stop()

    async def becomes(self, kind: str, test: Any) -> None:
        """Wait for an object of a kind to be so."""
        async with asyncio.timeout(_PATIENCE):
            with self.api.watch(kind) as news:
                while not any(test(one) for one in self.api.list(kind)):
                    await news.get()

    async def trusted(self) -> None:
        """Wait until the API server heeds istiod."""

        def heeded(one: Body) -> bool:
            hook = one["webhooks"][0]
            named = one["metadata"]["name"] == "istiod-default-validator"
            return bool(named and hook["failurePolicy"] == "Fail")

        await self.becomes(_VALIDATING, heeded)

    async def pod(self, **labels: str) -> Body:
        """What becomes of a pod in the injected namespace."""
        body = {
            "metadata": {"generateName": "web-", "labels": {"app": "web", **labels}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        }
        return await self.api.create("pods", body, "shop", dry_run=True)


@asynccontextmanager
async def meshed(folder: Path, istio: Installation = _ISTIO) -> AsyncIterator[Mesh]:
    """An installed mesh whose istiod does not run yet."""
    mesh = Mesh(folder, istio)
    try:
        await mesh.prepare()
        yield mesh
    finally:
        await mesh.webhooks.close()
        mesh.block.close()


def _names(pod: Body) -> list[str]:
    return [one["name"] for one in pod["spec"].get("initContainers") or ()]


@in_a_loop
async def test_a_pod_gets_its_sidecar_once_istiod_runs(tmp_path: Path) -> None:
    async with meshed(tmp_path) as mesh, mesh.pilot():
        await mesh.trusted()
        assert _names(await mesh.pod()) == ["istio-init", "istio-proxy"]
        assert _names(await mesh.pod(**{"sidecar.istio.io/inject": "false"})) == []


@in_a_loop
async def test_without_istiod_no_pod_is_made(tmp_path: Path) -> None:
    async with meshed(tmp_path) as mesh:
        with pytest.raises(StatusError) as refused:
            await mesh.pod()
        assert refused.value.code == 500
        assert str(refused.value).endswith("connect: connection refused")
        assert 'failed calling webhook "namespace.sidecar-injector.istio.io"' in str(refused.value)


@in_a_loop
async def test_an_empty_gateway_is_refused_once_istiod_is_heeded(
    tmp_path: Path, golden: Golden
) -> None:
    gateway = {"metadata": {"name": "empty"}, "spec": {}}
    async with meshed(tmp_path) as mesh:
        await mesh.api.create(_GATEWAYS, gateway, "shop", dry_run=True)
        async with mesh.pilot():
            await mesh.trusted()
            with pytest.raises(StatusError) as refused:
                await mesh.api.create(_GATEWAYS, gateway, "shop", dry_run=True)
    golden(str(refused.value))
    assert refused.value.status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(refused.value),
        "code": 400,
    }


@in_a_loop
async def test_istiod_heals_a_ca_bundle_and_a_root_certificate(tmp_path: Path) -> None:
    async with meshed(tmp_path) as mesh, mesh.pilot():
        await mesh.trusted()
        right = mesh.api.get(_MUTATING, "istio-revision-tag-default")["webhooks"][0]
        bundle = right["clientConfig"]["caBundle"]
        wrong = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "eA=="}]
        await mesh.api.patch(_MUTATING, "istio-revision-tag-default", None, wrong, style="json")
        await mesh.becomes(
            _MUTATING,
            lambda one: all(
                hook["clientConfig"].get("caBundle") == bundle for hook in one["webhooks"]
            ),
        )
        await mesh.api.delete("configmaps", "istio-ca-root-cert", "shop")
        await mesh.becomes(
            "configmaps",
            lambda one: (
                one["metadata"]["name"] == "istio-ca-root-cert"
                and one["metadata"]["namespace"] == "shop"
            ),
        )
        assert mesh.api.find("configmaps", "istio-ca-root-cert", "kube-public") is None


@in_a_loop
async def test_the_root_outlives_istiod(tmp_path: Path) -> None:
    async with meshed(tmp_path) as mesh:
        async with mesh.pilot():
            await mesh.trusted()
        first = mesh.api.get("secrets", "istio-ca-secret", "istio-system")["data"]
        async with mesh.pilot():
            await mesh.trusted()
            assert _names(await mesh.pod())
        assert mesh.api.get("secrets", "istio-ca-secret", "istio-system")["data"] == first


@in_a_loop
async def test_istiod_reports_its_version_and_that_it_is_ready(tmp_path: Path) -> None:
    async with meshed(tmp_path) as mesh, mesh.pilot() as pilot:
        base = f"http://{pilot._context.address}"
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{base}:15014/version") as version:
                assert (await version.text()).split("-")[0] == "1.30.3"
            async with client.get(f"{base}:8080/ready") as ready:
                assert ready.status == 200
            async with client.get(f"{base}:15014/debug/syncz") as debug:
                assert debug.status == 401


@pytest.mark.parametrize(
    ("hook", "reported"),
    [
        (faults.EXPIRED, "x509: certificate has expired or is not yet valid"),
        (faults.SILENT, "context deadline exceeded"),
    ],
)
@in_a_loop
async def test_a_broken_injector_lets_no_pod_be_made(
    tmp_path: Path, hook: str, reported: str
) -> None:
    async with meshed(tmp_path) as mesh, mesh.pilot():
        await mesh.trusted()
        await mesh.pod()
        soon = [
            {"op": "replace", "path": f"/webhooks/{number}/timeoutSeconds", "value": 1}
            for number in range(4)
        ]
        await mesh.api.patch(_MUTATING, "istio-revision-tag-default", None, soon, style="json")
        mesh.hooks.set(hook)
        with pytest.raises(StatusError, match=reported):
            await mesh.pod()
        mesh.hooks.set(hook, on=False)
        assert _names(await mesh.pod())


@pytest.mark.parametrize("hook", ["init-user-wrong", "sidecar-image-wrong", faults.SKIPS])
@in_a_loop
async def test_a_hook_spoils_the_pod(tmp_path: Path, hook: str) -> None:
    async with meshed(tmp_path) as mesh, mesh.pilot():
        await mesh.trusted()
        right = (await mesh.pod())["spec"]
        mesh.hooks.set(hook)
        assert (await mesh.pod())["spec"] != right
