"""Where only reading is allowed, nothing else leaves the door, dry runs included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.k8s import Kube, ReadOnly
from fixtures.k8s.kinds import Kinds
from fixtures.providers.base import Access
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": []}}
WRITES: dict[str, Callable[[Kube], object]] = {
    "create": lambda kube: kube.create("pods", POD, "default"),
    "dry run": lambda kube: kube.create("pods", POD, "default", dry_run=True),
    "apply": lambda kube: kube.apply([POD], "default"),
    "replace": lambda kube: kube.replace("pods", POD),
    "patch": lambda kube: kube.patch("pods", "a", "default", {}),
    "delete": lambda kube: kube.delete("pods", "a", "default"),
    "scale": lambda kube: kube.scale("a", "default", 0),
    "restart": lambda kube: kube.restart("a", "default"),
    "hook": lambda kube: kube.hook("injector-silent", on=True),
}


@contextmanager
def door(home: Path, *, read_only: bool, sent: list[str]) -> Iterator[Kube]:
    """A door behind which every request is only noted."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path = home / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    access = Access(path, "c", None, "rehearsal", "test", "1", "1", hooks=True)
    kube = Kube.connect(Access(**{**vars(access), "read_only": read_only}))
    kube.kinds = Kinds(_discovery)
    kube._wire._send = lambda method, path, *_: sent.append(f"{method} {path}") or b'{"items": []}'  # type: ignore[method-assign, func-returns-value]
    yield kube
    kube.close()


def _discovery(path: str) -> Any:
    if path.startswith("/apis/") and path.count("/") == 2:
        return {"preferredVersion": {"version": "v1"}, "versions": [{"version": "v1"}]}
    return {"resources": [{"name": "pods", "kind": "Pod", "namespaced": True}]}


@pytest.mark.parametrize("name", WRITES)
def test_what_would_write_is_not_sent(name: str, tmp_path: Path) -> None:
    sent: list[str] = []
    with door(tmp_path, read_only=True, sent=sent) as kube:
        with pytest.raises(ReadOnly, match=r"needs to \w+ .*--read-only"):
            WRITES[name](kube)
        assert sent == []
        assert not kube.requests.counted


@pytest.mark.parametrize("name", WRITES)
def test_it_is_sent_where_writing_is_allowed(name: str, tmp_path: Path) -> None:
    sent: list[str] = []
    with door(tmp_path, read_only=False, sent=sent) as kube:
        WRITES[name](kube)
    assert len(sent) == 1


def test_what_reads_is_sent(tmp_path: Path) -> None:
    sent: list[str] = []
    with door(tmp_path, read_only=True, sent=sent) as kube:
        kube.get("pods", "a", "default")
        kube.list("pods")
        kube.logs("a", "default")
        kube.raw("/readyz")
        with kube.forward("a", "default", 80):
            pass  # it is opened at the first request
    assert len(sent) == 4


@pytest.fixture
def runs(pytester: pytest.Pytester) -> SmallRuns:
    return SmallRuns(pytester).begin(
        world="""
from fixtures.k8s import ReadOnly

@pytest.fixture(scope="session")
def plain_sample(cluster):
    raise ReadOnly("it needs to create namespaces")

@pytest.fixture(scope="session")
def injected_sample(plain_sample):
    return 1
"""
    )


def test_what_needs_a_write_is_not_claimed_and_breaks_nothing(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster",
        """
from fixtures.k8s import ReadOnly
@so()
def test_reads(cluster): inspected_one(1)
@so()
def test_requests_a_dry_run(cluster): raise ReadOnly("it needs to create pods")
""",
    )
    runs.claims("03_sample", "@so(blocking=True)\ndef test_a(plain_sample): inspected_one(1)\n")
    runs.claims("04_injection", "@so()\ndef test_b(injected_sample): inspected_one(1)\n")
    ended = runs.run("--read-only")
    assert list(ended.verdicts.values()) == ["passed", "not-claimed", "not-claimed", "not-claimed"]
    assert ended.message("injection/b") == "it needs to create namespaces"
    assert ended.code == 0


def test_a_health_check_tests_the_stages_of_a_living_mesh_alone(runs: SmallRuns) -> None:
    one = "@so()\ndef test_a(cluster): inspected_one(1)\n"
    for module in ("01_cluster", "03_sample", "05_webhooks", "11_workloads", "12_restart"):
        runs.claims(module, one)
    ended = runs.run("--profile", "readonly")
    assert list(ended.verdicts) == ["cluster/a", "webhooks/a", "workloads/a"]
