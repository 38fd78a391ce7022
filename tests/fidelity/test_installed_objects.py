"""What the stand-in installs against what Istio's charts render and what a real cluster held."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.providers.embedded.apiserver.api import Api
from fixtures.providers.embedded.istio.install import install, objects
from fixtures.providers.embedded.istio.versions import release

Body = dict[str, Any]
Id = tuple[str, str]

_SHARED = Path(__file__).parents[3] / "shared"
_FOLDERS = {"1.30.3": "1.30.3", "1.31.0": "1.31.0-rc.0"}
_STATE = _SHARED / "recorded" / "states" / "2-istio-installed.json"

pytestmark = pytest.mark.skipif(
    not _SHARED.is_dir(), reason="recordings and rendered charts are not at hand (../shared)"
)

# istioctl writes these at the time of applying, so a rendered chart has none of them.
_APPLIED = {
    "install.operator.istio.io/owning-resource-namespace",
    "install.operator.istio.io/owning-resource-not-pruned",
    "operator.istio.io/managed",
    "operator.istio.io/version",
}
# The template of injection is the stand-in's own, the dump of all values is kept short.
_OWN_TEXT = {
    ("ConfigMap", "istio-sidecar-injector"): {"config"},
    ("ConfigMap", "values"): {"merged-values"},
}
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
_CLUSTER_OWN = {"clusterIP", "clusterIPs", "nodePort", "caBundle", "failurePolicy"}
_RECORDED_ENV = {"PILOT_ENABLE_ALPN_FILTER", "PILOT_ENABLE_METADATA_EXCHANGE"}


def _id(body: Body) -> Id:
    return (body["kind"], body["metadata"]["name"])


@cache
def _installed(version: str) -> dict[Id, Body]:
    """The stand-in's objects as they stand in its API."""

    async def walk() -> dict[Id, Body]:
        api = Api()
        await install(api, version)
        kinds = {kind for kind, _ in objects(release(version))}
        return {_id(one): one for kind in kinds for one in api.list(kind)}

    return asyncio.run(walk())


def _rendered(version: str) -> dict[Id, Body]:
    folder = _SHARED / "istio" / _FOLDERS[version]
    found: dict[Id, Body] = {}
    for name in ("demo-rendered.yaml", "default-tag-rendered.yaml"):
        text = (folder / name).read_text().replace("1.31.0-rc.0", "1.31.0")
        found |= {_id(one): one for one in yaml.safe_load_all(text) if one}
    return found


def _differences(path: str, real: Any, ours: Any) -> Iterator[str]:
    """What is in the real object and not in ours, or otherwise there."""
    if isinstance(real, dict) and isinstance(ours, dict):
        for key, value in real.items():
            if value in (None, "", {}):
                continue
            if key not in ours:
                yield f"{path}.{key}: missing {value!r}"
            elif key != "kubernetes.io/description":  # which is told in own words
                yield from _differences(f"{path}.{key}", value, ours[key])
    elif isinstance(real, list) and isinstance(ours, list) and len(real) == len(ours):
        for number, pair in enumerate(zip(real, ours, strict=True)):
            yield from _differences(f"{path}[{number}]", *pair)
    elif real != ours and not _equal_quantities(real, ours):
        yield f"{path}: {real!r} there, {ours!r} here"


def _equal_quantities(real: Any, ours: Any) -> bool:
    return (real, ours) in {("2000m", "2"), ("1024Mi", "1Gi")}


def _without(body: Body, keys: set[str]) -> Body:
    return {key: value for key, value in body.items() if key not in keys}


@pytest.mark.parametrize("version", _FOLDERS)
def test_no_object_of_the_charts_is_missing_and_none_is_more(version: str) -> None:
    ours = {
        one
        for one in _installed(version)
        if one[0] not in {"CustomResourceDefinition", "Namespace"}
    }
    assert ours == set(_rendered(version))


@pytest.mark.parametrize("version", _FOLDERS)
def test_the_objects_are_those_of_the_charts(version: str) -> None:
    wrong: list[str] = []
    for name, real in _rendered(version).items():
        ours = _installed(version)[name]
        labels = real["metadata"]["labels"]
        if name[1] == "istiod-default-validator":
            # A living 1.29.6 has the chart of istiod here, where the rendering tells `default`.
            labels |= {"helm.sh/chart": f"istiod-{version}", "app.kubernetes.io/version": version}
        if name[1] == "istio-sidecar-injector" and name[0] == "MutatingWebhookConfiguration":
            real["webhooks"] = [hook | _DEACTIVATED for hook in real["webhooks"]]
        if "data" in real:
            own = _OWN_TEXT.get(name, set())
            real["data"] = {
                key: _parsed(value) for key, value in _without(real["data"], own).items()
            }
            ours = ours | {"data": {key: _parsed(value) for key, value in ours["data"].items()}}
        wrong += _differences(f"{name[0]}/{name[1]}", real, ours)
        extra = set(ours["metadata"]["labels"]) - set(labels) - _APPLIED
        wrong += [
            f"{name[0]}/{name[1]}: label {one} more"
            for one in extra - {"istio.io/rev", "operator.istio.io/component"}
            if name[1] != "istiod-default-validator"
        ]
    assert "\n".join(wrong) == ""


def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


@cache
def _recorded() -> dict[Id, Body]:
    state = json.loads(_STATE.read_text())
    return {
        _id(one): one
        for items in state.values()
        for one in items
        if one["metadata"].get("labels", {}).get("operator.istio.io/managed")
        and one["kind"] not in {"Pod", "ReplicaSet", "Endpoints", "EndpointSlice"}
    }


def test_a_living_cluster_holds_the_same_objects() -> None:
    ours = {one for one in _installed("1.29.6") if one[0] != "Namespace"}
    assert ours == set(_recorded())


def test_the_objects_are_those_of_a_living_cluster() -> None:
    wrong: list[str] = []
    for name, real in _recorded().items():
        ours = _installed("1.29.6")[name]
        wrong += _differences(f"{name[0]}/{name[1]}", *(_comparable(one) for one in (real, ours)))
        labels = [set(one["metadata"].get("labels", {})) for one in (real, ours)]
        if labels[0] != labels[1]:
            wrong.append(f"{name[0]}/{name[1]}: labels {labels[0] ^ labels[1]}")
    assert "\n".join(wrong) == ""


def _comparable(body: Body) -> Body:
    """The object without what every cluster has its own way."""
    name = _id(body)
    body = _cleaned(_without(body, {"status"}))
    own = _OWN_TEXT.get(name, set()) | _RECORDED_OTHERWISE.get(name, set())
    if "data" in body:
        body["data"] = _without(body["data"], own)
    if name[0] == "CustomResourceDefinition":
        for version in body["spec"]["versions"]:
            version.pop("schema", None)
            for column in version.get("additionalPrinterColumns", ()):
                column.pop("description", None)
    return body


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        dropped = _SERVER_SET | _CLUSTER_OWN | _CHART_LABELS
        return {
            key: _cleaned(one)
            for key, one in value.items()
            if key not in dropped and key != "deployment.kubernetes.io/revision"
        }
    if isinstance(value, list):
        return [
            _cleaned(one)
            for one in value
            if not (isinstance(one, dict) and one.get("name") in _RECORDED_ENV)
        ]
    return value
