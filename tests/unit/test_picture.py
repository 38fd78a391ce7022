"""The picture of a cluster: each kind read once, what may be seen of it, and looking again."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fixtures.claims import NotTested, observing
from fixtures.k8s import Body, Forbidden, Refused
from fixtures.k8s.picture import NAMESPACES, PODS, Picture, changed
from fixtures.k8s.pod import Pod
from fixtures.providers.read_once import ReadOnce
from tests.unit.states import FakeKube, as_kube

ROOT = Path(__file__).parents[2]
S = TypeVar("S")
T = TypeVar("T")


def pod(name: str, namespace: str = "app", **spec: Any) -> Body:
    container = {"name": "own", "image": "own:1", "args": ["--port", "80"]}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid of {name}",
            "labels": {"app": "own", "pod-template-hash": "abc"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "managedFields": [{"manager": "kubectl"}],
            "ownerReferences": [{"kind": "ReplicaSet", "name": "own-abc", "controller": True}],
        },
        "spec": {"containers": [container], "volumes": [{"name": "not read"}], **spec},
        "status": {"phase": "Running"},
    }


def namespace(name: str) -> Body:
    return {"metadata": {"name": name}, "status": {"phase": "Active"}}


class Kept(FakeKube):
    """A cluster whose client keeps what it read, and that counts who asks it."""

    known_namespaces = ("own",)

    def __init__(
        self, *pods: Body, forbidden: tuple[str | None, ...] = (), listed: bool = True
    ) -> None:
        names = dict.fromkeys(one["metadata"]["namespace"] for one in pods)
        super().__init__({"v1/pods": list(pods), "v1/namespaces": list(map(namespace, names))})
        self.kept = ReadOnce()
        self.requested: list[tuple[str, str | None]] = []
        self.forbidden = forbidden
        self.listed = listed

    @property
    def read_once(self) -> ReadOnce:
        return self.kept

    def read(
        self, kind: str, shape: type[S], make: Callable[[S], T], **chosen: Any
    ) -> tuple[T, ...]:
        where = chosen.get("namespace")
        self.requested.append((kind, where))
        if kind == NAMESPACES and not self.listed:
            raise Forbidden(403, message="namespaces is forbidden")
        if kind == PODS and where in self.forbidden:
            raise Forbidden(403, reason="Forbidden", message="pods is forbidden")
        return super().read(kind, shape, make, **chosen)


def picture(kube: FakeKube) -> Picture:
    return Picture(as_kube(kube))


def test_a_kind_is_read_once_whoever_needs_it() -> None:
    kube = Kept(pod("a"))
    assert picture(kube).pods() == picture(kube).pods()
    kube.kept.forget()
    assert [one.name for one in picture(kube).pods()] == ["a"]
    assert kube.requested == [(PODS, None)] * 2


def test_two_threads_that_need_a_kind_read_it_once() -> None:
    kept, started, go, read = ReadOnce(), threading.Event(), threading.Event(), []

    def slow() -> int:
        started.set()
        assert go.wait(5)
        read.append(1)
        return 7

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(kept.get("k", slow))) for _ in "ab"]
    threads[0].start()
    assert started.wait(5)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(5)
    assert (found, read) == ([7, 7], [1])


def test_a_read_that_failed_is_made_again() -> None:
    kept, failures = ReadOnce(), [Refused(503)]

    def read() -> int:
        if failures:
            raise failures.pop()
        return 3

    with pytest.raises(Refused):
        kept.get("k", read)
    assert kept.get("k", read) == 3


def test_pods_keep_what_audits_read_and_share_what_is_the_same() -> None:
    one, other = picture(Kept(pod("a"), pod("b", hostNetwork=True))).pods()
    assert one.containers[0].args == ("--port", "80")
    assert one.containers[0] is other.containers[0]
    assert (one.host_network, other.host_network) == (False, True)
    assert one.annotations == {}
    assert one.controller == "Deployment app/own"
    with pytest.raises(LookupError, match="no whole specification"):
        _ = one.containers[0].spec
    assert Pod.of(pod("a")).containers[0].spec["image"] == '"own:1"'


def test_what_a_user_may_not_see_is_named_with_the_permission() -> None:
    kube = Kept(pod("a"), pod("b", "other"), forbidden=(None, "other"))
    seen = picture(kube)
    assert [one.name for one in seen.pods()] == ["a"]
    missing = r"what is seen \(1 pods\).*may not list pods in all namespaces \(only in app\)"
    with pytest.raises(NotTested, match=missing):
        seen.expect_whole(PODS)
    whole = Kept(pod("a"))
    picture(whole).pods()
    picture(whole).expect_whole(PODS)


def test_a_kind_that_may_be_listed_nowhere_is_refused() -> None:
    with pytest.raises(Refused, match="pods is forbidden"):
        picture(Kept(pod("a"), forbidden=(None, "app"))).pods()


def test_a_pod_is_looked_at_again_by_its_name_and_uid() -> None:
    kube = Kept(pod("a"), pod("b"))
    before = picture(kube).pods()
    kube.change("pods", "a", lambda body: body["metadata"].update(uid="of another one"))
    kube.change("pods", "b", lambda body: body["status"].update(phase="Failed"))
    again = [picture(kube).again(one) for one in before]
    assert again[0] is None
    assert again[1] is not None
    assert again[1].phase == "Failed"


def test_what_changed_meanwhile_is_reported_in_one_line() -> None:
    with observing() as observations:
        changed([])
        changed(["pod a", "pod b", "pod c", "pod d", "pod e"])
    assert observations.notes == ["changed while it was audited: pod a, pod b, pod c and 2 more"]


def test_who_may_not_list_namespaces_has_those_read_that_the_context_names() -> None:
    kube = Kept(pod("a", "own"), pod("b", "other"), forbidden=(None, "other"), listed=False)
    seen = picture(kube)
    assert [one.name for one in seen.pods()] == ["a"]
    assert [one.name for one in seen.namespaces()] == ["own"]
    assert seen.sees("own", PODS)
    assert not seen.sees("other", PODS)
    with pytest.raises(NotTested, match=r"may not list namespaces \(only get own\)"):
        seen.expect_whole(NAMESPACES)


def test_objects_are_read_once_whether_whole_or_in_their_parts() -> None:
    kube, kind = Kept(), "gateways.networking.istio.io"
    written: Body = {"name": "g", "namespace": "app", "managedFields": [{"manager": "kubectl"}]}
    kube._kinds[kind] = [{"metadata": written, "spec": {"selector": {"istio": "g"}}}]
    [part], [whole] = picture(kube).objects(kind), picture(kube).whole(kind)
    assert (part.metadata.name, part.spec) == ("g", {"selector": {"istio": "g"}})
    assert whole == {"metadata": {"name": "g", "namespace": "app"}, "spec": part.spec}
    assert kube.requested == [(kind, None)]
    assert "managedFields" in written


def test_a_kind_of_a_definition_that_is_half_installed_has_no_objects() -> None:
    class Half(Kept):
        def read(self, *_: Any, **__: Any) -> Any:
            raise Refused(404, message="the server could not find the requested resource")

    assert picture(Half()).objects("wasmplugins.extensions.istio.io") == ()
    assert picture(Half()).whole("gateways.gateway.networking.k8s.io") == ()


AT_ONCE = """
import sys, threading
import msgspec
from fixtures.k8s import shapes

sys.setswitchinterval(1e-6)
barrier = threading.Barrier(8)

def convert():
    barrier.wait()
    msgspec.convert({"metadata": {"name": "x"}}, shapes.Pod)

threads = [threading.Thread(target=convert) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
"""


def test_threads_that_are_the_first_to_read_a_kind_do_not_crash() -> None:
    """One in four such processes ended with a segmentation fault before."""
    command = [sys.executable, "-c", AT_ONCE]
    runs = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(12)]
    assert [run.wait(timeout=60) for run in runs] == [0] * len(runs)
