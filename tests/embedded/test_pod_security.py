"""Pods that a namespace's Pod Security level refuses, in the words of the real plugin."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.providers.embedded.apiserver.admission import HOOKS, Webhooks
from fixtures.providers.embedded.apiserver.api import Api, StatusError
from fixtures.providers.embedded.hooks import Hooks
from tests.embedded.small import Body, in_a_loop

ISTIO_INIT = {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}, "runAsUser": 0}
TOLD = (
    'pods "web" is forbidden: violates PodSecurity "baseline:{}": non-default capabilities '
    '({} must not include "NET_ADMIN", "NET_RAW" in securityContext.capabilities.add)'
)


def a_pod(*init: tuple[str, Body], **own: Any) -> Body:
    containers = [{"name": "web", "image": "web", "securityContext": own}]
    inits = [{"name": name, "image": "i", "securityContext": one} for name, one in init]
    return {
        "metadata": {"name": "web"},
        "spec": {"containers": containers, "initContainers": inits},
    }


async def made(pod: Body, **labels: str) -> Body:
    minor = int(labels.pop("minor", "36"))
    api = Api(minor=minor)
    api.admission = Webhooks(api, Hooks(HOOKS))
    named = {
        f"pod-security.kubernetes.io/{key.replace('_', '-')}": to for key, to in labels.items()
    }
    await api.create("namespaces", {"metadata": {"name": "here", "labels": named}})
    await api.create("serviceaccounts", {"metadata": {"name": "default"}}, "here")
    return await api.create("pods", pod, "here")


@pytest.mark.parametrize(
    ("init", "who"),
    [
        ((("istio-init", ISTIO_INIT),), 'container "istio-init"'),
        ((("a", ISTIO_INIT), ("b", ISTIO_INIT)), 'containers "a", "b"'),
    ],
)
@in_a_loop
async def test_baseline_refuses_what_istio_init_adds(
    init: tuple[tuple[str, Body], ...], who: str
) -> None:
    with pytest.raises(StatusError) as refused:
        await made(a_pod(*init), enforce="baseline")
    assert str(refused.value) == TOLD.format("latest", who)
    assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
    with pytest.raises(StatusError) as refused:
        await made(a_pod(*init), enforce="baseline", enforce_version="v1.30")
    assert str(refused.value) == TOLD.format("v1.30", who)


@pytest.mark.parametrize("labels", [{}, {"enforce": "privileged"}, {"warn": "baseline"}])
@in_a_loop
async def test_nobody_else_refuses_it(labels: dict[str, str]) -> None:
    assert await made(a_pod(("istio-init", ISTIO_INIT)), **labels)


@in_a_loop
async def test_baseline_takes_what_a_runtime_gives_anyway_and_older_ones_know_no_levels() -> None:
    assert await made(
        a_pod(capabilities={"add": ["NET_BIND_SERVICE", "CHOWN"]}), enforce="baseline"
    )
    assert await made(a_pod(("istio-init", ISTIO_INIT)), minor="22", enforce="baseline")


@in_a_loop
async def test_a_level_that_is_not_offered_is_refused_by_name() -> None:
    with pytest.raises(StatusError, match="level restricted is not offered"):
        await made(a_pod(), enforce="restricted")
