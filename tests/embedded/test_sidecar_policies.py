"""Which policy counts for a port of a workload, and what a proxy is told to deny."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.providers.embedded.dataplane import policies
from fixtures.providers.embedded.dataplane.mesh import TLS_MODE, Endpoint, Mesh, Proxy

Body = dict[str, Any]
PROXY = Proxy("shop", {"app": "cart"}, "10.0.0.1")
ONE, ANOTHER = {"matchLabels": {"app": "cart"}}, {"matchLabels": {"app": "menu"}}


def policy(mode: str, namespace: str = "shop", *, age: int = 1, **spec: Any) -> Body:
    """A PeerAuthentication, of so many days ago."""
    made = f"2026-11-{20 - age:02}T00:00:00Z"
    metadata = {"name": f"p{age}", "namespace": namespace, "creationTimestamp": made}
    return {"metadata": metadata, "spec": {"mtls": {"mode": mode}, **spec}}


def ports(**modes: str) -> Body:
    return {"portLevelMtls": {number[1:]: {"mode": mode} for number, mode in modes.items()}}


@pytest.mark.parametrize(
    ("there", "mode"),
    [
        ([], "PERMISSIVE"),
        ([policy("STRICT", "istio-system")], "STRICT"),
        ([policy("STRICT", "elsewhere")], "PERMISSIVE"),
        ([policy("STRICT", "istio-system"), policy("PERMISSIVE")], "PERMISSIVE"),
        ([policy("PERMISSIVE"), policy("STRICT", selector=ONE)], "STRICT"),
        ([policy("PERMISSIVE"), policy("STRICT", selector=ANOTHER)], "PERMISSIVE"),
        ([policy("STRICT", selector=ONE, **ports(p80="DISABLE"))], "DISABLE"),
        ([policy("STRICT", selector=ONE, **ports(p81="DISABLE"))], "STRICT"),
        ([policy("STRICT", **ports(p80="DISABLE"))], "STRICT"),
        ([policy("STRICT", "istio-system"), policy("UNSET")], "STRICT"),
        ([policy("STRICT", age=1), policy("PERMISSIVE", age=9)], "PERMISSIVE"),
        ([policy("STRICT", age=9), policy("PERMISSIVE", age=1)], "STRICT"),
    ],
    ids=[
        "none",
        "the mesh's",
        "of another namespace",
        "the namespace's over the mesh's",
        "the workload's over the namespace's",
        "of another workload",
        "the port's over the workload's",
        "of another port",
        "ports only of a workload's",
        "unset is inherited",
        "the older one permits",
        "the older one is strict",
    ],
)
def test_the_narrowest_policy_counts(there: list[Body], mode: str) -> None:
    assert policies.mode(Mesh(peer_authentications=there), PROXY, 80) == mode


def test_callers_are_not_told_of_mutual_tls_where_it_is_off() -> None:
    endpoint = Endpoint("10.0.0.1", 80, {"app": "cart", TLS_MODE: "istio"}, "spiffe://x")
    off = Mesh(peer_authentications=[policy("DISABLE")])
    assert not policies.as_called(off, "shop", endpoint).takes_mutual_tls
    assert policies.as_called(off, "elsewhere", endpoint).takes_mutual_tls
    with_its_own = Mesh(peer_authentications=[policy("DISABLE"), policy("STRICT", selector=ONE)])
    assert not policies.as_called(with_its_own, "shop", endpoint).takes_mutual_tls
    strict = Mesh(peer_authentications=[policy("STRICT")])
    assert policies.as_called(strict, "shop", endpoint).takes_mutual_tls


def told(*there: Body) -> list[Body]:
    """What the filters that these AuthorizationPolicies come to hold, action by action."""
    found = policies.http_filters(Mesh(authorization_policies=list(there)), PROXY)
    return [one["typed_config"]["rules"] for one in found]


def allowing(name: str, *rules: Body, **spec: Any) -> Body:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"rules": [*rules], **spec}}


def of(**source: list[str]) -> Body:
    return {"from": [{"source": source}]}


def test_what_is_allowed_is_added_up_and_denied_first() -> None:
    denied, allowed = told(
        allowing("b", of(principals=["cluster.local/ns/shop/sa/menu"])),
        allowing("a", {}),
        allowing("c", of(namespaces=["test"]), action="DENY"),
    )
    assert (denied["action"], allowed["action"]) == ("DENY", "ALLOW")
    assert [*allowed["policies"]] == ["ns[shop]-policy[a]-rule[0]", "ns[shop]-policy[b]-rule[0]"]
    assert [*denied["policies"]] == ["ns[shop]-policy[c]-rule[0]"]


def test_a_policy_without_rules_allows_nobody() -> None:
    assert told(allowing("nobody")) == [{"action": "ALLOW", "policies": {}}]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("cluster.local/ns/shop/sa/menu", {"exact": "spiffe://cluster.local/ns/shop/sa/menu"}),
        ("cluster.local/ns/shop/*", {"prefix": "spiffe://cluster.local/ns/shop/"}),
        ("*/sa/menu", {"safe_regex": {"regex": "spiffe://.*/sa/menu"}}),
        ("*", {"safe_regex": {"regex": ".+"}}),
    ],
)
def test_a_principal_is_a_certificates_name(pattern: str, name: Body) -> None:
    (allowed,) = told(allowing("one", of(principals=[pattern])))
    (rule,) = allowed["policies"].values()
    (every,) = rule["principals"]
    (any_of,) = every["and_ids"]["ids"]
    assert any_of == {"or_ids": {"ids": [{"authenticated": {"principal_name": name}}]}}
    assert rule["permissions"] == [{"any": True}]


def test_an_operation_is_matched_by_path_and_method() -> None:
    operation = {"paths": ["/a/*"], "notMethods": ["POST"], "ports": ["80"]}
    (allowed,) = told(allowing("one", {"to": [{"operation": operation}]}))
    (rule,) = allowed["policies"].values()
    post = {"header": {"name": ":method", "string_match": {"exact": "POST"}}}
    assert rule["permissions"] == [
        {
            "and_rules": {
                "rules": [
                    {"or_rules": {"rules": [{"url_path": {"path": {"prefix": "/a/"}}}]}},
                    {"not_rule": {"or_rules": {"rules": [post]}}},
                    {"or_rules": {"rules": [{"destination_port": 80}]}},
                ]
            }
        }
    ]


@pytest.mark.parametrize(
    "rule", [of(ipBlocks=["10.0.0.0/8"]), {"when": [{"key": "request.headers[x]"}]}]
)
def test_what_is_not_found_out_of_a_caller_is_true_of_nobody(rule: Body) -> None:
    (allowed,) = told(allowing("one", rule))
    (told_of,) = allowed["policies"].values()
    assert told_of["principals"] == [{"not_id": {"any": True}}]
