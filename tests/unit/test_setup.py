"""What a stage's preparation makes is gone when it ends, however it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.claims import Unrecoverable
from fixtures.istio.applied import applied
from fixtures.k8s import Body, Refused, Unreachable
from fixtures.k8s.kinds import Kinds

RESOURCES = {
    "/api/v1": [
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
        {"name": "namespaces", "kind": "Namespace", "namespaced": False},
    ],
    "/apis/apps/v1": [{"name": "deployments", "kind": "Deployment", "namespaced": True}],
}


class Objects:
    """A server that keeps what is applied, and answers some names otherwise."""

    def __init__(self) -> None:
        self.kinds = Kinds(lambda path: {"resources": RESOURCES[path]})
        self.there: list[tuple[str, str, str | None]] = []
        self.on_apply: dict[str, Exception] = {}
        self.on_delete: dict[str, Exception] = {}

    def apply(self, documents: list[Body], namespace: str) -> None:
        for document in documents:
            name = document["metadata"]["name"]
            error = self.on_apply.get(name)
            if isinstance(error, Refused):
                raise error
            place, namespaced = self.kinds.place_of(document)
            where = (document["metadata"].get("namespace") or namespace) if namespaced else None
            self.there.append((place.kind, name, where))
            if error:
                raise error

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        if error := self.on_delete.get(name):
            raise error
        self.there.remove((kind, name, namespace))


def document(name: str, kind: str = "ConfigMap", version: str = "v1", **meta: str) -> Body:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **meta}}


DOCUMENTS = [
    document("n", "Namespace"),
    document("a", namespace="elsewhere"),
    document("b", "Deployment", "apps/v1"),
    document("c"),
]


@pytest.fixture
def objects() -> Any:
    return Objects()


def names(objects: Objects) -> list[str]:
    return [name for _, name, _ in objects.there]


def test_each_is_deleted_where_it_was_put(objects: Any) -> None:
    with applied(objects, DOCUMENTS, "here", what="four"):
        assert objects.there == [
            ("namespaces", "n", None),
            ("configmaps", "a", "elsewhere"),
            ("deployments.apps", "b", "here"),
            ("configmaps", "c", "here"),
        ]
    assert objects.there == []


def test_what_was_applied_before_a_refusal_is_deleted(objects: Any) -> None:
    objects.on_apply["c"] = Refused(403, message="denied by a webhook")
    with (
        pytest.raises(Unrecoverable, match="denied by a webhook"),
        applied(objects, DOCUMENTS, "here", what="four"),
    ):
        pytest.fail("it was refused")
    assert objects.there == []


def test_what_may_have_been_applied_is_deleted(objects: Any) -> None:
    objects.on_apply["c"] = Unreachable("the connection broke")
    with pytest.raises(Unreachable), applied(objects, DOCUMENTS, "here", what="four"):
        pytest.fail("it broke")
    assert objects.there == []


def test_a_refused_object_of_somebody_else_is_left(objects: Any) -> None:
    objects.there.append(("configmaps", "c", "here"))
    objects.on_apply["c"] = Refused(422, message="field is immutable")
    with pytest.raises(Unrecoverable), applied(objects, DOCUMENTS, "here", what="four"):
        pytest.fail("it was refused")
    assert objects.there == [("configmaps", "c", "here")]


@pytest.mark.parametrize("failing", ["a", "b", "c"])
def test_a_delete_that_fails_stops_no_other(objects: Any, failing: str) -> None:
    objects.on_delete[failing] = Refused(500, message="etcd failed")
    with (
        pytest.raises(Refused, match="etcd failed"),
        applied(objects, DOCUMENTS, "here", what="four"),
    ):
        pass
    assert names(objects) == [failing]


@pytest.mark.parametrize(
    "end", [lambda: None, lambda: pytest.fail("a claim")], ids=["well", "not"]
)
def test_what_is_kept_stays(objects: Any, end: Callable[[], object]) -> None:
    try:
        with applied(objects, DOCUMENTS, "here", what="four", keep=True):
            end()
    except pytest.fail.Exception:
        pass
    assert len(objects.there) == len(DOCUMENTS)
