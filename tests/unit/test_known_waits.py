"""What was waited for in vain is not waited for in full by the next claim of the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import AGAIN, timeout
from fixtures.claims.waiting import KnownWaits, eventually, wait_policy
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]

LONG = timeout("it is so", 120)
DOWN, OTHER = "Deployment a/b is not up", "Deployment a/c is not up"


@pytest.fixture
def known() -> Iterator[KnownWaits]:
    """What a run knows that is a thousand times less patient."""
    made = KnownWaits()
    with wait_policy(factor=0.001, known=made):
        yield made


def failing(*causes: str) -> Callable[[], None]:
    def probe() -> None:
        raise ClaimFailed("a", expected="so", got="not so", causes=causes)

    return probe


def waited(*causes: str) -> ClaimFailed:
    with pytest.raises(ClaimFailed) as caught:
        eventually(failing(*causes), within=LONG, every=0.001)
    return caught.value


def test_the_same_is_waited_for_in_full_once(known: KnownWaits) -> None:
    first, second = waited(DOWN), waited(DOWN)
    assert first.waited_before == 0
    assert (first.waited or 0) >= 0.12
    assert second.waited_before == first.waited
    assert (second.waited or 0) < 0.1
    assert known.seconds([DOWN]) >= 0.12 + AGAIN.seconds / 1000


def test_a_longer_deadline_is_waited_for_as_far_as_it_is_longer(known: KnownWaits) -> None:
    known.keep([DOWN], 0.080)
    assert 0.04 <= (waited(DOWN).waited or 0) < 0.12


@pytest.mark.parametrize("causes", [(OTHER,), (DOWN, OTHER), ()], ids=["other", "more", "none"])
def test_what_is_new_gets_its_time(known: KnownWaits, causes: tuple[str, ...]) -> None:
    known.keep([DOWN], 1000)
    assert (waited(*causes).waited or 0) >= 0.12


def test_what_healed_is_taken_as_it_is_now(known: KnownWaits) -> None:
    known.keep([DOWN], 1000)
    assert eventually(lambda: "ready", within=LONG) == "ready"


def test_a_failure_says_that_it_was_waited_for_before(known: KnownWaits) -> None:
    known.keep([DOWN], 118.5)
    assert "and 118.5 s before; at most 0.12 s until it is so" in str(waited(DOWN))


PROBE = """
from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import eventually

def probe():
    raise ClaimFailed("a", expected="so", got="not so", causes=["Deployment a/b is not up"])
"""
CLAIM = """
@so()
def test_{name}({fixture}): eventually(probe, within=timeout("it is so", 0.5))
"""


def test_a_run_knows_it_from_claim_to_claim(runs: SmallRuns) -> None:
    claims = (CLAIM.format(name=name, fixture="cluster") for name in ("first", "second"))
    runs.claims("01_cluster", PROBE + "".join(claims))
    assert "and 0.5 s before" in runs.run().message("cluster/second")


def test_what_a_stage_changes_may_heal_it(runs: SmallRuns) -> None:
    for module, name, fixture in (
        ("01_cluster", "first", "cluster"),
        ("02_installation", "second", "control_plane"),
    ):
        runs.claims(module, PROBE + CLAIM.format(name=name, fixture=fixture))
    assert " before" not in runs.run().message("installation/second")
