"""An API server that has enough to do is asked less: one at a time, not ahead, not for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from fixtures.claims.waiting import wait_policy
from fixtures.k8s import Body, Kube, Refused, Unreachable, wire
from fixtures.k8s.picture import PODS as KIND
from fixtures.k8s.picture import Picture
from fixtures.providers.read_once import ReadOnce
from fixtures.providers.request_log import ApiRequest, ListRequest
from fixtures.providers.restraint import LONGEST_PAUSE, SLOW_SECONDS, Restraint
from tests.unit.test_kube import PODS, TOO_MANY, Server, connected, page

CLIENTS = 4
# How long a server waits for a second request that may come while it answers one.
MEANWHILE = 0.1


@contextmanager
def counting(server: Server) -> Iterator[list[int]]:
    """How many requests are being answered, told as each one comes."""
    told: list[int] = []
    changed, answer = threading.Condition(), server.next
    at_once = 0

    def slowly(handler: BaseHTTPRequestHandler) -> tuple[int, Any, dict[str, str]]:
        nonlocal at_once
        with changed:
            at_once += 1
            told.append(at_once)
            changed.notify_all()
            changed.wait_for(lambda: len(told) == CLIENTS, MEANWHILE)
            at_once -= 1
        return answer(handler)

    server.next = slowly  # type: ignore[method-assign]  # to be there while it answers
    yield told


def ask_at_once(kube: Kube) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda _: kube.raw("/version"), range(CLIENTS)))


@pytest.mark.parametrize("busy", [(429, TOO_MANY), (503, "etcd is slow")], ids=["429", "503"])
def test_a_server_that_had_too_many_gets_one_at_a_time(tmp_path: Path, busy: object) -> None:
    with connected(tmp_path, {"/version": [{}]}) as (kube, server):
        with counting(server) as before:
            ask_at_once(kube)
        server.answers["/version"] = [busy, {}]
        kube.raw("/version")
        with counting(server) as after:
            ask_at_once(kube)
        assert max(before) > 1
        assert after == [1] * CLIENTS


def test_nobody_sends_while_the_server_wants_to_be_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []
    monkeypatch.setattr(wire, "pause", paused.append)
    with connected(tmp_path, {"/version": [(429, TOO_MANY, {"Retry-After": "7"}), {}]}) as (k, _):
        k.raw("/version")  # it paused, as far as this test knows, and is asked by another one
        assert paused[0] == 7
        k.raw("/version")
        assert paused[-1] == pytest.approx(7, abs=1)


def test_a_slow_server_has_a_rest_after_each_answer() -> None:
    slow, quick = Restraint(), Restraint()
    quick.answered(SLOW_SECONDS / 2)
    assert (quick.holds_back, quick.seconds_left) == (False, 0)
    slow.answered(SLOW_SECONDS * 3)
    assert slow.holds_back
    assert slow.seconds_left == pytest.approx(LONGEST_PAUSE, abs=0.5)
    told = Restraint()
    told.refused(0)
    told.answered(1)
    assert told.seconds_left == pytest.approx(1, abs=0.5)


def test_no_page_is_requested_ahead_of_a_server_that_has_enough_to_do(tmp_path: Path) -> None:
    pages = [(429, TOO_MANY), page("a", more="t1"), page("b")]
    with connected(tmp_path, {PODS: pages}) as (kube, server):
        came, answer = threading.Event(), server.next

        def told(handler: BaseHTTPRequestHandler) -> tuple[int, Any, dict[str, str]]:
            if "continue" in handler.path:
                came.set()
            return answer(handler)

        server.next = told  # type: ignore[method-assign]  # to hear of the second page

        def use(body: Body) -> bool:
            return came.wait(MEANWHILE) if body["metadata"]["name"] == "a" else came.is_set()

        assert kube.read("pods", dict, use, namespace="n") == (False, True)


@pytest.mark.parametrize("answer", [(429, TOO_MANY), (503, "busy"), (504, "too late"), "no JSON"])
def test_a_list_that_does_not_come_is_not_requested_by_every_claim(
    tmp_path: Path, answer: object
) -> None:
    with connected(tmp_path, {"/api/v1/pods": [answer]}) as (kube, _), wait_policy(factor=0.001):
        for _ in range(5):
            with pytest.raises((Refused, Unreachable)):
                Picture(kube).existing()
        assert kube.requests.lists == {ListRequest(KIND, "", "", limited=True): 2}
        assert kube.requests.counted == {ApiRequest("list", KIND, ""): 2}
        assert kube.read_once.known(KIND) is None
        kube.read_once.forget()
        with pytest.raises((Refused, Unreachable)):
            Picture(kube).pods()
        assert kube.requests.counted == {ApiRequest("list", KIND, ""): 3}


def test_a_read_that_failed_of_something_else_is_made_as_often_as_it_is_needed() -> None:
    kept, made = ReadOnce(), list[int]()

    def read() -> None:
        made.append(1)
        raise Refused(500)

    for _ in range(4):
        with pytest.raises(Refused):
            kept.get("k", read, in_vain=lambda e: isinstance(e, Unreachable))
    assert len(made) == 4
