"""Injection by hand is held against the webhook's, with an istioctl that is a script."""

from __future__ import annotations

import sys
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested, start_observing
from fixtures.claims.deadlines import timeout
from fixtures.istio.istioctl import Istioctl
from fixtures.istio.kube_inject import KubeInject
from fixtures.istio.releases import expected
from fixtures.k8s import Body, Refused

ROWS = expected("1.31.0", "v1.35.0", ["v1.35.0"])
WORKLOAD: Body = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "details-v1"},
    "spec": {
        "template": {
            "metadata": {"labels": {"app": "details"}},
            "spec": {"containers": [{"name": "details", "image": "d"}]},
        }
    },
}
PROXY: Body = {
    "name": "istio-proxy",
    "env": [
        {"name": "ISTIO_META_OWNER", "value": "pods/details-v1"},
        {"name": "ISTIO_META_MESH_ID", "value": "cluster.local"},
    ],
}
SCRIPT = """
import sys, time, yaml
arguments, documents = sys.argv[1:], list(yaml.safe_load_all(sys.stdin))
assert arguments[:1] == ["kube-inject"] and arguments[-2:] == ["-f", "-"], arguments
open(HERE + "/arguments", "w").write(" ".join(arguments))
proxy = yaml.safe_load(PROXY)
for one in documents: one["spec"]["template"]["spec"]["initContainers"] = [proxy]
CHANGE
print(yaml.safe_dump_all(documents))
"""


class Server:
    """An API server whose webhook adds a proxy to whatever does not refuse one."""

    def __init__(self) -> None:
        self.refuses = ""

    def create(self, kind: str, body: Body, namespace: str, *, dry_run: bool) -> Body:
        assert (kind, namespace, dry_run) == ("pods", "bookinfons", True)
        if self.refuses:
            raise Refused(500, message=self.refuses)
        pod = deepcopy(body)
        if pod["metadata"]["labels"].get("sidecar.istio.io/inject") != "false":
            pod["spec"]["initContainers"] = [PROXY]
        volumes = [{"name": f"kube-api-access-{id(pod):x}", "projected": {}}]
        return {**pod, "spec": {**pod["spec"], "volumes": volumes}}


@pytest.fixture
def server() -> Server:
    start_observing()
    return Server()


def both(server: Server, folder: Path, change: str = "", **more: Any) -> KubeInject:
    """Both ways, where istioctl's output differs by a change."""
    proxy = str(PROXY | {"env": PROXY["env"][1:]})  # it knows no owner
    script = SCRIPT.replace("HERE", repr(str(folder))).replace("PROXY", repr(proxy))
    (folder / "istioctl.py").write_text(script.replace("CHANGE", change))
    sample: Any = SimpleNamespace(kube=server, namespace="bookinfons", expected=ROWS)
    command = more.pop("command", (sys.executable, str(folder / "istioctl.py")))
    istioctl = Istioctl(command, folder / "kubeconfig", "mine", "istio-system", **more)
    return KubeInject(sample, istioctl, [WORKLOAD])


def test_what_the_table_names_may_differ(server: Server, tmp_path: Path) -> None:
    both(server, tmp_path).expect_same()
    said = (tmp_path / "arguments").read_text()
    assert f"--kubeconfig {tmp_path}/kubeconfig --context mine" in said
    assert "--revision" not in said


def test_a_revision_is_named(server: Server, tmp_path: Path) -> None:
    both(server, tmp_path, revision="canary").expect_same()
    assert "--revision canary" in (tmp_path / "arguments").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "proxy['env'][0]['value'] = 'other'",
            r"expected .*env\.ISTIO_META_MESH_ID\.value cluster\.local, got .*value other",
        ),
        (
            "proxy['env'] = []",
            r"ISTIO_META_MESH_ID\.value cluster\.local, got .*ISTIO_META_MESH_ID\.value none",
        ),
        (
            "del documents[0]['spec']['template']['spec']['initContainers']",
            r"order of spec\.initContainers istio-proxy, .* got order of .* none",
        ),
        (
            "documents[0]['spec']['template']['metadata']['labels']['more'] = 'x'",
            r"expected metadata\.labels\.more none, got metadata\.labels\.more x",
        ),
        ("documents.clear()", r"details-v1 in the output of .*: expected there, got none"),
        ("sys.exit('Error: no injector')", r"expected the workloads .* got Error: no injector"),
        ("print('{'); sys.exit()", r"got no YAML"),
        ("time.sleep(60)", r"no end of it within 0\.5 s"),
    ],
)
def test_whatever_else_differs_fails(
    server: Server, tmp_path: Path, change: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sleep" in change:
        brief = timeout("istioctl is done", 0.5)
        monkeypatch.setitem(Istioctl.kube_inject.__globals__, "ISTIOCTL", brief)
    with pytest.raises(ClaimFailed, match=words):
        both(server, tmp_path, change).expect_same()


def test_a_pod_that_is_refused_fails_in_the_servers_words(server: Server, tmp_path: Path) -> None:
    server.refuses = "failed calling webhook"
    with pytest.raises(ClaimFailed, match="500: failed calling webhook"):
        both(server, tmp_path).expect_same()


def test_where_the_webhook_injects_nothing_it_is_not_tested(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROXY, "name", "another")
    with pytest.raises(NotTested, match="injects none of these pods"):
        both(server, tmp_path).expect_same()


def test_an_istioctl_that_cannot_be_run_says_nothing_of_the_mesh(
    server: Server, tmp_path: Path
) -> None:
    with pytest.raises(NotTested, match="cannot be run"):
        both(server, tmp_path, command=(str(tmp_path / "none"),)).expect_same()
