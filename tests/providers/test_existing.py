"""A cluster that is there is taken as it is, and left as it was."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import eventually
from fixtures.k8s import Kube, wire
from fixtures.k8s.node import Node
from fixtures.providers.base import KEPT, RUN, Access, HostNotFit, UnsafeTarget
from fixtures.providers.existing import Existing, finding, lease, owner
from fixtures.providers.existing.cleaning import clean
from tests.embedded.conftest import VERSIONS, EmbeddedCluster, started

ROOT = Path(__file__).parents[2]
SECONDS = 180
GONE = timeout("its pods are gone", 60)
KINDS = (
    "namespaces",
    "pods",
    "services",
    "deployments.apps",
    "serviceaccounts",
    "configmaps",
    "leases.coordination.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "gateways.networking.istio.io",
    "virtualservices.networking.istio.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    """A mesh that somebody else installed."""
    home = tmp_path_factory.mktemp("there")
    with started(home, *VERSIONS, "--termination-seconds", "0.5") as cluster:
        yield cluster


@pytest.fixture
def kube(there: EmbeddedCluster) -> Iterator[Kube]:
    """Its owner's view."""
    message = there.ready
    door = Kube.connect(
        Access(
            there.kubeconfig, message["context"], None, "rehearsal", "test", "1", "1", hooks=True
        )
    )
    yield door
    door.close()


def taken(there: EmbeddedCluster, **more: Any) -> Existing:
    environment = {"KUBECONFIG": str(there.kubeconfig)}
    given: dict[str, Any] = {"context": there.ready["context"], "environment": environment}
    return Existing(**{**given, "warn": pytest.fail, **more})


def objects(kube: Kube) -> dict[str, str]:
    return {
        f"{kind} {o['metadata'].get('namespace', '')}/{o['metadata']['name']}": o["metadata"][
            "uid"
        ]
        for kind in KINDS
        for o in kube.list(kind)
    }


