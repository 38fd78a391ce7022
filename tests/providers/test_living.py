"""Meshes that people have, audited from end to end on the embedded cluster.

A test is called by its row: H is a healthy state that must not be called broken.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.k8s import Kube
from tests.embedded.conftest import started
from tests.providers.roles import run_suite

ELSEWHERE = "mesh-system"
INJECTORS = "mutatingwebhookconfigurations.admissionregistration.k8s.io"


def test_living_h9_a_mesh_in_a_namespace_of_its_own_is_audited_like_any_other(
    tmp_path: Path,
) -> None:
    setting = f"values.global.istioNamespace={ELSEWHERE}"
    versions = ("--istio-version", "1.31.0", "--kube-version", "1.35.0")
    with started(tmp_path, *versions, "--state", "gateway", "--istio-set", setting) as cluster:
        done = run_suite(cluster.kubeconfig, tmp_path / "out", "--profile", "readonly")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    said = {claim["id"]: claim["verdict"] for claim in report["claims"]}
    assert {c for c, verdict in said.items() if verdict not in {"passed", "not-claimed"}} == set()
    assert done.returncode == 0, done.stdout
    asked = {claim for claim, verdict in said.items() if verdict == "passed"}
    assert {
        "installation/istiod-is-rolled-out",
        "installation/every-namespace-has-the-root-certificate",
        "webhooks/both-injector-configurations-are-registered",
        "webhooks/the-ca-bundle-validates-the-certificate-served",
        "workloads/every-proxy-is-in-sync",
        "workloads/no-certificate-is-about-to-end",
    } <= asked
    assert ELSEWHERE in json.dumps(report)


@pytest.mark.parametrize("istio", ["1.31.0", "1.24.6"], ids=["by its Service", "by istiod"])
def test_both_injectors_are_missed_although_nothing_names_them_any_more(
    tmp_path: Path, istio: str
) -> None:
    """All that fails of it is one failure."""
    versions = ("--istio-version", istio, "--kube-version", "1.31.0")
    with started(tmp_path, *versions, "--state", "gateway") as cluster:
        with closing(Kube.of_context(cluster.kubeconfig, cluster.ready["context"])) as kube:
            for name in ("istio-sidecar-injector", "istio-revision-tag-default"):
                kube.delete(INJECTORS, name)
        options = ("--profile", "readonly", "--patience", "0.01", "--allow-unsupported")
        run_suite(cluster.kubeconfig, tmp_path / "out", *options)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    [failure] = report["failures"]
    assert failure["claims"][0] == "webhooks/both-injector-configurations-are-registered"
    assert "workloads/one-injector-selects-whatever-asks" in failure["claims"]
    assert "registers them" in failure["hint"]
    assert "MISSING" in str(report["notes"])
