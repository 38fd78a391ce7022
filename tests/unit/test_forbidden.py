"""A permission that is missing: said of a claim of an audit, and of nothing else."""

from __future__ import annotations

import json

import pytest

from fixtures.k8s import Forbidden, Refused

READS = ("get", "list", "watch")


def answered(message: str, code: int = 403) -> Refused:
    return Refused.read(code, json.dumps({"kind": "Status", "message": message}))


@pytest.mark.parametrize("verb", READS)
def test_a_role_that_grants_no_read_is_distinguished_from_other_refusals(verb: str) -> None:
    words = f'pods is forbidden: User "u" cannot {verb} resource "pods" in API group ""'
    assert isinstance(answered(words), Forbidden)
    assert not isinstance(answered(words, code=401), Forbidden)


def test_a_port_forward_counts_as_a_read_under_both_its_verbs() -> None:
    for verb in ("get", "create"):
        words = f'User "u" cannot {verb} resource "pods/portforward" in API group ""'
        assert isinstance(answered(words), Forbidden)


@pytest.mark.parametrize(
    "words",
    [
        'admission webhook "x" denied the request: no',
        'pods "x" is forbidden: violates PodSecurity "baseline:latest"',
        'User "u" cannot create resource "pods" in API group ""',
    ],
)
def test_what_is_refused_for_another_reason_is_no_missing_permission(words: str) -> None:
    assert not isinstance(answered(words), Forbidden)
