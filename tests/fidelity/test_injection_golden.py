"""The embedded cluster's injection against Istio's golden files and answers of a real istiod."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import jsonpatch
import pytest

from fixtures.providers.embedded.istio.injection_context import Settings
from fixtures.providers.embedded.istio.injector import inject, is_wanted, review
from fixtures.providers.embedded.istio.installation import Installation, facts, installation, read
from tests.judge import upstream
from tests.recordings import ISTIO_1_29

Body = dict[str, Any]

# The hub of the tree in which Istio's own test made the files: since 1.30, and before.
_HUB, _OLDER_HUB = "registry.istio.io/testing", "gcr.io/istio-testing"
_ANSWERS = ("bad-annotation", "label-false", "native-off", "plain", "ports", "tproxy")

# What the injector adds, so what is left of a golden pod without them is the pod before injection.
_ADDED_CONTAINERS = {"istio-init", "istio-validation", "istio-proxy"}
_ADDED_VOLUMES = {
    *("workload-socket", "credential-socket", "workload-certs", "istio-envoy", "istio-data"),
    *("istio-podinfo", "istio-token", "istiod-ca-cert", "istio-ca-crl"),
}


def _settings(version: str, case: str) -> Settings:
    """What Istio's own test of this file sets: the default profile, images of the tree."""
    hub = _HUB if installation(version).since("1.30") else _OLDER_HUB
    settings = ["profile=default", f"hub={hub}"]
    settings += ["components.cni.enabled=true"] if case == "hello.yaml.cni" else []
    of = installation(version, settings=settings)
    found = read("values.yaml", of)
    values, configured = found["injector"], found["mesh"]
    values["global"] |= {"tag": "latest"}
    if case == "hello-tproxy":
        configured["defaultConfig"] |= {"interceptionMode": "TPROXY"}
    if case == "hello.yaml.cni":
        values["global"]["network"] = "network1"
    return Settings(of, values, configured, native=_is_native(of, case))


def _is_native(of: Installation, case: str) -> bool:
    if facts(of)["native"] != "auto":  # only where the test of that file says so
        return case == "native-sidecar"
    return not case.endswith("old-version") and not case.endswith("opt-in")


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


@pytest.mark.parametrize(("version", "file"), upstream.goldens())
def test_injection_agrees_with_the_golden_file(version: str, file: str) -> None:
    case = file.removesuffix(".injected").removesuffix(".yaml")
    settings = _settings(version, case)
    pod = _pod(upstream.documents(version, "golden", file)[0])
    if case == "hello-ignore":
        assert not is_wanted(pod, "default", settings)
        return
    assert inject(_stripped(pod), settings, namespace="default") == pod


@pytest.mark.parametrize("name", _ANSWERS)
def test_a_real_question_gets_the_real_answer(name: str) -> None:
    recorded = ISTIO_1_29.json(f"istio/inject/{name}.json")
    of = installation("1.29.6")
    found = read("values.yaml", of)
    settings = Settings(of, found["injector"], found["mesh"], native=True)
    real = recorded["response"]["response"]
    answer = review(recorded["request"], settings)["response"]
    pod = recorded["request"]["request"]["object"]
    expected = jsonpatch.apply_patch(pod, real.pop("patch_decoded", []))
    patch = json.loads(base64.b64decode(answer.pop("patch", "W10=")))
    assert jsonpatch.apply_patch(pod, patch) == expected
    assert answer == real
