"""Roles and bindings decide, in the real server's words."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fixtures.providers.embedded.apiserver import authorization
from tests.embedded.small import in_a_loop
from tests.embedded.test_api_http import HERE, MAPS, Client, a_server

Body = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
ROLES = f"/apis/{RBAC}/v1/namespaces/here/roles"
REVIEWS = "/apis/authorization.k8s.io/v1"
ME = "system:serviceaccount:here:default"
ACCOUNT = {"kind": "ServiceAccount", "name": "default", "namespace": "here"}


def rule(verbs: str, resources: str, group: str = "", *names: str) -> Body:
    found = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return found | ({"resourceNames": [*names]} if names else {})


def role(kind: str, name: str, *rules: Body) -> Body:
    meta = {"name": name}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta, "rules": [*rules]}


def binding(kind: str, name: str, of: str, *subjects: Body) -> Body:
    of_kind = "Role" if kind == "RoleBinding" else "ClusterRole"
    ref = {"apiGroup": RBAC, "kind": of_kind, "name": of}
    head = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}}
    return head | {"subjects": [*subjects], "roleRef": ref}


class Weak:
    """A service account and what it may do."""

    def __init__(self, client: Client, token: str) -> None:
        self.client = client
        self.token = token

    async def request(self, path: str, method: str = "GET", body: Any = None, **how: Any) -> Any:
        return await self.client.request(
            path, method, body, Authorization=f"Bearer {self.token}", **how
        )

    async def allow(self, *rules: Body, everywhere: bool = False, subject: Body = ACCOUNT) -> None:
        api, prefix = self.client.api, "Cluster" if everywhere else ""
        place = None if everywhere else "here"
        made = role(f"{prefix}Role", "r", *rules)
        await api.create(f"{prefix.lower()}roles.{RBAC}", made, place)
        made = binding(f"{prefix}RoleBinding", "b", "r", subject)
        await api.create(f"{prefix.lower()}rolebindings.{RBAC}", made, place)

    async def code(self, path: str, method: str = "GET", body: Any = None, **how: Any) -> int:
        return int((await self.request(path, method, body, **how)).code)


@asynccontextmanager
async def weak() -> AsyncIterator[Weak]:
    async with a_server() as client:
        requested = await client.request(f"{HERE}/serviceaccounts/default/token", "POST", {})
        yield Weak(client, requested.body["status"]["token"])


@in_a_loop
async def test_without_a_binding_nothing_is_allowed() -> None:
    async with weak() as account:
        refused = await account.request(f"{MAPS}/m")
        assert refused.code == 403
        assert refused.body["details"] == {"name": "m", "kind": "configmaps"}
        assert refused.body["message"] == (
            f'configmaps "m" is forbidden: User "{ME}" cannot get resource "configmaps" in API '
            'group "" in the namespace "here"'
        )


@in_a_loop
async def test_a_role_holds_in_its_namespace_for_its_verbs_and_takes_effect_at_once() -> None:
    async with weak() as account:
        await account.allow(rule("get create", "configmaps"))
        assert await account.code(f"{MAPS}/m") == 404
        assert await account.code(MAPS) == 403
        assert await account.code("/api/v1/namespaces/default/configmaps/m") == 403
        assert await account.code(f"{HERE}/secrets/m") == 403
        await account.client.request(f"{ROLES}/r", "DELETE")
        gone = await account.request(f"{MAPS}/m")
        assert gone.code == 403


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param("User", ME, id="by its name"),
        pytest.param("Group", "system:serviceaccounts:here", id="its namespace's accounts"),
        pytest.param("Group", "system:serviceaccounts", id="all accounts"),
        pytest.param("Group", "system:authenticated", id="everybody known"),
    ],
)
@in_a_loop
async def test_a_cluster_role_holds_everywhere_for_users_and_groups(kind: str, name: str) -> None:
    async with weak() as account:
        subject = {"kind": kind, "name": name, "apiGroup": RBAC}
        await account.allow(rule("list", "*"), everywhere=True, subject=subject)
        assert await account.code(MAPS) == await account.code("/api/v1/configmaps") == 200
        assert await account.code(f"{MAPS}/m") == 403
        assert await account.code("/apis/apps/v1/deployments") == 403


@in_a_loop
async def test_names_subresources_and_paths() -> None:
    async with weak() as account:
        paths = {"verbs": ["get"], "nonResourceURLs": ["/readyz", "/apis*"]}
        rules = rule("get", "configmaps", "", "mine"), rule("get", "pods/log */status"), paths
        await account.allow(*rules, everywhere=True)
        assert await account.code(f"{MAPS}/mine") == 404
        assert await account.code(f"{MAPS}/yours") == 403
        assert await account.code(f"{HERE}/pods/p/log") == 404
        assert await account.code(f"{HERE}/pods/p") == 403
        assert await account.code("/api/v1/namespaces/here/status") == 200
        assert await account.code("/readyz") == await account.code("/apis/apps/v1") == 200
        refused = await account.request("/livez")
        assert refused.body["message"] == f'forbidden: User "{ME}" cannot get path "/livez"'


@in_a_loop
async def test_an_apply_that_makes_an_object_needs_create_too() -> None:
    async with weak() as account:
        await account.allow(rule("patch", "configmaps"))
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}
        how = {"Content-Type": "application/apply-patch+yaml"}
        path = f"{MAPS}/m?fieldManager=test"
        refused = await account.request(path, "PATCH", body, **how)
        assert refused.code == 403
        assert "cannot create resource" in refused.body["message"]
        await account.client.api.create("configmaps", {"metadata": {"name": "m"}}, "here")
        assert await account.code(path, "PATCH", body, **how) == 200


@in_a_loop
async def test_a_forward_over_a_websocket_needs_create_too_since_1_35() -> None:
    async with weak() as account:
        await account.allow(rule("get", "pods/portforward"))
        refused = await account.request(f"{HERE}/pods/p/portforward")
        assert 'cannot create resource "pods/portforward"' in refused.body["message"]


@in_a_loop
async def test_reviews_are_true() -> None:
    async with weak() as account:
        reviewing = rule("create", "*", "authorization.k8s.io")
        await account.allow(reviewing, rule("get", "configmaps"), everywhere=True)

        async def requested(kind: str, spec: Body) -> Any:
            head = {"apiVersion": "authorization.k8s.io/v1", "kind": kind}
            path = f"{REVIEWS}/{kind.lower()}s"
            return (await account.request(path, "POST", head | {"spec": spec})).body["status"]

        get = {"resourceAttributes": {"verb": "get", "resource": "configmaps"}}
        assert await requested("SelfSubjectAccessReview", get) == {
            "allowed": True,
            "reason": "RBAC: allowed by a binding",
        }
        get["resourceAttributes"]["verb"] = "list"
        assert await requested("SelfSubjectAccessReview", get) == {"allowed": False}
        rules = await requested("SelfSubjectRulesReview", {"namespace": "here"})
        assert rule("get", "configmaps") in rules["resourceRules"]
        assert rules["nonResourceRules"] == []


@in_a_loop
async def test_nobody_acts_as_another() -> None:
    async with weak() as account:
        refused = await account.client.request(f"{MAPS}/m", **{"Impersonate-User": ME})
        message = "impersonation (--as) is not offered by the embedded cluster"
        assert (refused.code, refused.body["message"]) == (400, message)


@in_a_loop
async def test_a_token_ends_with_its_time_and_with_its_account() -> None:
    async with weak() as account:
        assert await account.code(MAPS) == 403
        later = time.time() + authorization.HOUR + 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", lambda: later)
            assert await account.code(MAPS) == 401
        await account.client.request(f"{HERE}/serviceaccounts/default", "DELETE")
        assert await account.code(MAPS) == 401
