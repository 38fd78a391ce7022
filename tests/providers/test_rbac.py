"""The roles of docs/rbac: a run passes with just them, and whatever is taken away is missed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.istio.releases.versions import PAIRS
from fixtures.k8s import Kube, Refused, roles
from fixtures.k8s.roles import GROUP, HOME, Permission, granted
from fixtures.providers.base import Access
from fixtures.providers.request_log import VERBS, ApiRequest
from tests.embedded.conftest import started
from tests.golden import Golden
from tests.providers.roles import BESIDE, CONTEXT, FOLDER, PROFILES, cluster_of, run_suite

Body = dict[str, Any]
MESH = "istio-system"

ROLES = {
    path.stem: list(yaml.load_all(path.read_text(), yaml.CSafeLoader))
    for path in FOLDER.glob("*.yaml")
}
EVERY = {p: name for name in sorted(ROLES) for p in granted(ROLES[name])}
METHODS = {verb: method for method, verb in VERBS.items()}


@dataclass(frozen=True)
class Ruled:
    """A cluster, its administrator, and a service account with one of the roles."""

    admin: Kube
    account: Kube
    kubeconfig: Path

    def grant(self, name: str, *, without: Permission | None = None) -> None:
        """Let the account do what a role says, but for one permission."""
        for profile in ROLES:
            self.admin.delete(f"clusterrolebindings.{GROUP}", f"seatrial-{profile}")
            for namespace in ("default", "istio-system", "kube-system"):
                self.admin.delete(f"rolebindings.{GROUP}", f"seatrial-{profile}", namespace)
        needed = [p for p in granted(ROLES[name]) if p != without]
        self.admin.apply(roles.manifest(name, needed))

    def confine(self, namespace: str) -> None:
        """Let the account read what is in one namespace, and nothing else."""
        self.grant("readonly")
        self.admin.delete(f"clusterrolebindings.{GROUP}", "seatrial-readonly")
        for other in ("default", "istio-system", "kube-system"):
            self.admin.delete(f"rolebindings.{GROUP}", "seatrial-readonly", other)
        rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
        rules += [{"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["create"]}]
        named = {"apiVersion": f"{GROUP}/v1", "metadata": {"name": "seatrial-readonly"}}
        role = {"apiGroup": GROUP, "kind": "Role", "name": "seatrial-readonly"}
        subjects = [{"kind": "ServiceAccount", "name": HOME, "namespace": HOME}]
        documents: list[Body] = [
            {**named, "kind": "Role", "rules": rules},
            {**named, "kind": "RoleBinding", "roleRef": role, "subjects": subjects},
        ]
        self.admin.apply(documents, namespace)

    def request(self, wanted: Permission) -> None:
        """Ask for something that needs this permission, and changes nothing."""
        kube, wire = self.account, self.account._wire
        plural, _, below = wanted.resource.partition("/")
        kind = f"{plural}.{wanted.group}" if wanted.group else plural
        place = kube.kinds.place(kind)
        named = bool(below) or wanted.verb not in {"create", "list"}
        path = place.path(wanted.namespace, "nobody" if named else "", below)
        method = "GET" if below == "portforward" else METHODS.get(wanted.verb, "GET")
        namespaced = any(r["name"] == plural and r["namespaced"] for r in _resources(kube, place))
        if namespaced and not wanted.namespace and wanted.verb != "list":
            path = place.path("somewhere", "nobody" if named else "", below)
        body: Body | None = None if method == "GET" else {}
        media = "application/merge-patch+json" if method == "PATCH" else "application/json"
        query = [] if method in {"GET", "DELETE"} else [("dryRun", "All")]
        requested = ApiRequest(wanted.verb, wanted.resource, wanted.namespace)
        wire.send(method, path, request=requested, query=query, body=body, content_type=media)


def _resources(kube: Kube, place: Any) -> list[Body]:
    found: list[Body] = kube.raw(place.prefix)["resources"]
    return found


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ruled]:
    home = tmp_path_factory.mktemp("ruled")
    with started(home, *cluster_of(PAIRS[0])) as cluster:
        admin = Kube.connect(access(cluster.kubeconfig))
        admin.apply(roles.manifest("none", []))
        path = f"/api/v1/namespaces/{HOME}/serviceaccounts/{HOME}/token"
        requested = ApiRequest("create", "serviceaccounts/token", HOME)
        answer = admin._wire.send_decoded("POST", path, request=requested, body={"spec": {}})
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": answer["status"]["token"]}
        (home / "account").write_text(yaml.safe_dump(config))
        account = Kube.connect(access(home / "account"))
        yield Ruled(admin, account, home / "account")
        admin.close()
        account.close()


def access(kubeconfig: Path) -> Access:
    return Access(kubeconfig, CONTEXT, None, "rehearsal", "test", PAIRS[0].istio, PAIRS[0].kube)


def read(folder: Path) -> Body:
    report: Body = json.loads((folder / "report.json").read_text())
    return report


def test_there_is_a_role_for_each_kind_of_run() -> None:
    assert set(ROLES) == {*PROFILES, *BESIDE}


@pytest.mark.parametrize(("name", "other"), BESIDE.items())
def test_what_stands_beside_a_role_is_not_in_it(name: str, other: str) -> None:
    held, besides = granted(ROLES[other]), granted(ROLES[name])
    assert besides
    assert not [p for p in besides if p in held or any(h.covers(p) for h in held)]


@pytest.mark.parametrize("name", ["readonly", "conformance"])
def test_a_run_passes_with_just_its_role(ruled: Ruled, tmp_path: Path, name: str) -> None:
    ruled.grant(name)
    done = run_suite(ruled.kubeconfig, tmp_path, *PROFILES[name])
    assert done.returncode == 0, done.stdout + done.stderr
    report = read(tmp_path)
    verdicts = [claim["verdict"] for claim in report["claims"]]
    assert "passed" in verdicts
    assert "forbidden" not in json.dumps(report)
    assert "this user may not" not in json.dumps(report)
    for granted_by_the_role in ("pod-log", "port-forward"):
        assert f"does not declare {granted_by_the_role}" not in json.dumps(report)


@pytest.mark.parametrize(("wanted", "name"), EVERY.items(), ids=map(str, EVERY))
def test_what_is_taken_away_is_missed_in_the_servers_words(
    ruled: Ruled, wanted: Permission, name: str
) -> None:
    ruled.grant(name)
    refusal = refused(ruled, wanted)
    assert refusal is None or refusal.code != 403, refusal
    ruled.grant(name, without=wanted)
    refusal = refused(ruled, wanted)
    assert refusal
    assert refusal.code == 403
    assert f'cannot {wanted.verb} resource "{wanted.resource}"' in refusal.message
    assert f'User "system:serviceaccount:{HOME}:{HOME}"' in refusal.message


def refused(ruled: Ruled, wanted: Permission) -> Refused | None:
    try:
        ruled.request(wanted)
    except Refused as e:
        return e
    return None


def test_who_lacks_a_permission_reads_which_in_one_line(
    ruled: Ruled, tmp_path: Path, golden: Golden
) -> None:
    wanted = Permission(
        "", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "list"
    )
    ruled.grant("readonly", without=wanted)
    done = run_suite(ruled.kubeconfig, tmp_path, *PROFILES["readonly"], "--require-all")
    assert done.returncode == 12
    claims = [c for c in read(tmp_path)["claims"] if "validating" in c["message"]]
    assert {c["verdict"] for c in claims} == {"not-claimed"}
    [message] = {c["message"] for c in claims}
    golden(message)


def test_who_may_read_one_namespace_has_that_audited(ruled: Ruled, tmp_path: Path) -> None:
    ruled.confine(MESH)
    config = yaml.safe_load(ruled.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = MESH
    confined = tmp_path / "confined"
    confined.write_text(yaml.safe_dump(config))
    options = (*PROFILES["readonly"], "--istio-version", PAIRS[0].istio)
    done = run_suite(confined, tmp_path, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    claims = {claim["id"]: claim for claim in read(tmp_path)["claims"]}
    assert {claim["verdict"] for claim in claims.values()} == {"passed", "not-claimed"}
    assert claims["installation/istiod-is-rolled-out"]["verdict"] == "passed"
    assert claims["workloads/the-root-certificate-lasts"]["verdict"] == "passed"
    synced = claims["workloads/every-proxy-is-in-sync"]
    assert synced["examined"] > 1
    assert re.fullmatch(
        r"it holds of what is seen \(\d+ pods\); this user may not list pods in all namespaces "
        r"\(only in istio-system\)",
        synced["message"],
    )
    assert 'cannot list resource "nodes"' in claims["cluster/every-node-is-ready"]["message"]


def test_who_may_read_no_istiod_is_reported_what_to_say(ruled: Ruled, tmp_path: Path) -> None:
    ruled.confine(HOME)
    done = run_suite(ruled.kubeconfig, tmp_path, *PROFILES["readonly"])
    assert done.returncode == 10
    assert "add --profile readonly --istio-version VERSION" in done.stdout
