"""Roles and bindings decide, in the real server's words."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fixtures.providers.embedded.apiserver import access as accounts
from tests.embedded.small import in_a_loop
from tests.embedded.test_api_http import HERE, MAPS, Client, a_server

Body = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
ROLES = f"/apis/{RBAC}/v1/namespaces/here/roles"
BINDINGS = f"/apis/{RBAC}/v1/namespaces/here/rolebindings"
REVIEWS = "/apis/authorization.k8s.io/v1"
ME = "system:serviceaccount:here:default"
GROUPS = '"system:serviceaccounts" "system:serviceaccounts:here" "system:authenticated"'
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

    async def ask(self, path: str, method: str = "GET", body: Any = None, **how: Any) -> Any:
        return await self.client.ask(
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
        return int((await self.ask(path, method, body, **how)).code)


@asynccontextmanager
async def weak() -> AsyncIterator[Weak]:
    async with a_server() as client:
        asked = await client.ask(f"{HERE}/serviceaccounts/default/token", "POST", {})
        yield Weak(client, asked.body["status"]["token"])


@in_a_loop
async def test_without_a_binding_nothing_is_allowed() -> None:
    async with weak() as account:
        refused = await account.ask(f"{MAPS}/m")
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
        await account.client.ask(f"{ROLES}/r", "DELETE")
        gone = await account.ask(f"{MAPS}/m")
        assert gone.body["message"].endswith(f': RBAC: role.{RBAC} "r" not found')


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
        refused = await account.ask("/livez")
        assert refused.body["message"] == f'forbidden: User "{ME}" cannot get path "/livez"'


@in_a_loop
async def test_an_apply_that_makes_an_object_needs_create_too() -> None:
    async with weak() as account:
        await account.allow(rule("patch", "configmaps"))
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}
        how = {"Content-Type": "application/apply-patch+yaml"}
        path = f"{MAPS}/m?fieldManager=test"
        refused = await account.ask(path, "PATCH", body, **how)
        assert refused.code == 403
        assert "cannot create resource" in refused.body["message"]
        await account.client.api.create("configmaps", {"metadata": {"name": "m"}}, "here")
        assert await account.code(path, "PATCH", body, **how) == 200


@in_a_loop
async def test_a_forward_over_a_websocket_needs_create_too_since_1_35() -> None:
    async with weak() as account:
        await account.allow(rule("get", "pods/portforward"))
        refused = await account.ask(f"{HERE}/pods/p/portforward")
        assert 'cannot create resource "pods/portforward"' in refused.body["message"]


@in_a_loop
async def test_nobody_hands_on_what_he_does_not_hold() -> None:
    async with weak() as account:
        await account.allow(
            rule("create", "roles rolebindings", RBAC), rule("get patch", "configmaps")
        )
        wanted = rule("patch delete", "configmaps"), rule("get list", "pods", "", "p")
        refused = await account.ask(ROLES, "POST", role("Role", "more", *wanted))
        assert refused.code == 403
        assert refused.body["message"] == (
            f'roles.{RBAC} "more" is forbidden: user "{ME}" (groups=[{GROUPS}]) is attempting to '
            "grant RBAC permissions not currently held:\n"
            '{APIGroups:[""], Resources:["configmaps"], Verbs:["delete"]}\n'
            '{APIGroups:[""], Resources:["pods"], ResourceNames:["p"], Verbs:["get" "list"]}'
        )
        await account.client.api.create(f"roles.{RBAC}", role("Role", "more", *wanted), "here")
        bound = binding("RoleBinding", "more", "more", ACCOUNT)
        assert await account.code(BINDINGS, "POST", bound) == 403
        absent = await account.ask(BINDINGS, "POST", binding("RoleBinding", "a", "absent"))
        assert (absent.code, absent.body["details"]["name"]) == (404, "absent")
        less = role("Role", "less", rule("get", "configmaps", "", "m"))
        assert await account.code(ROLES, "POST", less) == 201
        assert await account.code(BINDINGS, "POST", binding("RoleBinding", "l", "less")) == 201


@in_a_loop
async def test_who_may_escalate_and_bind_may() -> None:
    async with weak() as account:
        await account.allow(
            rule("create escalate", "roles", RBAC),
            rule("create", "rolebindings", RBAC),
            rule("bind", "roles", RBAC, "more"),
        )
        more = role("Role", "more", rule("delete", "pods"))
        assert await account.code(ROLES, "POST", more) == 201
        assert await account.code(BINDINGS, "POST", binding("RoleBinding", "m", "more")) == 201
        await account.client.api.create(
            f"roles.{RBAC}", role("Role", "x", more["rules"][0]), "here"
        )
        assert await account.code(BINDINGS, "POST", binding("RoleBinding", "x", "x")) == 403


@in_a_loop
async def test_reviews_tell_the_truth() -> None:
    async with weak() as account:
        reviewing = rule("create", "*", "authorization.k8s.io")
        await account.allow(reviewing, rule("get", "configmaps"), everywhere=True)

        async def asked(kind: str, spec: Body) -> Any:
            head = {"apiVersion": "authorization.k8s.io/v1", "kind": kind}
            path = f"{REVIEWS}/{kind.lower()}s"
            return (await account.ask(path, "POST", head | {"spec": spec})).body["status"]

        get = {"resourceAttributes": {"verb": "get", "resource": "configmaps"}}
        granted = 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to ServiceAccount '
        assert await asked("SelfSubjectAccessReview", get) == {
            "allowed": True,
            "reason": f'{granted}"default/here"',
        }
        get["resourceAttributes"]["verb"] = "list"
        assert await asked("SelfSubjectAccessReview", get) == {"allowed": False}
        other = get | {"user": "kubernetes-admin", "groups": ["kubeadm:cluster-admins"]}
        assert (await asked("SubjectAccessReview", other))["allowed"] is True
        rules = await asked("SelfSubjectRulesReview", {"namespace": "here"})
        assert rule("get", "configmaps") in rules["resourceRules"]
        assert rules["nonResourceRules"] == []


@in_a_loop
async def test_who_may_pose_as_another_is_held_to_what_that_one_may() -> None:
    async with weak() as account:
        await account.allow(rule("get", "configmaps"))
        as_account = {"Impersonate-User": ME}
        assert (await account.client.ask(f"{MAPS}/m", **as_account)).code == 404
        assert (await account.client.ask(MAPS, **as_account)).code == 403
        refused = await account.ask(f"{MAPS}/m", **{"Impersonate-User": "kubernetes-admin"})
        assert refused.body["message"] == (
            f'users "kubernetes-admin" is forbidden: User "{ME}" cannot impersonate resource '
            '"users" in API group "" at the cluster scope'
        )


@in_a_loop
async def test_a_token_ends_with_its_time_and_with_its_account() -> None:
    async with weak() as account:
        assert await account.code(MAPS) == 403
        later = time.time() + accounts.HOUR + 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", lambda: later)
            assert await account.code(MAPS) == 401
        await account.client.ask(f"{HERE}/serviceaccounts/default", "DELETE")
        assert await account.code(MAPS) == 401
