"""What is expected of injected pods, against upstream's golden ones and real answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import jsonpatch
import pytest

from fixtures.istio.init_rules import InitRules
from fixtures.istio.options import resources_of
from fixtures.istio.releases import Expected, expected, overrides, redirection
from fixtures.istio.releases.injection import (
    DEFAULTS,
    INIT,
    PROXY,
    SCRAPED,
    STATUS,
    VALIDATION,
    Order,
    noted,
    order,
    resources,
)
from fixtures.istio.releases.options import MeshOptions
from fixtures.istio.releases.rows import one_for
from fixtures.k8s import Body
from fixtures.k8s.pod import Pod
from tests.judge import upstream
from tests.recordings import ISTIO_1_29

OURS = (INIT, VALIDATION, PROXY)
# What the injector itself writes, so that it is no override of the pod's.
LEFT = ("istio.io/rev", "kubectl.kubernetes.io/", STATUS, "prometheus.io/")
INJECTED = [one for one in upstream.goldens() if "ignore" not in one[1]]


@dataclass(frozen=True)
class Case:
    """A pod that somebody else injected, and what the judge expects of it."""

    body: Body
    expected: Expected
    workload: str = ""

    @property
    def pod(self) -> Pod:
        return Pod.of({**self.body, "metadata": {"name": "x", "namespace": "x", **self.meta}})

    @property
    def meta(self) -> Body:
        meta: Body = self.body["metadata"]
        return meta

    @property
    def own(self) -> dict[str, str]:
        """The annotations that the pod brought, as far as they are seen afterwards."""
        found = self.meta.get("annotations") or {}
        own = {key: value for key, value in found.items() if not key.startswith(LEFT)}
        reported = redirection.cni_annotations(self.expected.options, {})
        own = {key: value for key, value in own.items() if reported.get(key) != value}
        if found.get("prometheus.io/scrape") != "true":
            own |= {key: found[key] for key in SCRAPED if key in found}
        return own

    @property
    def of_pod(self) -> Order:
        inits = (c.name for c in self.pod.init_containers)
        apps = (c.name for c in self.pod.app_containers)
        return Order(
            tuple(name for name in inits if name not in OURS),
            tuple(name for name in apps if name not in OURS),
        )


def options(version: str, name: str) -> MeshOptions:
    """What upstream's own test of this file sets."""
    default = resources_of(
        {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "2000m", "memory": "1024Mi"},
        }
    )
    asks = name == "native-sidecar.yaml.injected" and not one_for(DEFAULTS, version).kubelet
    return MeshOptions(
        native="true" if asks else "",
        cni=".cni." in name,
        interception="TPROXY" if "tproxy" in name else "REDIRECT",
        resources=default,
    )


def case(version: str, name: str) -> Case:
    old = "old-version" in name or "opt-in" in name
    kubelet = "1.32" if old else "1.35"
    rows = expected(version, kubelet, [kubelet]).set_to(options(version, name))
    workload, body = upstream.golden(version, name)
    return Case(body, rows, workload)


@pytest.fixture(params=INJECTED, ids=" ".join)
def golden(request: pytest.FixtureRequest) -> Case:
    return case(*request.param)


def test_the_containers_stand_in_the_expected_order(golden: Case) -> None:
    rule = golden.expected.sidecar_of(golden.own)
    seen = Order(
        tuple(c.name for c in golden.pod.init_containers),
        tuple(c.name for c in golden.pod.app_containers),
    )
    assert order(rule.place, golden.expected.options, golden.of_pod) == seen, rule.because


def test_a_native_sidecar_keeps_running(golden: Case) -> None:
    (proxy,) = golden.pod.named(PROXY)
    assert proxy.keeps_running == (golden.expected.sidecar_of(golden.own).place == "native")


def test_the_injectors_note_is_the_expected_one(golden: Case) -> None:
    note = json.loads(golden.meta["annotations"][STATUS])
    place = golden.expected.sidecar_of(golden.own).place
    wanted = noted(place, golden.expected.options)
    assert {key: note.get(key) for key in wanted} == wanted
    assert note["revision"] == "default"


def test_the_network_is_prepared_with_the_expected_arguments(golden: Case) -> None:
    row = redirection.container(golden.expected.options)
    (container,) = golden.pod.named(row.name)
    rules = InitRules.parse(container.args)
    flags = golden.expected.flags(golden.own)
    assert rules.program == redirection.PROGRAM
    assert rules.values == {name: flag.value for name, flag in flags.items()}
    assert rules.others == golden.expected.other_arguments
    assert (container.added, container.user) == (row.capabilities, row.user)


def test_labels_and_annotations_are_the_expected_ones(golden: Case) -> None:
    labels = {k: v for k, v in golden.meta["labels"].items() if "istio.io/" not in k}
    wanted = golden.expected.labels_left(labels, golden.workload)
    assert {key: golden.meta["labels"].get(key) for key in wanted} == wanted
    marks = golden.expected.annotations_left(golden.own, golden.of_pod.beside)
    found = golden.meta["annotations"]
    assert {key: found.get(key) for key in marks} == marks
    assert set(found) == {*marks, *golden.own, STATUS}


def test_the_sidecar_requests_the_expected_resources(golden: Case) -> None:
    specs = golden.body["spec"]["containers"] + golden.body["spec"].get("initContainers", [])
    for spec in (spec for spec in specs if spec["name"] in OURS):
        wanted = resources(golden.expected.options, golden.own)
        assert resources_of(spec["resources"]) == wanted


@pytest.mark.parametrize("version", upstream.VERSIONS)
def test_a_pod_that_says_no_is_left_alone(version: str) -> None:
    _, ignored = upstream.golden(version, "hello-ignore.yaml.injected")
    names = [c["name"] for c in ignored["spec"]["containers"]]
    meta = ignored["metadata"]
    assert PROXY not in names
    assert not overrides.injected(version, meta["labels"], meta["annotations"])


# A real istiod's answers (1.29.6, native sidecars)

EXPECTED = expected("1.29.6", "v1.34.4", ["v1.34.4"])


def answer(name: str) -> Any:
    return ISTIO_1_29.json(f"istio/inject/{name}.json")


def answered(name: str) -> Case:
    """The pod that a real istiod was asked about, as it made it."""
    found = answer(name)
    pod = found["request"]["request"]["object"]
    patched: Body = jsonpatch.apply_patch(pod, found["response"]["response"]["patch_decoded"])
    return Case(patched, EXPECTED)


REAL = ("plain", "native-off", "ports", "tproxy")


@pytest.mark.parametrize("name", REAL)
def test_a_real_answer_is_the_expected_one(name: str) -> None:
    real = answered(name)
    test_the_containers_stand_in_the_expected_order(real)
    test_the_injectors_note_is_the_expected_one(real)
    test_the_network_is_prepared_with_the_expected_arguments(real)
    test_labels_and_annotations_are_the_expected_ones(real)
    test_the_sidecar_requests_the_expected_resources(real)


def test_a_real_istiod_passes_by_a_pod_that_says_no() -> None:
    found = answer("label-false")
    pod = found["request"]["request"]["object"]
    assert "patch" not in found["response"]["response"]
    assert not overrides.injected("1.29.6", pod["metadata"]["labels"], {})