@contextmanager
def running(
    there: EmbeddedCluster, folder: Path, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A run over it, as a process of its own."""
    command = [sys.executable, "-m", "pytest", "suites", "-q", "--provider", "existing"]
    command += ["--kube-context", there.ready["context"], "--reports-dir", str(folder), *options]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "KUBECONFIG": str(there.kubeconfig)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# Without Istio's CNI plugin, and before 1.31.
NO_PART_OF_IT = {
    "injection/kube-inject-makes-what-the-webhook-makes",
    "installation/the-cni-agent-is-ready-on-every-node",
    "installation/the-cni-agent-is-within-a-minor-version-of-istiod",
    "installation/every-other-istiod-is-rolled-out",
    "installation/the-gateway-api-in-use-is-watched",
    "webhooks/a-bad-metrics-port-is-refused",
    "configuration/every-subset-in-use-has-pods",
    "configuration/the-mesh-allows-something",
    "gateways/every-credential-is-served",
    "gateways/every-gateway-resource-is-programmed",
    "gateways/every-generated-gateway-has-its-pods",
    "gateways/every-listener-is-in-order",
    "gateways/every-route-leads-somewhere",
    "mutual-tls/a-namespaces-policy-comes-before-the-meshs",
}


def run_over(there: EmbeddedCluster, folder: Path, *options: str) -> dict[str, Any]:
    with running(there, folder, *options) as process:
        process.wait(SECONDS)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def must_have_made_a_namespace(kube: Kube) -> None:
    if not kube.list("namespaces", labels="seatrial.example/run"):
        raise ClaimFailed("namespaces of the run", expected="one", got="none")


def verdicts(report: dict[str, Any], verdict: str) -> dict[str, str]:
    return {c["id"]: c["message"] for c in report["claims"] if c["verdict"] == verdict}


def test_versions_and_features_are_read_from_it(there: EmbeddedCluster) -> None:
    with taken(there).provide() as access:
        assert (access.istio_version, access.kube_version) == ("1.29.6", "1.34.4")
        assert access.evidence == "rehearsal"  # it is the embedded cluster, whoever provides it
        assert access.has("ingress")
        assert {"writes", "pod-log", "port-forward", "demo-ports"} <= access.features
        assert access.namespaces.sample.startswith("seatrial-r")
        assert set(access.skipped_stages) == {"addons", "restart"}
        assert access.kubeconfig.stat().st_mode & 0o077 == 0
    assert not access.kubeconfig.exists()


def istioctl(folder: Path, version: str) -> Path:
    """A release with an istioctl that says which version it is."""
    command = folder / "bin" / "istioctl"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!/bin/sh\n[ -z '{version}' ] || echo client version: {version}\n")
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("1.29.1", ""),
        ("1.30.0", "is istioctl 1.30.0, and the cluster runs Istio 1.29.6: it is not used"),
        ("", "prints no version"),
    ],
)
def test_an_istioctl_on_the_path_is_used_if_it_fits(
    there: EmbeddedCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    words: str,
) -> None:
    command = istioctl(tmp_path, version) / "bin" / "istioctl"
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    with taken(there).provide() as access:
        assert access.istioctl == (() if words else (str(command),))
        assert access.has("istioctl") == (not words)
        assert [words in note for note in access.notes if "istioctl" in note] == [True] * bool(
            words
        )


def test_an_istioctl_that_was_named_must_fit(there: EmbeddedCluster, tmp_path: Path) -> None:
    good, other = istioctl(tmp_path / "good", "1.29.6"), istioctl(tmp_path / "other", "1.31.0")
    with taken(there, istio_dir=good).provide() as access:
        assert access.istioctl == (str(good / "bin" / "istioctl"),)
    for folder, words in ((other, "is istioctl 1.31.0"), (tmp_path, "there is no bin/istioctl")):
        with (
            pytest.raises(HostNotFit, match=words),
            taken(there, istio_dir=folder).provide(),
        ):
            pass


def test_mesh_writes_allow_the_restart_and_never_add_ons(there: EmbeddedCluster) -> None:
    with taken(there).provide() as access:
        assert "--allow-mesh-writes" in access.skipped_stages["restart"]
    with taken(there, allow_mesh_writes=True).provide() as access:
        assert set(access.skipped_stages) == {"addons"}
        assert "--allow-mesh-writes" not in access.skipped_stages["addons"]


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        pytest.param(
            {"istio_version": "1.30"},
            "runs Istio 1.29.6, and --istio-version says 1.30",
            id="Istio",
        ),
        pytest.param(
            {"kube_version": "1.33.1"},
            "runs Kubernetes 1.34.4, and --kube-version says 1.33.1",
            id="Kubernetes",
        ),
        pytest.param(
            {"istio_version": "1.30", "kube_version": "1.3"},
            "says 1.30; it runs Kubernetes 1.34.4, and --kube-version says 1.3",
            id="both",
        ),
    ],
)
def test_versions_that_are_not_there_are_refused_in_one_line(
    there: EmbeddedCluster, kube: Kube, printed: dict[str, str], words: str
) -> None:
    with pytest.raises(HostNotFit) as refused, taken(there, **printed).provide():
        pytest.fail("it was taken")
    assert words in str(refused.value)
    assert str(refused.value).endswith(
        "leave that out to test what is there, or name the right context"
    )
    assert kube.find("leases.coordination.k8s.io", "seatrial", "default") is None


def test_versions_that_are_there_are_taken(there: EmbeddedCluster) -> None:
    with taken(there, istio_version="1.29", kube_version="1.34").provide() as access:
        assert (access.istio_version, access.kube_version) == ("1.29.6", "1.34.4")


def test_a_second_run_is_shown_who_holds_the_cluster(there: EmbeddedCluster, kube: Kube) -> None:
    with taken(there).provide():
        refused = pytest.raises(UnsafeTarget, match=rf"holds this cluster: .*pid {os.getpid()}")
        with refused, taken(there).provide():
            pytest.fail("both hold it")
        assert kube.find("leases.coordination.k8s.io", "seatrial", "default")
    assert kube.find("leases.coordination.k8s.io", "seatrial", "default") is None


def test_a_lock_that_ran_out_is_taken_over(there: EmbeddedCluster, kube: Kube) -> None:
    spec = {"holderIdentity": "gone", "leaseDurationSeconds": 60}
    spec["renewTime"] = "2020-01-01T00:00:00.000000Z"
    kube.create(
        "leases.coordination.k8s.io", {"metadata": {"name": "seatrial"}, "spec": spec}, "default"
    )
    with taken(there).provide():
        held = kube.get("leases.coordination.k8s.io", "seatrial", "default")
        assert held["spec"]["holderIdentity"] != "gone"


@pytest.mark.parametrize("ahead", [-90, 90], ids=["server behind", "server ahead"])
def test_the_lock_holds_whatever_this_machines_clock_says(
    there: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    def skewed(stamp: str) -> datetime:
        return parsedate_to_datetime(stamp) + timedelta(seconds=ahead)

    monkeypatch.setattr(wire, "parsedate_to_datetime", skewed)
    with taken(there).provide():
        refused = pytest.raises(UnsafeTarget, match=r"if it was killed: (\d+) s from now")
        with refused as raised, taken(there).provide():
            pytest.fail("both hold it")
    left = re.search(r"killed: (\d+) s", str(raised.value))
    assert left
    assert int(left[1]) <= lease.SECONDS


def test_a_lock_that_was_taken_over_is_not_released_and_its_loss_is_reported(
    there: EmbeddedCluster, kube: Kube
) -> None:
    notes: list[str] = []
    with taken(there, warn=notes.append).provide():
        theirs = kube.get("leases.coordination.k8s.io", "seatrial", "default")
        theirs["spec"]["holderIdentity"] = "another run"
        kube.replace("leases.coordination.k8s.io", theirs)
    held = kube.get("leases.coordination.k8s.io", "seatrial", "default")
    kube.delete("leases.coordination.k8s.io", "seatrial", "default")
    assert held["spec"]["holderIdentity"] == "another run"
    [note] = notes
    assert note.startswith("WARNING: Lease default/seatrial passed to another run while")


def test_two_that_only_read_do_not_disturb_each_other(there: EmbeddedCluster, kube: Kube) -> None:
    before = objects(kube)
    with taken(there, read_only=True).provide(), taken(there, read_only=True).provide() as access:
        assert access.read_only
        assert "writes" not in access.features
        assert objects(kube) == before


def test_what_is_not_installed_is_absent(there: EmbeddedCluster, kube: Kube) -> None:
    saved = kube.get("services", "istiod-revision-tag-default", "istio-system")
    kube.delete("services", "istiod-revision-tag-default", "istio-system")
    try:
        with taken(there, read_only=True).provide() as access:
            assert access.absent == {"istiod-revision-tag-default"}
    finally:
        for key in ("uid", "resourceVersion", "creationTimestamp"):
            saved["metadata"].pop(key)
        kube.create("services", saved, "istio-system")


@contextmanager
def without(kube: Kube, *gone: tuple[str, str]) -> Iterator[None]:
    """The mesh while some of its objects are deleted."""
    saved = [(kind, kube.get(kind, name, "istio-system")) for kind, name in gone]
    for kind, name in gone:
        kube.delete(kind, name, "istio-system")
    try:
        yield
    finally:
        for kind, body in saved:
            for key in ("uid", "resourceVersion", "creationTimestamp"):
                body["metadata"].pop(key)
            kube.create(kind, body, "istio-system")


@pytest.mark.parametrize("gateway", ["ingress", "egress"])
def test_a_gateway_whose_deployment_is_gone_is_still_wanted(
    there: EmbeddedCluster, kube: Kube, gateway: str
) -> None:
    name = f"istio-{gateway}gateway"
    with (
        without(kube, ("deployments.apps", name)),
        taken(there, read_only=True).provide() as access,
    ):
        assert access.has(f"{gateway}-gateway")
        assert access.has("demo-ports")
        assert not access.absent
        [note] = [note for note in access.notes if note.startswith("MISSING")]
        assert f"Service {name} exists" in note


@pytest.mark.parametrize("selected", [True, False])
def test_a_gateway_that_nothing_is_left_of_is_wanted_if_somebody_selects_it(
    there: EmbeddedCluster, kube: Kube, *, selected: bool
) -> None:
    name, kind = "istio-ingressgateway", "gateways.networking.istio.io"
    selector = {"istio": "ingressgateway" if selected else "another"}
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    spec = {"selector": selector, "servers": [{"port": port, "hosts": ["*"]}]}
    body = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "spec": spec}
    kube.create(kind, {**body, "metadata": {"name": "trace"}}, "default")
    try:
        with without(kube, ("deployments.apps", name), ("services", name)):
            eventually(lambda: must_be_gone(kube, "istio=ingressgateway"), within=GONE)
            with taken(there, read_only=True).provide() as access:
                assert access.has("ingress-gateway") is selected
                assert (name in access.absent) is not selected
    finally:
        kube.delete(kind, "trace", "default")


def must_be_gone(kube: Kube, labels: str) -> None:
    if kube.list("pods", labels=labels):
        raise ClaimFailed(f"pods {labels}", expected="none", got="some")


def test_living_h11_a_newer_kubernetes_is_a_warning_and_one_claim(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    home = tmp_path_factory.mktemp("newer")
    with started(home, "--istio-version", "1.29.6", "--kube-version", "1.37.0") as cluster:
        report = run_over(cluster, tmp_path, "--profile", "readonly")
    assert set(verdicts(report, "failed")) == {"cluster/the-kubernetes-version-is-supported"}
    assert report["exit_code"] == 1
    assert len(verdicts(report, "passed")) > 30


def test_a_run_leaves_everything_as_it_was(
    there: EmbeddedCluster, kube: Kube, tmp_path: Path
) -> None:
    before, config = objects(kube), there.kubeconfig.read_bytes()
    report = run_over(there, tmp_path)
    assert verdicts(report, "failed") == verdicts(report, "error") == {}
    requested = verdicts(report, "passed")
    assert {"gateway/the-products-are-json", "workloads/every-proxy-is-in-sync"} <= set(requested)
    assert not [claim for claim in requested if claim.startswith("ambient")]  # it has no ztunnel
    skipped_stages = ("addons/", "restart/", "ambient/", "ambient-traffic/")
    others = {c for c in verdicts(report, "not-claimed") if not c.startswith(skipped_stages)}
    assert others == NO_PART_OF_IT
    assert report["exit_code"] == 0
    assert objects(kube) == before
    assert there.kubeconfig.read_bytes() == config


def test_a_health_check_writes_nothing(there: EmbeddedCluster, kube: Kube, tmp_path: Path) -> None:
    before = objects(kube)
    report = run_over(there, tmp_path, "--profile", "readonly")
    assert verdicts(report, "failed") == verdicts(report, "error") == {}
    assert len(verdicts(report, "passed")) > 30
    assert objects(kube) == before


def test_a_health_check_lists_each_kind_once_and_never_without_a_limit(
    there: EmbeddedCluster, tmp_path: Path
) -> None:
    log = tmp_path / "requests.json"
    report = run_over(there, tmp_path, "--profile", "readonly", "--write-requests", str(log))
    assert verdicts(report, "failed") == verdicts(report, "error") == {}
    lists = json.loads(log.read_text())["lists"]
    assert [one for one in lists if not one["limited"]] == []
    all_of_them = (one for one in lists if not one["namespace"] and not one["chosen"])
    everywhere = {one["kind"]: one["times"] for one in all_of_them}
    assert {"pods", "namespaces", "nodes"} <= set(everywhere)
    assert set(everywhere.values()) == {1}
    again = [one for one in lists if one["times"] > 1]  # these are few: of a name, or of istiod
    assert all(one["chosen"] or one["namespace"] == "istio-system" for one in again)
    assert all(one["chosen"] or not one["namespace"] for one in lists if one["kind"] == "pods")


def test_a_run_that_is_ended_leaves_everything_as_it_was(
    there: EmbeddedCluster, kube: Kube, tmp_path: Path
) -> None:
    before = objects(kube)
    with running(there, tmp_path) as process:
        eventually(lambda: must_have_made_a_namespace(kube), within=timeout("it begins", 60))
        process.terminate()
        assert process.wait(SECONDS) == 2
    assert "stopped by SIGTERM" in (tmp_path / "summary.md").read_text()
    assert objects(kube) == before


def test_a_user_who_may_not_write_is_shown_what_is_missing(
    there: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    may = Kube.may
    monkeypatch.setattr(
        Kube, "may", lambda *a, **k: a[1:3] != ("create", "namespaces") and may(*a, **k)
    )
    with taken(there).provide() as access:
        assert access.read_only
        assert "writes" not in access.features
        assert "this user may not create namespaces" in access.skipped_stages["sample"]


def service(address: str, node_port: int, port: int) -> dict[str, Any]:
    ports = [{"name": "status-port", "port": port, "nodePort": node_port}]
    balancer = {"ingress": [{"ip": address}]}
    return {"spec": {"ports": ports}, "status": {"loadBalancer": balancer}}


@pytest.mark.parametrize(
    ("taking", "way"),
    [
        pytest.param({("10.0.0.1", 30000)}, ("node-port", "10.0.0.1"), id="NodePort"),
        pytest.param({("10.9.9.9", 15021)}, ("load-balancer", "10.9.9.9"), id="load balancer"),
        pytest.param(set(), ("", None), id="none of them"),
    ],
)
def test_the_way_in_is_tried_and_not_believed(
    monkeypatch: pytest.MonkeyPatch, taking: set[tuple[str, int]], way: tuple[str, str | None]
) -> None:
    monkeypatch.setattr(finding, "_takes", lambda *where: where in taking)
    node = Node("n", "", "", "10.0.0.1", addresses=("10.0.0.1",))
    assert finding._access_path(service("10.9.9.9", 30000, 15021), [node]) == way
    assert finding._access_path(None, [node]) == ("", None)


def test_what_a_killed_run_left_is_removed_and_nothing_else(
    there: EmbeddedCluster, kube: Kube
) -> None:
    before = objects(kube)
    config = {"KUBECONFIG": str(there.kubeconfig)}
    ours = {"app.kubernetes.io/managed-by": "seatrial"}
    for name, labels in {
        "left": {**ours, RUN: "r1"},
        "kept": {**ours, RUN: "r2", KEPT: "true"},
        "somebodys": {RUN: "r3"},
    }.items():
        kube.create("namespaces", {"metadata": {"name": name, "labels": labels}})
    with taken(there).provide() as access:
        run = {**ours, **access.namespaces.labels}
        kube.create("namespaces", {"metadata": {"name": "in-use", "labels": run}})
        begins_alike = {**ours, RUN: run[RUN][:2]}
        kube.create("namespaces", {"metadata": {"name": "begins-alike", "labels": begins_alike}})
        message = " ".join(line for _, line in clean(there.ready["context"], config))
        assert "namespace left: removed" in message
        assert "namespace kept: kept" in message
        assert f"namespace in-use: in use by {owner()}" in message
        assert "namespace begins-alike: removed" in message
        assert "somebodys" not in message
    for name in ("kept", "somebodys"):
        kube.delete("namespaces", name, missing_ok=False)
    eventually(lambda: must_be(before, kube), within=timeout("namespaces go", 20))


def must_be(before: dict[str, str], kube: Kube) -> None:
    if before != objects(kube):
        raise ClaimFailed(
            "objects", expected="as before", got=sorted(set(objects(kube)) - set(before))
        )
