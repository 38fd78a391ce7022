"""Binomial bounds: exact, and as wide as the odds say."""

from __future__ import annotations

import math

import pytest

from fixtures.traffic.shares import FALSE_ALARM, bounds, enough_to_meet_all


def outside(count: int, share: float, low: int, high: int) -> float:
    """The chance to be outside, summed up anew from the side that is not tested."""
    return 1 - sum(
        math.exp(
            math.lgamma(count + 1)
            - math.lgamma(hits + 1)
            - math.lgamma(count - hits + 1)
            + hits * math.log(share)
            + (count - hits) * math.log(1 - share)
        )
        for hits in range(low, high + 1)
    )


@pytest.mark.parametrize(
    ("count", "share"), [(100, 0.5), (150, 0.1), (150, 0.9), (60, 0.5), (40, 1 / 3)]
)
def test_bounds_are_passed_less_than_once_in_a_million(count: int, share: float) -> None:
    low, high = bounds(count, share)
    assert outside(count, share, low, high) < FALSE_ALARM * 1.01
    assert outside(count, share, low + 1, high) > FALSE_ALARM / 2
    assert outside(count, share, low, high - 1) > FALSE_ALARM / 2


def test_a_fair_coin() -> None:
    assert bounds(100, 0.5) == (26, 74)
    assert bounds(10, 0.5) == (0, 10)


def test_what_is_certain_has_no_room() -> None:
    assert bounds(40, 1.0) == (40, 40)
    assert bounds(40, 0.0) == (0, 0)


def test_a_weight_of_ten_percent_is_met_and_told_from_a_half() -> None:
    low, high = bounds(150, 0.1)
    assert low >= 1
    assert high < bounds(150, 0.5)[0]


def test_all_versions_are_met() -> None:
    enough = enough_to_meet_all(3)
    assert 3 * (2 / 3) ** enough < FALSE_ALARM
    assert 3 * (2 / 3) ** (enough - 1) >= FALSE_ALARM
