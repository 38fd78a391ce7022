"""What the embedded cluster installs, against Istio's charts and what a real cluster held."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from fixtures.providers.embedded.apiserver.api import Api
from fixtures.providers.embedded.istio.install import install, objects
from fixtures.providers.embedded.istio.installation import Installation, installation
from tests.fidelity import recorded
from tests.judge import upstream

Body = dict[str, Any]
Id = tuple[str, str]

# The versions of Kubernetes they are rendered for, and what is newer than these for.
_MINORS = {"1.13.1": 23, "1.20.8": 28, "1.27.9": 33, "1.29.6": 34}
_NEWER = 35
_OWNED_BY = {("operator.istio.io/managed", "Reconcile"), ("app.kubernetes.io/managed-by", "Helm")}

# Older istioctls keep a record of what they did, which is in no chart.
_RECORD = "IstioOperator"
# istioctl hands the charts what it makes of a profile, the rendering was given the profile's name.
_RENDERED_OTHERWISE = {("ConfigMap", "values"): {"original-values"}}
# istioctl writes these at the time of applying, so a rendered chart has none of them.
_APPLIED = {
    "install.operator.istio.io/owning-resource-namespace",
    "install.operator.istio.io/owning-resource-not-pruned",
    "operator.istio.io/managed",
    "operator.istio.io/version",
}
# These stand in some charts' objects already, and istioctl writes them at all others.
_APPLIED_TOO = {"istio.io/rev", "operator.istio.io/component"}
# A living 1.29.6 has istiod's own of these at the default validator, a rendering another chart's.
_LIVING_LABELS = {"release", "install.operator.istio.io/owning-resource"}
# The template of injection is the embedded cluster's own, the dump of all values is kept short.
_OWN_TEXT = {
    ("ConfigMap", "istio-sidecar-injector"): {"config"},
    ("ConfigMap", "values"): {"merged-values"},
}
# No proxy here heeds these filters, and nobody is bound to the rights of this leftover role.
_NAMED_ONLY = {("EnvoyFilter", ""): {"spec"}, ("ClusterRole", "istiod-istio-system"): {"rules"}}
# The installation that was recorded had its telemetry switched off and its charts unstamped.
_RECORDED_OTHERWISE = {
    ("ConfigMap", "istio"): {"mesh"},
    ("ConfigMap", "values"): {"original-values"},
    ("ConfigMap", "istio-sidecar-injector"): {"values"},
}
# Selectors that istioctl writes over the chart's, when it makes the tag's injector the active one.
_NEVER = {"matchLabels": {"istio.io/deactivated": "never-match"}}
_DEACTIVATED = {"namespaceSelector": _NEVER, "objectSelector": _NEVER}
_CHART_LABELS = {"app.kubernetes.io/version", "helm.sh/chart"}
_SERVER_SET = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"}
_SERVER_SET |= {"status", "deployment.kubernetes.io/revision"}
_SERVER_SET |= {"deprecated.daemonset.template.generation"}
_CLUSTER_OWN = {"clusterIP", "clusterIPs", "nodePort", "caBundle", "failurePolicy"}
# What controllers make of them; no history of DaemonSets is kept here.
_MADE_OF_THEM = {"Pod", "ReplicaSet", "Endpoints", "EndpointSlice", "ControllerRevision"}
# Whoever installed this one had little room, and said so.
_RECORDED_REQUESTS = {
    "ambient/bookinfo": "Deployment/istiod.spec.template.spec.containers[0].resources.requests"
}
_RECORDED_ENV = {"PILOT_ENABLE_ALPN_FILTER", "PILOT_ENABLE_METADATA_EXCHANGE"}


def _id(body: Body) -> Id:
    return (body["kind"], body["metadata"]["name"])


@cache
def _installed(of: Installation) -> dict[Id, Body]:
    """The embedded cluster's objects as they stand in its API."""

    async def scenario() -> dict[Id, Body]:
        api = Api(minor=_MINORS.get(of.version, _NEWER))
        await install(api, of)
        return _kept(api, {kind for kind, _ in objects(of)})

    return asyncio.run(scenario())


@cache
def _rendered(version: str) -> dict[Id, Body]:
    """The charts' objects as the embedded cluster's API keeps them, with defaults filled in."""

    async def scenario() -> dict[Id, Body]:
        api, kinds = Api(minor=_MINORS.get(version, _NEWER)), set[str]()
        for kind, body in objects(installation(version)):
            if kind in {"namespaces", "customresourcedefinitions.apiextensions.k8s.io"}:
                await api.create(kind, body)
        for body in _of_charts(version):
            info = api.registry.of_kind(body["apiVersion"], body["kind"])
            assert info, body["kind"]
            kinds.add(info.key)
            await api.create(info.key, body, body["metadata"].get("namespace"))
        return _kept(api, kinds)

    return asyncio.run(scenario())


def _of_charts(version: str) -> Iterator[Body]:
    for name in ("demo-rendered.yaml", "default-tag-rendered.yaml"):
        yield from upstream.documents(version, name)


def _kept(api: Api, kinds: set[str]) -> dict[Id, Body]:
    return {_id(one): one for kind in kinds for one in api.list(kind)}


