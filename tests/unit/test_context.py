"""What a claim records, and how patiently it waits, belongs to the context in which it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fixtures.claims import ClaimFailed, inspected, note, record, start_observing
from fixtures.claims.deadlines import DELETED, NAMESPACES_GONE, POD_GONE, Deadline, timeout
from fixtures.claims.observations import Observations, observing
from fixtures.claims.threads import start_thread
from fixtures.claims.waiting import (
    Wait,
    WaitCancelled,
    change_wait_policy,
    consistently,
    eventually,
    scaled,
    shortened,
    wait_policy,
)
from fixtures.k8s import Body, Unreachable
from fixtures.k8s.termination import Termination
from fixtures.providers.base import Access
from fixtures.providers.existing import Existing
from fixtures.setup.background import Background
from fixtures.traffic.availability import watched

LONG = timeout("it becomes so", 600)
ACCESS = Access(Path("none"), "c", None, "rehearsal", "test", "1", "1")


def report() -> None:
    inspected([1, 2])
    note("from elsewhere")
    record("image", "a", "b")


def in_a_thread_of_ours() -> None:
    start_thread(report, name="test").join(10)


def in_a_plain_thread() -> None:
    thread = threading.Thread(target=report)
    thread.start()
    thread.join(10)


def in_a_background_preparation() -> None:
    @contextmanager
    def make() -> Iterator[None]:
        report()
        yield

    background = Background(lambda *_: True, lambda _: no_step())
    background.start("sample", ACCESS, make)
    with background.result("sample", make):
        pass
    background.close()


def in_a_watch_of_availability() -> None:
    requested = threading.Event()

    def request() -> str:
        report()
        requested.set()
        return ""

    with watched(request) as watch:
        assert requested.wait(10)
        watch.stop()


def in_a_watch_of_a_termination() -> None:
    class Pods:
        def list(self, *_: object) -> list[object]:
            report()
            return []

    Termination(Pods(), ("n",), frozenset(), since="a test").expect_in_time()  # type: ignore[arg-type]  # a duck


@contextmanager
def no_step() -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    "elsewhere",
    [
        in_a_thread_of_ours,
        in_a_plain_thread,
        in_a_background_preparation,
        in_a_watch_of_availability,
        in_a_watch_of_a_termination,
    ],
)
def test_a_thread_writes_into_nobodys_record(elsewhere: Callable[[], None]) -> None:
    running = start_observing()
    inspected([1])
    elsewhere()
    assert running == Observations(inspected=1)


def test_records_of_two_claims_at_a_time_are_kept_apart() -> None:
    both = threading.Barrier(2)
    seen: dict[int, Observations] = {}

    def claim(number: int) -> None:
        with observing() as found:
            both.wait(10)
            note(str(number))
            both.wait(10)
            seen[number] = found

    threads = [threading.Thread(target=claim, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [seen[n].notes for n in (1, 2)] == [["1"], ["2"]]


def never() -> None:
    raise ClaimFailed("it", expected="so", got="not so")


WAITS: dict[str, Callable[[], object]] = {
    "eventually": lambda: eventually(never, within=LONG),
    "consistently": lambda: consistently(lambda: 1, samples=5, during=LONG),
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_ends_when_it_is_cancelled(wait: str) -> None:
    cancelled = threading.Event()
    threading.Timer(0.05, cancelled.set).start()
    with wait_policy(cancelled=cancelled), pytest.raises(WaitCancelled):
        WAITS[wait]()


@pytest.mark.parametrize("wait", WAITS)
def test_a_background_preparation_that_waits_ends_with_its_run(wait: str) -> None:
    waiting, ended = threading.Event(), threading.Event()

    @contextmanager
    def make() -> Iterator[None]:
        waiting.set()
        try:
            WAITS[wait]()
            yield
        finally:
            ended.set()

    background = Background(lambda *_: True, lambda _: no_step())
    background.start("sample", ACCESS, make)
    assert waiting.wait(10)
    background.close()
    assert ended.is_set()


def test_a_thread_waits_as_patiently_as_who_started_it() -> None:
    failed: list[ClaimFailed] = []

    def wait() -> None:
        try:
            eventually(never, within=timeout("it becomes so", 1000))
        except ClaimFailed as e:
            failed.append(e)

    with wait_policy(factor=0.0001):
        thread = start_thread(wait, name="test")
    thread.join(10)
    [error] = failed
    assert error.deadline
    assert error.deadline.seconds == pytest.approx(0.1)


def test_a_change_in_a_thread_changes_nothing_elsewhere() -> None:
    start_thread(lambda: change_wait_policy(cancelled=set_event()), name="test").join(10)
    assert consistently(lambda: 1, samples=2, during=timeout("it stays so", 0.01)) == [1, 1]


def set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def test_one_lost_request_is_no_end_of_a_background_watch() -> None:
    answers: list[object] = [Unreachable("connection refused"), Unreachable("again"), []]

    class Pods:
        def list(self, *_: object) -> object:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

    Termination(Pods(), ("n",), frozenset(), since="a test").expect_in_time()  # type: ignore[arg-type]  # a duck
    assert answers == [[]]


def test_a_watch_of_availability_reports_its_own_mistake() -> None:
    requested = threading.Event()

    def request() -> str:
        requested.set()
        raise KeyError("oops")

    with watched(request) as watch:
        assert requested.wait(10)
        with pytest.raises(KeyError, match="oops"):
            watch.stop()


# A limit that a source documents is never scaled. Deletions have none that holds the kubelet.
DELETIONS = (DELETED, NAMESPACES_GONE, POD_GONE)


@pytest.mark.parametrize("deadline", DELETIONS, ids=lambda deadline: deadline.name)
def test_patience_scales_each_wait_for_a_deletion(deadline: Deadline) -> None:
    with wait_policy(factor=3):
        assert scaled(deadline).seconds == 3 * deadline.seconds


def test_an_existing_cluster_is_awaited_as_patiently_as_requested() -> None:
    class Stuck:
        def list(self, *_: object, **__: object) -> list[Body]:
            return [{"metadata": {"name": "seatrial-r1", "deletionTimestamp": "now"}}]

    warnings: list[str] = []
    provider = Existing("c", warnings.append)
    began = time.monotonic()
    with wait_policy(factor=0.001):
        provider._await_gone(Stuck(), "r1")  # type: ignore[arg-type]  # a duck
    assert time.monotonic() - began < 10
    [warning] = warnings
    assert warning.endswith("s: seatrial-r1")


def test_no_impatience_shortens_what_the_clusters_controllers_need() -> None:
    requested = timeout("a deleted pod is gone", 45, least=30)
    assert [requested.scaled(factor).seconds for factor in (0.05, 1, 2)] == [30, 45, 90]
    assert timeout("pods become ready", 120).scaled(0.05).seconds == 6


def test_a_share_of_a_wait_is_on_top_of_the_runs_own_patience() -> None:
    waits: list[Wait] = []
    with wait_policy(factor=0.02, on_end=waits.append), shortened(0.5), suppress(ClaimFailed):
        eventually(never, within=timeout("it becomes so", 1))
    assert [wait.budget for wait in waits] == [0.01]
