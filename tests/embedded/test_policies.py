"""Policies that change pods are objects of a newer server, and unknown to an older one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from fixtures.claims import start_observing
from fixtures.istio import policies
from fixtures.istio.releases import expected
from fixtures.istio.webhooks import Webhooks
from fixtures.k8s import Kube, Refused
from fixtures.providers.base import Access
from tests.embedded.conftest import EmbeddedCluster, started
from tests.golden import Golden

# As a user would apply them (Kubernetes' documentation of the kind).
MANIFEST = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: limits}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: 'Object{metadata: Object.metadata{labels: {"limited": "yes"}}}'
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: everywhere}
spec:
  policyName: limits
  matchResources: {namespaceSelector: {matchLabels: {istio-injection: enabled}}}
"""


@pytest.fixture
def newer(tmp_path: Path) -> Iterator[Kube]:
    versions = ("--istio-version", "1.31.4", "--kube-version", "1.36")
    with (
        started(tmp_path, *versions, "--state", "installed") as cluster,
        closing(connected(cluster)) as kube,
    ):
        yield kube


def connected(cluster: EmbeddedCluster) -> Kube:
    entries = [cluster.ready[key] for key in ("context", "istio", "kubernetes")]
    return Kube.connect(
        Access(cluster.kubeconfig, entries[0], None, "rehearsal", "test", entries[1], entries[2])
    )


def test_a_policy_for_pods_is_reported_beside_the_one_injector(
    newer: Kube, golden: Golden
) -> None:
    rows = expected("1.31.4", "v1.36.0", ["v1.36.0"])
    webhooks = Webhooks(newer, rows, "default", {"istio-injection": "enabled"})
    webhooks.expect_one_match()
    newer.apply(list(yaml.safe_load_all(MANIFEST)))
    seen = start_observing()
    webhooks.expect_one_match()
    golden(seen.notes[0])
    with pytest.raises(Refused, match=r"spec\.mutations"):
        newer.apply([{**next(yaml.safe_load_all(MANIFEST)), "spec": {"mutations": "none"}}])


def test_an_older_server_has_none(embedded: EmbeddedCluster) -> None:
    with closing(connected(embedded)) as kube:
        assert policies.for_new_pods(kube) == ()
