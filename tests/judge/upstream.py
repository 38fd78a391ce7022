"""What upstream ships, as tests of the judge read it: neither the suite nor its cluster wrote it.

A checkout need not have these files: what asks for one that is not there is skipped.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.k8s import Body
from tests.unit.states import FakeKube

SHARED = Path(__file__).parents[3] / "shared"
FOLDER = SHARED / "istio"
# The releases whose files are there, and which are asked for where none are.
USUAL = ("1.13.1", "1.20.8", "1.27.9", "1.30.3", "1.31.0-rc.0")
VERSIONS = tuple(sorted(facts.parent.name for facts in FOLDER.glob("*/facts.json"))) or USUAL
ADMISSION = "admissionregistration.k8s.io/v1"
# Where objects of a kind stand in a recorded state.
PLACES = {
    "ConfigMap": "v1/configmaps",
    "Service": "v1/services",
    "Deployment": "apps/v1/deployments",
    "StatefulSet": "apps/v1/statefulsets",
    "PodDisruptionBudget": "policy/v1/poddisruptionbudgets",
    "MutatingWebhookConfiguration": f"{ADMISSION}/mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": f"{ADMISSION}/validatingwebhookconfigurations",
}
INJECTOR, TAG = "istio-sidecar-injector", "istio-revision-tag-default"
ABSENT = "needs upstream's own files"
NEVER = {"matchLabels": {"istio.io/deactivated": "never-match"}}


def path(*parts: str) -> Path:
    """A file of upstream's; the test that asks is skipped where there are none of them."""
    if not FOLDER.is_dir():
        pytest.skip(f"{ABSENT}, {FOLDER} is not here")
    return FOLDER.joinpath(*parts)


def documents(*parts: str) -> list[Body]:
    """The objects of a file."""
    return [body for body in yaml.load_all(path(*parts).read_text(), yaml.CSafeLoader) if body]


@cache
def facts(version: str) -> Any:
    """What was read off a release's charts, as one document."""
    return json.loads(path(version, "facts.json").read_text())


def golden(version: str, name: str) -> tuple[str, Body]:
    """A pod as upstream's own test expects the injector to make it, and its workload's name."""
    workload = documents(version, "golden", name)[0]
    called = workload["metadata"]["name"]
    return called, workload if workload["kind"] == "Pod" else workload["spec"]["template"]


def goldens() -> list[tuple[str, str]]:
    """Every injected pod that upstream keeps, with its release; one to ask for if it has none."""
    if not FOLDER.is_dir():
        return [(USUAL[-1], "hello.yaml.injected")]
    return [
        (version, file.name)
        for version in VERSIONS
        for file in sorted((FOLDER / version / "golden").glob("*.injected"))
    ]


def installed(version: str) -> FakeKube:
    """A cluster in which istioctl applied what the charts render, to be asked like any other."""
    state: dict[str, list[Body]] = {}
    rendered = [documents(version, f"{name}-rendered.yaml") for name in ("demo", "default-tag")]
    for body in (b for bodies in rendered for b in bodies if b["kind"] in PLACES):
        body["metadata"].setdefault("namespace", "istio-system")
        state.setdefault(PLACES[body["kind"]], []).append(body)
    for injector in state[PLACES["MutatingWebhookConfiguration"]]:
        if injector["metadata"]["name"] == INJECTOR:
            # istioctl does so in the same moment in which it makes the tag's.
            for entry in injector["webhooks"]:
                entry |= {"namespaceSelector": NEVER, "objectSelector": NEVER}
    return FakeKube(state)
