"""What a run did when, and which chain of steps made it as long as it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.claims import NotTested
from fixtures.run.plan import Plan
from fixtures.run.stages import SUITE
from fixtures.run.timeline import Step, Timeline, critical_path


def test_the_critical_path_follows_what_was_waited_for() -> None:
    steps = (
        Step("cluster", 0, 30),
        Step("plain sample", 30, 5, ("cluster",)),
        Step("Istio", 30, 14, ("cluster",)),
        Step("injected sample", 44, 8, ("plain sample", "Istio")),
        Step("add-ons", 44, 2, ("Istio",)),
    )

    assert [s.name for s in critical_path(steps)] == ["cluster", "Istio", "injected sample"]


def test_a_run_that_did_nothing_has_no_critical_path() -> None:
    assert critical_path(()) == ()


def test_steps_that_wait_for_each_other_end_the_path() -> None:
    assert len(critical_path((Step("a", 0, 1, ("b",)), Step("b", 0, 1, ("a",))))) == 2


def test_a_step_that_failed_is_noted_all_the_same() -> None:
    timeline = Timeline()

    with pytest.raises(ValueError, match="no"), timeline.step("install", after=("cluster",)):
        raise ValueError("no")

    (step,) = timeline.steps
    assert (step.name, step.after, step.well) == ("install", ("cluster",), False)


def test_a_step_with_nothing_to_do_has_not_failed() -> None:
    timeline = Timeline()

    with pytest.raises(NotTested), timeline.step("gateway: preparation"):
        raise NotTested("there is no gateway")

    assert timeline.steps[0].well


def test_a_stage_with_nothing_to_prepare_has_not_failed() -> None:
    state: Any = SimpleNamespace(all_stages=SUITE, timeline=Timeline(), prepared={})
    definition: Any = SimpleNamespace(argname=SUITE.by_name["gateway"].preparation)
    setup = Plan(state).pytest_fixture_setup(definition)
    next(setup)
    with pytest.raises(NotTested):
        setup.throw(NotTested("there is no gateway"))
    assert [step.well for step in state.timeline.steps] == [True]


def test_a_step_that_two_threads_came_to_is_noted_once() -> None:
    timeline = Timeline()
    timeline.add(Step("sample", 0, 2, well=False))

    with timeline.step("sample"):
        pass

    assert timeline.steps == [Step("sample", 0, 2, well=False)]
