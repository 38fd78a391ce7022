"""Which writes the API server asks webhooks about, and what it makes of their answers."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from fixtures.providers.embedded.apiserver.admission import HOOKS, OFF, Webhooks
from fixtures.providers.embedded.apiserver.api import Api, StatusError
from fixtures.providers.embedded.hooks import Hooks
from fixtures.providers.embedded.istio import pilot
from fixtures.providers.embedded.istio.installation import installation

Body = dict[str, Any]

_CA, _STRANGER = pilot.make_ca(), pilot.make_ca()
_GROUP = "admissionregistration.k8s.io"
_POST = 'Post "https://istiod.istio-system.svc:443/ask?timeout=10s"'


def _bundle(authority: trustme.CA) -> str:
    return base64.b64encode(authority.cert_pem.bytes()).decode()


class Setup:
    """A cluster with one webhook, which answers what a test says and keeps what it was asked."""

    def __init__(self) -> None:
        self.api = Api()
        self.hooks = Hooks(HOOKS)
        self.questions: list[Body] = []
        self.answer: Body = {"allowed": True}
        self.status = 200

    async def _answer(self, request: web.Request) -> web.Response:
        question = await request.json()
        self.questions.append(question["request"])
        response = {"uid": question["request"]["uid"], **self.answer}
        return web.json_response({**question, "response": response}, status=self.status)

    async def serve(self, folder: Path) -> web.AppRunner:
        """Listen, behind the Service that webhooks name."""
        pem = folder / "pem"
        pem.write_bytes(pilot.issue_certificate(_CA, installation("1.30.3")))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        app = web.Application()
        app.router.add_post("/ask", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        address, port = runner.addresses[0][:2]
        for name in ("istio-system", "shop"):
            await self.api.create("namespaces", {"metadata": {"name": name}})
        ports = [{"name": "webhook", "port": 443, "targetPort": port}]
        service = {"metadata": {"name": "istiod"}, "spec": {"ports": ports}}
        await self.api.create("services", service, "istio-system")
        slice_ = {
            "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "istiod"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "webhook", "port": port}],
        }
        await self.api.create("endpointslices.discovery.k8s.io", slice_, "istio-system")
        return runner

    async def register(self, kind: str = "validating", **changes: Any) -> None:
        """Register the webhook; it is called for new ConfigMaps unless `changes` say otherwise."""
        rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"]}
        service = {"namespace": "istio-system", "name": "istiod", "path": "/ask", "port": 443}
        config = {"service": service, "caBundle": _bundle(_CA)}
        hook = {
            "name": "hook.example.com",
            "clientConfig": config | changes.pop("config", {}),
            "rules": [rule | {"resources": ["configmaps"]} | changes.pop("rule", {})],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Fail",
            "timeoutSeconds": 10,
        }
        body = {"metadata": {"name": "hooks"}, "webhooks": [hook | changes]}
        await self.api.create(f"{kind}webhookconfigurations.{_GROUP}", body)

    async def write(self, **how: Any) -> Body:
        """Make a ConfigMap."""
        body = {"metadata": {"name": "one", "labels": {"app": "one"}}, "data": {"a": "1"}}
        return await self.api.create("configmaps", body, "shop", **how)

    async def refused(self, **how: Any) -> StatusError:
        """Make a ConfigMap and be refused."""
        with pytest.raises(StatusError) as refusal:
            await self.write(**how)
        return refusal.value


@asynccontextmanager
async def _set_up(folder: Path) -> AsyncIterator[Setup]:
    setup = Setup()
    webhooks = Webhooks(setup.api, setup.hooks)
    setup.api.admission = webhooks
    runner = await setup.serve(folder)
    try:
        yield setup
    finally:
        await webhooks.close()
        await runner.cleanup()


def _play(folder: Path, story: Callable[[Setup], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with _set_up(folder) as setup:
            await story(setup)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, 1),
        ({"rule": {"operations": ["UPDATE"]}}, 0),
        ({"rule": {"operations": ["*"]}}, 1),
        ({"rule": {"apiGroups": ["apps"]}}, 0),
        ({"rule": {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}}, 1),
        ({"rule": {"resources": ["pods"]}}, 0),
        ({"rule": {"resources": ["configmaps/status"]}}, 0),
        ({"rule": {"scope": "Cluster"}}, 0),
        ({"objectSelector": {"matchLabels": {"app": "one"}}}, 1),
        ({"objectSelector": {"matchLabels": {"app": "two"}}}, 0),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}, 1),
        ({"namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}}}, 0),
    ],
)
def test_rules_and_selectors_say_who_is_called(tmp_path: Path, changes: Body, wanted: int) -> None:
    async def story(setup: Setup) -> None:
        await setup.register(**changes)
        await setup.write(dry_run=True)
        assert len(setup.questions) == wanted

    _play(tmp_path, story)


def test_the_question_reports_what_is_about_to_happen(tmp_path: Path) -> None:
    async def story(setup: Setup) -> None:
        await setup.register()
        await setup.write(dry_run=True, user="mary")
        question = setup.questions[0]
        assert question["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
        assert question["userInfo"]["username"] == "mary"
        assert question["dryRun"] is True
        assert (question["name"], question["namespace"]) == ("one", "shop")
        assert question["object"]["data"] == {"a": "1"}
        assert "uid" not in question["object"]["metadata"]

    _play(tmp_path, story)


def test_a_patch_is_applied_before_the_object_is_kept(tmp_path: Path) -> None:
    async def story(setup: Setup) -> None:
        patch = [{"op": "add", "path": "/data/b", "value": "2"}]
        encoded = base64.b64encode(json.dumps(patch).encode()).decode()
        setup.answer |= {"patchType": "JSONPatch", "patch": encoded}
        await setup.register("mutating")
        assert (await setup.write())["data"] == {"a": "1", "b": "2"}
        assert setup.api.get("configmaps", "one", "shop")["data"] == {"a": "1", "b": "2"}

    _play(tmp_path, story)


@pytest.mark.parametrize(
    ("status", "code", "reported"),
    [
        ({"message": "too blue"}, 400, ": too blue"),
        ({"message": "too blue", "code": 403, "reason": "Forbidden"}, 403, ": too blue"),
        ({}, 400, " without explanation"),
    ],
)
def test_a_refusal_is_reported_in_the_servers_words(
    tmp_path: Path, status: Body, code: int, reported: str
) -> None:
    async def story(setup: Setup) -> None:
        setup.answer = {"allowed": False, "status": status}
        await setup.register()
        refusal = await setup.refused()
        denied = f'admission webhook "hook.example.com" denied the request{reported}'
        assert (refusal.code, str(refusal)) == (code, denied)
        assert setup.api.find("configmaps", "one", "shop") is None

    _play(tmp_path, story)


def test_warnings_are_handed_on(tmp_path: Path) -> None:
    async def story(setup: Setup) -> None:
        setup.answer |= {"warnings": ["mind the gap"]}
        await setup.register()
        warnings: list[str] = []
        await setup.write(warnings=warnings)
        assert warnings == ["mind the gap"]

    _play(tmp_path, story)


_BROKEN = {
    "unknown-authority": (
        {"caBundle": _bundle(_STRANGER)},
        (
            f"failed to call webhook: {_POST}: tls: failed to verify certificate: "
            "x509: certificate signed by unknown authority"
        ),
    ),
    "no-certificate": (
        {"caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUI="},
        (
            "could not get REST client: unable to load root certificates: "
            "unable to parse bytes as PEM block"
        ),
    ),
    "no-service": (
        {"service": {"namespace": "istio-system", "name": "nobody", "path": "/ask", "port": 443}},
        (
            'failed to call webhook: Post "https://nobody.istio-system.svc:443/ask?timeout=10s": '
            'service "nobody" not found'
        ),
    ),
    "no-path": (
        {"service": {"namespace": "istio-system", "name": "istiod", "path": "/x", "port": 443}},
        "failed to call webhook: the server could not find the requested resource",
    ),
}


@pytest.mark.parametrize("case", _BROKEN)
def test_a_hook_that_cannot_be_called_fails_the_write_or_is_passed_over(
    tmp_path: Path, case: str
) -> None:
    config, why = _BROKEN[case]

    async def story(setup: Setup) -> None:
        await setup.register(config=config)
        refusal = await setup.refused()
        message = f'failed calling webhook "hook.example.com": {why}'
        assert str(refusal) == f"Internal error occurred: {message}"
        assert (refusal.code, refusal.reason) == (500, "InternalError")

    async def passed_over(setup: Setup) -> None:
        await setup.register(config=config, failurePolicy="Ignore")
        await setup.write()

    _play(tmp_path, story)
    _play(tmp_path, passed_over)


def test_a_service_without_endpoints_refuses_connections(tmp_path: Path) -> None:
    async def story(setup: Setup) -> None:
        await setup.register()
        await setup.api.delete("endpointslices.discovery.k8s.io", "s", "istio-system")
        address = setup.api.get("services", "istiod", "istio-system")["spec"].get("clusterIP", "")
        message = f"{_POST}: dial tcp {address}:443: connect: connection refused"
        assert str(await setup.refused()).endswith(message)

    _play(tmp_path, story)


def test_the_configurations_themselves_are_never_reviewed(tmp_path: Path) -> None:
    async def story(setup: Setup) -> None:
        everything = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"]}
        await setup.register(rule=everything | {"resources": ["*"]})
        name = f"validatingwebhookconfigurations.{_GROUP}"
        await setup.api.patch(name, "hooks", None, {"metadata": {"labels": {"a": "b"}}})
        assert setup.questions == []

    _play(tmp_path, story)


def test_mutating_webhooks_can_be_turned_off(tmp_path: Path) -> None:
    async def story(setup: Setup) -> None:
        await setup.register("mutating")
        setup.hooks.set(OFF)
        await setup.write(dry_run=True)
        setup.hooks.set(OFF, on=False)
        await setup.write()
        assert len(setup.questions) == 1

    _play(tmp_path, story)