def _differences(path: str, real: Any, ours: Any) -> Iterator[str]:
    """What is in one object and not in the other, or otherwise there; nothing is as if absent."""
    if isinstance(real, dict) and isinstance(ours, dict):
        for key in {**real, **ours}:
            if key != "kubernetes.io/description":  # which is in own words
                yield from _differences(f"{path}.{key}", real.get(key), ours.get(key))
    elif isinstance(real, list) and isinstance(ours, list) and len(real) == len(ours):
        for number, pair in enumerate(zip(real, ours, strict=True)):
            yield from _differences(f"{path}[{number}]", *pair)
    elif (real or ours) and real != ours and not _equal_quantities(real, ours):
        yield f"{path}: {real!r} there, {ours!r} here"


def _equal_quantities(real: Any, ours: Any) -> bool:
    return (real, ours) in [("2000m", "2"), ("1024Mi", "1Gi")]


def _without(body: Body, keys: set[str]) -> Body:
    return {key: value for key, value in body.items() if key not in keys}


@pytest.mark.parametrize("version", upstream.VERSIONS)
def test_no_object_of_the_charts_is_missing_and_none_is_more(version: str) -> None:
    ours = {
        one
        for one in _installed(installation(version))
        if one[0] not in {"CustomResourceDefinition", "Namespace", _RECORD}
    }
    assert ours == set(_rendered(version))


@pytest.mark.parametrize("version", upstream.VERSIONS)
def test_the_objects_are_those_of_the_charts(version: str) -> None:
    assert "\n".join(_unlike_the_charts(version)) == ""


def _unlike_the_charts(version: str) -> Iterator[str]:
    for name, real in _rendered(version).items():
        ours = _installed(installation(version))[name]
        yield from _differences("/".join(name), _as_applied(real), _readable(ours))


def _as_applied(real: Body) -> Body:
    """A chart's object with what istioctl changes in it at the time of applying."""
    name, real = _id(real), _readable(real)
    if name == ("MutatingWebhookConfiguration", "istio-sidecar-injector"):
        real["webhooks"] = [hook | _DEACTIVATED for hook in real["webhooks"]]
    return real


def _readable(body: Body) -> Body:
    """The object with its texts parsed, without what nobody rendered or nobody heeds."""
    name, body = _id(body), _cleaned(body, _SERVER_SET | _CLUSTER_OWN)
    labels = body["metadata"].get("labels", {})
    more = _APPLIED_TOO
    if name[1] == "istiod-default-validator" and "helm.sh/chart" in labels:
        more = more | _CHART_LABELS | _LIVING_LABELS
    body["metadata"]["labels"] = _without(labels, _APPLIED | more)
    own = _OWN_TEXT.get(name, set()) | _RENDERED_OTHERWISE.get(name, set())
    if "data" in body:
        body["data"] = {
            key: _parsed(reported) for key, reported in _without(body["data"], own).items()
        }
    return _without(body, _NAMED_ONLY.get(name, _NAMED_ONLY.get((name[0], ""), set())))


def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


# With Helm the gateway came of the chart `gateway`, which listens at port 80: not every user of
# the embedded cluster may do that. Its own is of the chart istio-ingress, as by `--provider kind`.
def _is_compared(name: Id, state: str) -> bool:
    return name[0] != "Namespace" and not (
        state == "helm/injected" and name[1].startswith("istio-ingressgateway")
    )


@cache
def _recorded(state: str) -> dict[Id, Body]:
    return {
        _id(one): one
        for items in recorded.state(state).values()
        for one in items
        if _OWNED_BY & set(one["metadata"].get("labels", {}).items())
        and one["metadata"].get("namespace", "istio-system") == "istio-system"
        and one["kind"] not in _MADE_OF_THEM
    }


@pytest.mark.parametrize("state", recorded.WAYS)
def test_a_living_cluster_holds_the_same_objects(state: str) -> None:
    ours = {one for one in _installed(recorded.WAYS[state]) if _is_compared(one, state)}
    assert ours == {one for one in _recorded(state) if _is_compared(one, state)}


@pytest.mark.parametrize("state", recorded.WAYS)
def test_the_objects_are_those_of_a_living_cluster(state: str) -> None:
    assert "\n".join(_unlike_the_living(state)) == ""


def _unlike_the_living(state: str) -> Iterator[str]:
    for name, real in _recorded(state).items():
        if not _is_compared(name, state):
            continue
        ours = _installed(recorded.WAYS[state])[name]
        found = _differences("/".join(name), *(_comparable(one) for one in (real, ours)))
        said = _RECORDED_REQUESTS.get(state, "nothing")
        yield from (one for one in found if not one.startswith(said))


def _comparable(body: Body) -> Body:
    """The object without what every cluster has its own way."""
    name = _id(body)
    body = _cleaned(body, _SERVER_SET | _CLUSTER_OWN | _CHART_LABELS)
    name = (name[0], name[1].removesuffix("-canary"))
    own = _OWN_TEXT.get(name, set()) | _RECORDED_OTHERWISE.get(name, set())
    if "data" in body:
        body["data"] = _without(body["data"], own)
    if name[0] == "CustomResourceDefinition":
        for version in body["spec"]["versions"]:
            version.pop("schema", None)
            for column in version.get("additionalPrinterColumns", ()):
                column.pop("description", None)
    return body


def _cleaned(value: Any, dropped: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _cleaned(one, dropped) for key, one in value.items() if key not in dropped}
    if isinstance(value, list):
        return [
            _cleaned(one, dropped)
            for one in value
            if not (isinstance(one, dict) and one.get("name") in _RECORDED_ENV)
        ]
    return value
