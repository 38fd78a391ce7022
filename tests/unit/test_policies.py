"""Policies that change pods without a webhook: which are for new pods, and how they are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.claims import start_observing
from fixtures.istio import policies
from fixtures.istio.policies import BINDINGS, POLICIES, Policy
from fixtures.k8s import Body, Kube, Refused
from tests.golden import Golden
from tests.unit.states import FakeKube, as_kube

PODS = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
TITLE = "MutatingAdmissionPolicy limits (bound by everywhere) may change"
EXISTS = {"matchExpressions": [{"key": "team", "operator": "Exists"}]}


def a_policy(*rules: Body, name: str = "limits", **more: Any) -> Body:
    spec = {
        "matchConstraints": {"resourceRules": list(rules) or [PODS], **more.pop("where", {})},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}],
        **more,
    }
    return {"metadata": {"name": name}, "spec": spec}


def a_binding(policy: str = "limits", **more: Any) -> Body:
    return {"metadata": {"name": "everywhere"}, "spec": {"policyName": policy, **more}}


def of(*bodies: Body, bindings: list[Body] | None = None) -> tuple[Policy, ...]:
    bound = [a_binding()] if bindings is None else bindings
    state = {f"{_key(POLICIES)}": list(bodies), f"{_key(BINDINGS)}": bound}
    return policies.for_new_pods(as_kube(FakeKube(state)))


def _key(kind: str) -> str:
    plural, _, group = kind.partition(".")
    return f"{group}/v1/{plural}"


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({}, id="new pods"),
        pytest.param({"operations": ["*"], "apiGroups": ["*"], "resources": ["*/*"]}, id="all"),
        pytest.param({"resources": ["services", "*"], "scope": "Namespaced"}, id="among others"),
    ],
)
def test_a_bound_policy_for_new_pods_is_found(rule: Body) -> None:
    (found,) = of(a_policy({**PODS, **rule}))
    assert (found.name, found.binding) == ("limits", "everywhere")


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"operations": ["UPDATE"]}, id="changes"),
        pytest.param({"apiGroups": ["apps"]}, id="another group"),
        pytest.param({"resources": ["pods/status", "pods/*"]}, id="parts of pods"),
        pytest.param({"scope": "Cluster"}, id="no namespace"),
        pytest.param({"resourceNames": ["one"]}, id="one pod"),
        pytest.param({"apiVersions": ["v2"]}, id="another version"),
    ],
)
def test_one_for_something_else_is_not(rule: Body) -> None:
    assert of(a_policy({**PODS, **rule})) == ()


def test_one_without_a_binding_does_nothing() -> None:
    assert of(a_policy(), bindings=[]) == ()
    assert of(a_policy(), bindings=[a_binding("another")]) == ()


def test_rules_of_a_binding_narrow_it_and_excluded_ones_end_it() -> None:
    services = {**PODS, "resources": ["services"]}
    assert of(a_policy(), bindings=[a_binding(matchResources={"resourceRules": [services]})]) == ()
    assert of(a_policy(where={"excludeResourceRules": [PODS]})) == ()
    assert of(a_policy(), bindings=[a_binding(matchResources={"namespaceSelector": EXISTS})])


def test_selectors_of_both_must_choose_a_pod(golden: Golden) -> None:
    limits = {"namespaceSelector": EXISTS}
    (found,) = of(
        a_policy(where={"objectSelector": {"matchLabels": {"app": "web"}}}),
        bindings=[a_binding(matchResources=limits)],
    )
    assert found.matches({"team": "x"}, {"app": "web"})
    assert not found.matches({}, {"app": "web"})
    assert not found.matches({"team": "x"}, {})
    golden(found.limits)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {},
            f"{TITLE} a plain pod, too: JSONPatch, before the webhooks",
        ),
        (
            {"reinvocationPolicy": "IfNeeded", "matchConditions": [{"expression": "true"}]},
            f"{TITLE} a plain pod, too: JSONPatch, after the webhooks, too, on conditions",
        ),
        (
            {"where": {"namespaceSelector": EXISTS}},
            f"{TITLE} pods in namespaces where team Exists, too: JSONPatch, before the webhooks",
        ),
    ],
)
def test_a_reader_is_reported_of_each(more: dict[str, Any], told: str) -> None:
    seen = start_observing()
    policies.tell(of(a_policy(**more)), {"istio-injection": "enabled"})
    assert seen.notes == [told]
    assert [one.name for one in seen.values] == ["MutatingAdmissionPolicy limits"]


class Refusing(FakeKube):
    """A server that refuses to list them, and may have them in an earlier version."""

    def __init__(self, code: int, beta: dict[str, list[Body]]) -> None:
        paths = {f"/apis/{policies.GROUP}/v1beta1/{key}": {"items": beta[key]} for key in beta}
        super().__init__({}, paths)
        self._code = code
        self.kinds = SimpleNamespace(
            served=lambda _: ["v1", "v1beta1"], plurals=lambda *_: frozenset(beta)
        )

    def list(self, kind: str, *_: Any, **__: Any) -> list[Body]:
        raise Refused(self._code, message=f"{kind} cannot be listed")


@pytest.mark.parametrize(
    ("code", "notes"),
    [
        pytest.param(404, 0, id="a server that has no such kind"),
        pytest.param(403, 1, id="a user who may not list them"),
    ],
)
def test_what_cannot_be_listed_is_no_failure(code: int, notes: int) -> None:
    kube: Kube = as_kube(Refusing(code, {}))
    seen = start_observing()
    assert policies.for_new_pods(kube) == ()
    assert len(seen.notes) == notes


def test_a_server_that_has_only_the_beta_is_requested_that() -> None:
    plurals = [kind.partition(".")[0] for kind in (POLICIES, BINDINGS)]
    beta = dict(zip(plurals, ([a_policy()], [a_binding()]), strict=True))
    (found,) = policies.for_new_pods(as_kube(Refusing(404, beta)))
    assert found.name == "limits"


def test_another_failure_is_one() -> None:
    with pytest.raises(Refused, match="cannot be listed"):
        policies.for_new_pods(as_kube(Refusing(500, {})))
