"""The log subresource: which lines come, and what is said when none can."""

import asyncio
from typing import Any

import pytest
from multidict import MultiDict

from fixtures.providers.embedded.apiserver import logs, node
from fixtures.providers.embedded.apiserver.errors import StatusError
from fixtures.providers.embedded.apiserver.node import ContainerLog

Body = dict[str, Any]


def pod(state: Body | None = None, last: Body | None = None) -> Body:
    statuses = [{"name": "app", "state": state or {}, "lastState": last or {}}]
    return {
        "metadata": {"name": "p"},
        "spec": {
            "nodeName": "node",
            "initContainers": [{"name": "setup"}],
            "containers": [{"name": "app"}],
        },
        "status": {"containerStatuses": statuses if state is not None else []},
    }


class AccessPath:
    """A node whose container ran twice."""

    def __init__(self) -> None:
        self.present, self.before = ContainerLog(), ContainerLog()

    def log(self, pod: Body, container: str, *, previous: bool = False) -> ContainerLog | None:
        return self.before if previous else self.present

    async def dial(
        self, pod: Body, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise ConnectionRefusedError


def wanted(**query: str) -> logs.Wanted:
    return logs.Wanted.of(MultiDict(query), "p")


def read(log: ContainerLog, **query: str) -> str:
    async def all_pieces() -> list[bytes]:
        return [piece async for piece in logs._pieces(log, wanted(**query))]

    return b"".join(asyncio.run(all_pieces())).decode()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time in seconds, as a list of one that a test may change."""
    now = [1_900_000_000]
    monkeypatch.setattr("time.time_ns", lambda: now[0] * 1_000_000_000 + 42)
    monkeypatch.setattr("time.time", lambda: float(now[0]))
    return now


@pytest.fixture
def log(clock: list[int]) -> ContainerLog:
    """Four lines, ten seconds apart; the last one just written."""
    lines = ContainerLog()
    for word in ("one", "two", "three", "four"):
        clock[0] += 10
        lines.write(f"{word}\n")
    lines.close()
    return lines


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "one\ntwo\nthree\nfour\n"),
        ({"tailLines": "2"}, "three\nfour\n"),
        ({"tailLines": "0"}, ""),
        ({"tailLines": "2", "follow": "true"}, "three\nfour\n"),
        ({"sinceSeconds": "15"}, "three\nfour\n"),
        ({"timestamps": "true", "tailLines": "1"}, "2030-03-17T17:47:20.000000042Z four\n"),
    ],
    ids=str,
)
def test_the_query_chooses_lines(log: ContainerLog, query: dict[str, str], text: str) -> None:
    assert read(log, **query) == text


def test_a_text_of_two_lines_is_two_lines(clock: list[int]) -> None:
    lines = ContainerLog()
    lines.write("one\ntwo\n")
    assert [line.text for line in lines.lines()] == ["one", "two"]


def test_followers_get_every_line_once_and_leave_when_the_container_ends() -> None:
    async def scene() -> list[list[str]]:
        log = ContainerLog()
        log.write("before")

        async def follow() -> list[str]:
            return [line.text async for line in log.follow()]

        readers = [asyncio.create_task(follow()) for _ in range(2)]
        await asyncio.sleep(0)
        for number in range(3):
            log.write(f"line {number}")
            await asyncio.sleep(0)
        log.write("last")
        log.close()
        return await asyncio.wait_for(asyncio.gather(*readers), 5)

    for heard in asyncio.run(scene()):
        assert heard == ["before", "line 0", "line 1", "line 2", "last"]


def test_the_oldest_lines_are_forgotten() -> None:
    log = ContainerLog()
    for number in range(node.LINES_KEPT + 5):
        log.write(str(number))
    assert log.lines()[0].text == "5"


def test_the_only_container_is_the_default() -> None:
    assert logs.container_of(pod(), None) == "app"
    assert logs.container_of(pod(), "setup") == "setup"


def refusal(error: pytest.ExceptionInfo[StatusError]) -> tuple[int, str]:
    return error.value.code, str(error.value)


def test_an_unknown_container_is_refused() -> None:
    with pytest.raises(StatusError) as error:
        logs.container_of(pod(), "zzz")
    assert refusal(error) == (400, "container zzz is not valid for pod p")


def test_one_of_several_containers_must_be_named() -> None:
    body = pod()
    body["spec"]["containers"].append({"name": "other"})
    with pytest.raises(StatusError) as error:
        logs.container_of(body, None)
    assert refusal(error) == (
        400,
        (
            "a container name must be specified for pod p, choose one of: [app other]"
            " or one of the init containers: [setup]"
        ),
    )


@pytest.mark.parametrize(
    ("state", "previous", "words"),
    [
        (None, False, 'container "app" in pod "p" is not available'),
        (
            {"waiting": {"reason": "PodInitializing"}},
            False,
            'container "app" in pod "p" is waiting to start: PodInitializing',
        ),
        (
            {"waiting": {"reason": "ImagePullBackOff"}},
            False,
            'container "app" in pod "p" is waiting to start: trying and failing to pull image',
        ),
        (
            {"running": {}},
            True,
            'previous terminated container "app" in pod "p" not found',
        ),
    ],
    ids=["no status", "initializing", "no image", "no previous run"],
)
def test_why_there_is_no_log(*, state: Body | None, previous: bool, words: str) -> None:
    with pytest.raises(StatusError) as error:
        logs.log_of(AccessPath(), pod(state), "app", previous=previous)
    assert refusal(error) == (400, words)


def test_which_run_is_meant() -> None:
    door, ended = AccessPath(), {"terminated": {"exitCode": 1}}
    running, crashing = pod({"running": {}}, ended), pod({"waiting": {"reason": "C"}}, ended)
    assert logs.log_of(door, running, "app", previous=False) is door.present
    assert logs.log_of(door, running, "app", previous=True) is door.before
    assert logs.log_of(door, crashing, "app", previous=True) is door.present


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"tailLines": "-1"}, 422),
        ({"tailLines": "many"}, 422),
    ],
    ids=str,
)
def test_a_query_without_sense_is_refused(query: dict[str, str], code: int) -> None:
    with pytest.raises(StatusError) as error:
        wanted(**query)
    assert error.value.code == code
