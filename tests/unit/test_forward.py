"""A port of a pod that answers too slowly ends a request, whatever still trickles."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fixtures.claims.deadlines import timeout
from fixtures.k8s.errors import Unreachable
from fixtures.k8s.forward import Forward

NEVER_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it"
UNBOUNDED = b"HTTP/1.1 200 OK\r\n\r\nhalf of it"


@pytest.mark.parametrize("begun", [b"", NEVER_WHOLE, UNBOUNDED])
def test_an_answer_that_never_ends_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    theirs, ours = socket.socketpair()

    @contextmanager
    def connect(_: Forward, *__: Any) -> Iterator[socket.socket]:
        ours.settimeout(10)
        try:
            yield ours
        except OSError as e:
            raise Unreachable(str(e)) from e

    monkeypatch.setattr(Forward, "connect", connect)
    monkeypatch.setattr("fixtures.k8s.forward.WHOLE_ANSWER", timeout("it is read", 0.1))
    forward = Forward(lambda: None, pod="istiod", namespace="istio-system", port=15014)
    with theirs, ours:
        theirs.sendall(begun)
        with pytest.raises(Unreachable, match=r"no whole answer; at most 0\.1 s until it is read"):
            forward.get("/debug/syncz")
