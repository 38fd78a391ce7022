"""What istiod's validator refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.providers.embedded.istio.validator import problems, validate

Body = dict[str, Any]

_ROUTE = {"route": [{"destination": {"host": "reviews"}}]}
_PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
_PROTOCOLS = (
    'invalid protocol "HTTQ", supported protocols are HTTP, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, '
    "MYSQL, TCP"
)
_SERVER = {"port": _PORT, "hosts": ["*"]}
_SECURE = {"port": _PORT | {"protocol": "HTTPS"}, "hosts": ["*"]}
_LISTED = {"from": [{"source": {"namespaces": ["shop"]}}]}
_PATHS = {"operation": {"paths": ["/x"], "ports": ["80"]}}


def _http(**rule: Any) -> Body:
    return {"hosts": ["a.b"], "http": [_ROUTE | rule]}


def _to(**destination: Any) -> Body:
    return {"hosts": ["a.b"], "http": [{"route": [{"destination": destination}]}]}


def _pool(**settings: Any) -> Body:
    return {"host": "a.b", "trafficPolicy": {"connectionPool": settings}}


def _reported(kind: str, spec: Body) -> list[str]:
    return problems({"kind": kind, "metadata": {"name": "rec"}, "spec": spec})


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("VirtualService", {"hosts": ["reviews"], "http": [_ROUTE]}),
        ("VirtualService", {"http": [_ROUTE]}),
        ("VirtualService", {"hosts": ["*"], "gateways": ["none"], "http": [_ROUTE]}),
        ("VirtualService", {"hosts": ["10.1.2.3"], "tcp": [_ROUTE]}),
        ("VirtualService", {"hosts": ["a.b"], "http": [{"delegate": {"name": "x"}}]}),
        ("VirtualService", {"hosts": ["a.b"], "http": [{"redirect": {"uri": "/"}}]}),
        ("Gateway", {"servers": [_SERVER]}),
        ("Gateway", {"servers": [_SERVER | {"hosts": ["*.shop.example", "ns/*"]}]}),
        ("Gateway", {"servers": [_SERVER | {"tls": {"httpsRedirect": True}}]}),
        ("VirtualService", {"hosts": ["*.a.b", "c.d"], "http": [_ROUTE]}),
        ("VirtualService", {"hosts": ["*-x.a.b"], "gateways": ["ns/gw"], "http": [_ROUTE]}),
        (
            "VirtualService",
            {"hosts": ["a.b"], "http": [_ROUTE | {"match": [{"uri": {"regex": "/v[12](/.*)?"}}]}]},
        ),
        (
            "VirtualService",
            {"hosts": ["*.a.b"], "tls": [_ROUTE | {"match": [{"sniHosts": ["x.a.b"]}]}]},
        ),
        (
            "VirtualService",
            {"hosts": ["a.b"], "http": [_ROUTE | {"retries": {"attempts": 0}, "timeout": "0.5s"}]},
        ),
        ("DestinationRule", {"host": "*.local", "subsets": [{"name": "v1"}]}),
        ("DestinationRule", {"host": "a.b", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}),
        ("Sidecar", {"egress": [{"hosts": ["./*", "*/a.b", "~/*", "istio-system/*"]}]}),
        ("Sidecar", {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}),
        ("ServiceEntry", {"hosts": ["a.b"], "ports": [_PORT], "resolution": "DNS"}),
        (
            "PeerAuthentication",
            {
                "selector": {"matchLabels": {"a": "b"}},
                "portLevelMtls": {"80": {"mode": "DISABLE"}},
            },
        ),
        ("AuthorizationPolicy", {}),
        ("AuthorizationPolicy", {"rules": [{}]}),
        ("AuthorizationPolicy", {"action": "DENY", "rules": [_LISTED | {"to": [_PATHS]}]}),
        ("PeerAuthentication", {"mtls": {"mode": "STRICT"}}),
        ("Telemetry", {}),
    ],
)
def test_what_istio_takes_is_taken(kind: str, spec: Body) -> None:
    assert _reported(kind, spec) == []


_RE2 = "Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)"
_RULELESS = (
    "DENY action without `rules` is meaningless as it will never be triggered, add an empty rule "
    "`{}` if you want it be triggered for every request"
)
_NO_VALUES = "at least one of `values` or `notValues` must be set for key"
_PARSING = 'bad port (abc): strconv.ParseUint: parsing "abc": invalid syntax'


def _listed(words: str) -> str:
    """What Istio says of one problem where it makes a list of it all the same."""
    return f"1 error occurred:\n\t* {words}\n\n"


# Each as istiod of main (1.32) said it to a dry run, as far as its definitions let it through:
# those of newer releases refuse some of it before, in other words.
REFUSED = [
    (
        "VirtualService",
        {"hosts": ["a b.c"], "http": [_ROUTE]},
        'domain name "a b.c" invalid (label "a b" invalid)',
    ),
    (
        "VirtualService",
        {"hosts": ["x.a.b", "*.a.b"], "http": [_ROUTE]},
        "duplicate hosts in virtual service: x.a.b & *.a.b",
    ),
    (
        "VirtualService",
        {"http": [_ROUTE], "gateways": ["ns/gw"]},
        "delegate virtual service must have no gateways specified",
    ),
    (
        "VirtualService",
        _http(redirect={"uri": "/"}),
        "HTTP route cannot contain both route and redirect",
    ),
    (
        "VirtualService",
        _http(fault={}),
        _listed("HTTP fault injection must have an abort and/or a delay"),
    ),
    (
        "VirtualService",
        _http(fault={"abort": {"httpStatus": 700}}),
        "HTTP status 700 is not in range 200-599",
    ),
    (
        "VirtualService",
        _http(fault={"abort": {"httpStatus": 500, "percentage": {"value": 101}}}),
        "percentage 101 is neither 0.0, nor in range [0.0001, 100.0]",
    ),
    (
        "VirtualService",
        {"hosts": ["a.b"], "http": [{"directResponse": {"body": {}}}]},
        "HTTP status 0 is not in range 200-599",
    ),
    ("VirtualService", _http(timeout="0s"), "duration must be greater than 1ms"),
    ("VirtualService", _http(retries={"attempts": -1}), _listed("attempts cannot be negative")),
    (
        "VirtualService",
        _http(retries={"attempts": 0, "retryOn": "5xx"}),
        "http retry policy configured when attempts are set to 0 (disabled)",
    ),
    (
        "VirtualService",
        _http(retries={"attempts": 1, "retryOn": "nothing"}),
        '"nothing" is not a valid retryOn policy',
    ),
    (
        "VirtualService",
        _http(match=[{"headers": {"x": {"prefix": ""}}}]),
        '"headers": prefix string match should not be empty',
    ),
    (
        "VirtualService",
        _http(match=[{"uri": {"regex": "/(?!x)"}}]),
        f'"uri": error parsing regexp: invalid or unsupported Perl syntax: `(?!`; {_RE2}',
    ),
    ("VirtualService", _to(host="*"), "invalid destination host *"),
    ("VirtualService", _to(host="a.b", subset="v 1"), "subset name is invalid: v 1"),
    (
        "VirtualService",
        _to(host="a.b", port={"number": 70000}),
        "port number 70000 must be in the range 1..65535",
    ),
    (
        "VirtualService",
        {"hosts": ["a.b"], "tls": [_ROUTE]},
        "TLS route must have at least one match condition",
    ),
    (
        "VirtualService",
        {"hosts": ["a.b"], "tls": [_ROUTE | {"match": [{"sniHosts": ["c.d"]}]}]},
        'SNI host "c.d" is not a compatible subset of any of the virtual service hosts: [a.b]',
    ),
    ("VirtualService", {"hosts": ["a.b"], "tcp": [{}]}, "TCP route is required"),
    ("DestinationRule", {"host": "", "subsets": []}, "empty domain name not allowed"),
    (
        "DestinationRule",
        {"host": "a.b", "subsets": [{"name": "v1"}, {"name": "v1"}]},
        "duplicate subset names: v1",
    ),
    (
        "DestinationRule",
        {"host": "a.b", "trafficPolicy": {}},
        "traffic policy must have at least one field",
    ),
    ("DestinationRule", _pool(), "connection pool must have at least one field"),
    (
        "DestinationRule",
        _pool(tcp={"maxConnections": -1}),
        "max connections must be non-negative",
    ),
    (
        "DestinationRule",
        {"host": "a.b", "trafficPolicy": {"tls": {"mode": "MUTUAL", "clientCertificate": "x"}}},
        "private key required for mutual tls",
    ),
    (
        "Gateway",
        {"servers": [_SERVER | {"hosts": ["web"]}]},
        "short names (non FQDN) are not allowed",
    ),
    (
        "Gateway",
        {"servers": [_SERVER | {"hosts": ["a b/*"]}]},
        'invalid namespace value "a b" in gateway',
    ),
    (
        "Gateway",
        {"servers": [_SERVER, _SERVER | {"port": _PORT | {"number": 81}}]},
        "port names in servers must be unique: duplicate name http",
    ),
    (
        "Gateway",
        {"servers": [_SERVER | {"port": _PORT | {"number": 0}}]},
        "port number 0 must be in the range 1..65535",
    ),
    (
        "Gateway",
        {"servers": [_SERVER | {"tls": {"mode": "SIMPLE", "credentialName": "x"}}]},
        "server cannot have TLS settings for plain text HTTP ports",
    ),
    (
        "Gateway",
        {"servers": [_SECURE | {"tls": {"mode": "SIMPLE", "privateKey": "x"}}]},
        "SIMPLE TLS requires a server certificate",
    ),
    ("Sidecar", {}, "sidecar: empty configuration provided"),
    (
        "Sidecar",
        {"egress": [{"hosts": ["reviews"]}]},
        "host must be of form namespace/dnsName",
    ),
    (
        "Sidecar",
        {"egress": [{"hosts": ["./reviews"]}]},
        "short names (non FQDN) are not allowed",
    ),
    (
        "Sidecar",
        {"egress": [{"hosts": ["a b/*"]}]},
        'invalid namespace value "a b" in sidecar',
    ),
    (
        "Sidecar",
        {"egress": [{"hosts": []}]},
        "sidecar: egress listener must contain at least one host",
    ),
    (
        "Sidecar",
        {"egress": [{"hosts": ["./*"]}, {"hosts": ["*/*"], "port": _PORT}]},
        "sidecar: the egress listener with empty port should be the last listener in the list",
    ),
    (
        "ServiceEntry",
        {"hosts": ["*"], "ports": [_PORT], "resolution": "DNS"},
        "invalid host *",
    ),
    (
        "ServiceEntry",
        {"hosts": ["a.b"], "ports": [_PORT], "endpoints": [{"address": "1.2.3.4"}]},
        "no endpoints should be provided for resolution type none",
    ),
    (
        "ServiceEntry",
        {"hosts": ["a.b"], "ports": [_PORT, _PORT | {"name": "x"}], "resolution": "DNS"},
        "service entry port 80 already defined",
    ),
    (
        "PeerAuthentication",
        {"portLevelMtls": {"80": {"mode": "DISABLE"}}},
        "mesh/namespace peer authentication cannot have port level mTLS",
    ),
    ("AuthorizationPolicy", {"action": "DENY"}, f"invalid policy rec.shop: {_RULELESS}"),
    (
        "AuthorizationPolicy",
        {"rules": [{"from": [{"source": {}}]}]},
        "invalid policy rec.shop: `from.source` must not be empty, found at rule 0",
    ),
    (
        "AuthorizationPolicy",
        {"rules": [{"to": [{"operation": {"ports": ["abc"]}}]}]},
        _listed(f"invalid policy rec.shop: {_PARSING}"),
    ),
    (
        "AuthorizationPolicy",
        {"rules": [{"to": [{"operation": {"methods": [""]}}]}]},
        "invalid policy rec.shop: empty value not allowed, found in Methods",
    ),
    (
        "AuthorizationPolicy",
        {"rules": [{"when": [{"key": "source.ip"}]}]},
        f"invalid policy rec.shop: {_NO_VALUES} source.ip",
    ),
]


def _weighted(*weights: int) -> Body:
    route = [{"destination": {"host": "reviews"}, "weight": one} for one in weights]
    return {"hosts": ["reviews"], "http": [{"route": route}]}


@pytest.mark.parametrize(
    ("kind", "spec", "reported"),
    [
        ("VirtualService", _weighted(-5), "weight -5 < 0"),
        ("VirtualService", _weighted(0, 0), "total destination weight = 0"),
        (
            "VirtualService",
            {"hosts": ["reviews"], "http": [{}]},
            "HTTP route, redirect or direct_response is required",
        ),
        (
            "VirtualService",
            {"hosts": ["reviews"]},
            "http, tcp or tls must be provided in virtual service",
        ),
        (
            "VirtualService",
            {"hosts": ["*"], "http": [_ROUTE]},
            "wildcard host * is not allowed for virtual services bound to the mesh gateway",
        ),
        ("Gateway", {}, "gateway must have at least one server"),
        (
            "Gateway",
            {"servers": [_SERVER | {"port": _PORT | {"protocol": "HTTQ"}}]},
            _PROTOCOLS,
        ),
        (
            "Gateway",
            {"servers": [_SERVER | {"port": _PORT | {"protocol": "HTTPS"}}]},
            "server must have TLS settings for HTTPS/TLS protocols",
        ),
        *REFUSED,
    ],
)
def test_what_istio_refuses_is_refused_in_its_words(kind: str, spec: Body, reported: str) -> None:
    assert _refusal(kind, spec) == reported


def _refusal(kind: str, spec: Body) -> str:
    message: str = _review(spec, kind)["status"]["message"]
    return message.removeprefix("configuration is invalid: ")


def _review(spec: Body, kind: str = "VirtualService") -> Body:
    body = {"kind": kind, "metadata": {"name": "rec", "namespace": "shop"}, "spec": spec}
    request = {"uid": "u", "operation": "CREATE", "object": body}
    response: Body = validate({"apiVersion": "admission.k8s.io/v1", "request": request})[
        "response"
    ]
    return response


def test_one_problem_is_reported_alone_and_several_are_listed() -> None:
    one = "configuration is invalid: weight -5 < 0"
    several = (
        "configuration is invalid: 2 errors occurred:\n\t* weight -1 < 0\n\t* weight -2 < 0\n\n"
    )
    for weights, reported in (((-5,), one), ((-1, -2), several)):
        assert _review(_weighted(*weights)) == {
            "uid": "u",
            "allowed": False,
            "status": {"metadata": {}, "message": reported},
        }


def test_a_valid_object_is_allowed_without_a_word() -> None:
    assert _review(_weighted(50, 50)) == {"uid": "u", "allowed": True}
