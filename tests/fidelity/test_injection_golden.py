"""The stand-in's injection against Istio's golden files and answers of a real istiod."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
import yaml

from fixtures.providers.embedded.istio.case import Settings
from fixtures.providers.embedded.istio.injector import inject, review
from fixtures.providers.embedded.istio.templates import read
from fixtures.providers.embedded.istio.versions import release

Body = dict[str, Any]

_SHARED = Path(__file__).parents[3] / "shared"
_FOLDERS = {"1.30.3": "1.30.3", "1.31.0": "1.31.0-rc.0"}
_CASES = (
    "hello",
    "hello-old-version",
    "hello-tproxy",
    "hello.yaml.cni",
    "multi-init",
    "native-sidecar",
    "native-sidecar-old-version",
    "native-sidecar-opt-in",
    "native-sidecar-opt-out",
    "prometheus-scrape",
    "traffic-annotations",
)
_ANSWERS = ("bad-annotation", "label-false", "native-off", "plain", "ports", "tproxy")

# What the injector adds, so what is left of a golden pod without them is the pod before injection.
_ADDED_CONTAINERS = {"istio-init", "istio-validation", "istio-proxy"}
_ADDED_VOLUMES = {
    *("workload-socket", "credential-socket", "workload-certs", "istio-envoy", "istio-data"),
    *("istio-podinfo", "istio-token", "istiod-ca-cert", "istio-ca-crl"),
}

pytestmark = pytest.mark.skipif(
    not _SHARED.is_dir(), reason="recordings and golden files are not at hand (../shared)"
)


def _settings(version: str, case: str) -> Settings:
    """What Istio's own test of this file sets: the default profile, images of the tree."""
    found = read("values.yaml", release(version))
    values = found["injector"]
    everywhere = values["global"]
    everywhere |= {"hub": "registry.istio.io/testing", "tag": "latest"}
    everywhere["proxy"] = everywhere["proxy"] | {
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "2000m", "memory": "1024Mi"},
        }
    }
    configured = found["mesh"]
    if case == "hello-tproxy":
        configured["defaultConfig"] |= {"interceptionMode": "TPROXY"}
    if case == "hello.yaml.cni":
        values["pilot"]["cni"]["enabled"] = True
        everywhere["network"] = "network1"
    native = not case.endswith("old-version") and not case.endswith("opt-in")
    return Settings(release(version), values, configured, native=native)


def _pod(resource: Body) -> Body:
    """The pod that a workload's controller would ask for."""
    if resource["kind"] == "Pod":
        return resource
    name = resource["metadata"]["name"]
    template: Body = resource["spec"]["template"]
    template["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-x", "controller": True}
    ]
    template["metadata"]["labels"]["pod-template-hash"] = "x"
    return template


def _stripped(golden: Body) -> Body:
    """Take away what injection adds; annotations and labels are set anew by it."""
    pod = copy.deepcopy(golden)
    metadata, spec = pod["metadata"], pod["spec"]
    for key in ("initContainers", "containers"):
        spec[key] = [one for one in spec.get(key) or () if one["name"] not in _ADDED_CONTAINERS]
    if not spec["initContainers"]:
        del spec["initContainers"]
    spec["volumes"] = [one for one in spec["volumes"] if one["name"] not in _ADDED_VOLUMES]
    for container in [*spec["containers"], *spec.get("initContainers", ())]:
        if "readinessProbe" in container:
            container["readinessProbe"] = {"httpGet": {"port": 3333}}
    mine = ("sidecar.istio.io/status", "istio.io/rev", "kubectl.kubernetes.io/")
    metadata["annotations"] = {
        key: value
        for key, value in metadata["annotations"].items()
        if not key.startswith(mine) and value not in {"15020", "/stats/prometheus"}
    }
    if metadata["annotations"].get("prometheus.io/scrape") == "true":
        del metadata["annotations"]["prometheus.io/scrape"]
    for label in [key for key in metadata["labels"] if "istio.io/" in key]:
        del metadata["labels"][label]
    return pod


@pytest.mark.parametrize("version", _FOLDERS)
@pytest.mark.parametrize("case", _CASES)
def test_injection_agrees_with_the_golden_file(version: str, case: str) -> None:
    name = case if ".yaml" in case else f"{case}.yaml"
    path = _SHARED / "istio" / _FOLDERS[version] / "golden" / f"{name}.injected"
    golden = _pod(next(yaml.safe_load_all(path.read_text())))
    injected = inject(_stripped(golden), _settings(version, case), namespace="default")
    assert injected == golden


@pytest.mark.parametrize("name", _ANSWERS)
def test_a_real_question_gets_the_real_answer(name: str) -> None:
    path = _SHARED / "recorded" / "istio" / "inject" / f"{name}.json"
    recorded = json.loads(path.read_text())
    found = read("values.yaml", release("1.29.6"))
    settings = Settings(release("1.29.6"), found["injector"], found["mesh"], native=True)
    real = recorded["response"]["response"]
    answer = review(recorded["request"], settings)["response"]
    pod = recorded["request"]["request"]["object"]
    expected = jsonpatch.apply_patch(pod, real.pop("patch_decoded", []))
    patch = json.loads(base64.b64decode(answer.pop("patch", "W10=")))
    assert jsonpatch.apply_patch(pod, patch) == expected
    assert answer == real
