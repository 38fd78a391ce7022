"""What a run did when, and which chain of steps made it as long as it was."""

from __future__ import annotations

import pytest

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


def test_a_step_that_two_threads_came_to_is_noted_once() -> None:
    timeline = Timeline()
    timeline.add(Step("sample", 0, 2, well=False))

    with timeline.step("sample"):
        pass

    assert timeline.steps == [Step("sample", 0, 2, well=False)]
