"""What istiod's validator refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.providers.embedded.istio.injector import problems, validate

Body = dict[str, Any]

_ROUTE = {"route": [{"destination": {"host": "reviews"}}]}
_PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
_PROTOCOLS = (
    'invalid protocol "HTTQ", supported protocols are HTTP, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, '
    "MYSQL, TCP"
)
_SERVER = {"port": _PORT, "hosts": ["*"]}


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
        ("DestinationRule", {"host": "*.local", "subsets": [{"name": "v1"}]}),
        ("PeerAuthentication", {"mtls": {"mode": "STRICT"}}),
        ("Telemetry", {}),
    ],
)
def test_what_istio_takes_is_taken(kind: str, spec: Body) -> None:
    assert _reported(kind, spec) == []


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
    ],
)
def test_what_istio_refuses_is_refused_in_its_words(kind: str, spec: Body, reported: str) -> None:
    assert _reported(kind, spec) == [reported]


def _review(spec: Body) -> Body:
    body = {"kind": "VirtualService", "metadata": {"name": "rec"}, "spec": spec}
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
