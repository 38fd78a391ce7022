"""How long something was away is counted from the last good answer to the next one."""

from __future__ import annotations

import threading

import pytest

from fixtures.traffic.availability import Availability, watched
from tests.golden import Golden


@pytest.mark.parametrize(
    ("requested", "away"),
    [
        pytest.param([(0.0, ""), (1.0, ""), (2.0, "")], 0.0, id="never"),
        pytest.param([(0.0, ""), (1.0, "503"), (2.0, "503"), (3.5, "")], 3.5, id="once"),
        pytest.param(
            [(0.0, ""), (1.0, "503"), (2.0, ""), (3.0, "503"), (5.0, "")], 3.0, id="twice"
        ),
        pytest.param([(0.0, ""), (1.0, "503"), (4.0, "503")], 4.0, id="until the end"),
        pytest.param([(0.0, "503"), (1.0, "")], 0.0, id="not there yet"),
        pytest.param([], 0.0, id="not asked"),
    ],
)
def test_the_longest_absence_is_reported(requested: list[tuple[float, str]], away: float) -> None:
    assert Availability(tuple(requested)).away == away


def test_it_is_reported_in_words(golden: Golden) -> None:
    assert str(Availability(((0.0, ""), (0.1, "")))) == "never away in 2 requests"
    bad = Availability(((0.0, ""), (0.5, "503"), (1.0, "503"), (1.5, "")))
    golden(str(bad))


def test_it_is_tested_until_it_is_stopped() -> None:
    enough = threading.Event()
    answers = iter(["", "503"])

    def request() -> str:
        answer = next(answers, None)
        if answer is None:
            enough.set()
        return answer or ""

    with watched(request) as watch:
        assert enough.wait(10)
        availability = watch.stop()
    assert len(availability.requests) >= 3
    assert [trouble for _, trouble in availability.requests[:2]] == ["", "503"]


def test_it_stops_where_the_watched_work_fails() -> None:
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError), watched(str):
        raise RuntimeError
    # Threads of earlier tests may end meanwhile, so only new ones are counted.
    assert not set(threading.enumerate()) - before
