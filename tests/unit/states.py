"""A recorded cluster to ask, in memory: what the nouns read, and nothing that writes.

Only tests use it; what it answers stands in `tests.recordings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from fixtures.k8s import Body, Kube, Refused
from fixtures.providers.read_once import ReadOnce
from tests.recordings import state_of

S = TypeVar("S")
T = TypeVar("T")


class FakeKube:
    """A `Kube` over a recorded state; `change` breaks it."""

    server = "https://recorded"
    known_namespaces: tuple[str, ...] = ()

    def __init__(self, state: dict[str, list[Body]], raw: dict[str, Any] | None = None) -> None:
        self._kinds = {_kind(key): bodies for key, bodies in state.items()}
        self._raw = raw or {}

    def list(
        self, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Body]:
        bodies = [b for b in self._kinds.get(kind, []) if _in(b, namespace)]
        chosen = [b for b in bodies if _fits(b, labels)]
        return [b for b in chosen if _has(b, fields)]

    @property
    def read_once(self) -> ReadOnce:
        """Nothing is kept: a test may change the state at any time."""
        return ReadOnce()

    def read(
        self, kind: str, shape: type[S], make: Callable[[S], T], **chosen: Any
    ) -> tuple[T, ...]:
        return tuple(make(msgspec.convert(one, shape)) for one in self.list(kind, **chosen))

    def events(self, namespace: str, involved: str = "") -> Any:
        return self.list("events", namespace, fields=f"involvedObject.name={involved}")

    def find(self, kind: str, name: str, namespace: str | None = None) -> Body | None:
        found = [b for b in self.list(kind, namespace) if b["metadata"]["name"] == name]
        return found[0] if found else None

    def get(self, kind: str, name: str, namespace: str | None = None) -> Body:
        if (body := self.find(kind, name, namespace)) is None:
            raise Refused(404, reason="NotFound", message=f'{kind} "{name}" not found')
        return body

    def now(self) -> float:
        """An hour after the newest object was made."""
        times = (b["metadata"].get("creationTimestamp") for v in self._kinds.values() for b in v)
        newest = max(filter(None, times), default="2026-01-01T00:00:00Z")
        return datetime.fromisoformat(newest).timestamp() + 3600

    @contextmanager
    def forwards(self, pod: str, namespace: str, *ports: int) -> Iterator[Any]:
        """Each port by itself, as `forward` of those that have one answers."""
        forward = getattr(self, "forward")  # noqa: B009  # of the fakes that have one
        with ExitStack() as stack:
            every = [stack.enter_context(forward(pod, namespace, port)) for port in ports]
            for one, port in zip(every, ports, strict=True):
                one.port = port
            yield every

    def raw(self, path: str) -> Any:
        if path not in self._raw:
            raise Refused(404, message=path)
        return self._raw[path]

    def change(self, kind: str, name: str, change: Callable[[Body], object]) -> None:
        """Break every object whose name begins so and that is not dying anyway."""
        found = [b for b in self._kinds[kind] if b["metadata"]["name"].startswith(name)]
        found = [b for b in found if "deletionTimestamp" not in b["metadata"]]
        assert found, f"nothing called {name} to break"
        for body in found:
            change(body)

    def add(self, kind: str, body: Body) -> None:
        """Have one more object."""
        self._kinds[kind] = [*self._kinds.get(kind, []), body]

    def remove(self, kind: str, name: str) -> None:
        """Take away every object whose name begins so."""
        left = [b for b in self._kinds[kind] if not b["metadata"]["name"].startswith(name)]
        assert len(left) < len(self._kinds[kind]), f"nothing called {name} to remove"
        self._kinds[kind] = left


def recorded(name: str, raw: dict[str, Any] | None = None) -> Any:
    """A cluster as it was recorded; typed Any to stand in for a `Kube`."""
    return FakeKube(state_of(name), raw)


def as_kube(fake: FakeKube) -> Kube:
    """The fake under the name of what it stands for."""
    kube: Any = fake
    return kube  # type: ignore[no-any-return]  # a duck, in tests only


def _kind(key: str) -> str:
    *group, _version, plural = key.split("/")
    return f"{plural}.{group[0]}" if group else plural


def _in(body: Body, namespace: str | None) -> bool:
    return namespace is None or body["metadata"].get("namespace") == namespace


def _has(body: Body, fields: str) -> bool:
    """Understand any path, as `involvedObject.name=x,reason=y`."""
    for path, _, value in (pair.partition("=") for pair in fields.split(",") if pair):
        found: Any = body
        for part in path.split("."):
            found = (found or {}).get(part)
        if found != value:
            return False
    return True


def _fits(body: Body, labels: str) -> bool:
    """Understand `k=v` and one `k in (a,b)`; that is all the nouns ask."""
    own = body["metadata"].get("labels") or {}
    if " in " in labels:
        key, _, values = labels.partition(" in ")
        return own.get(key) in values.strip("()").split(",")
    return all(own.get(k) == v for k, _, v in (p.partition("=") for p in labels.split(",") if p))
