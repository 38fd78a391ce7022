"""The commands of a failure reach the cluster under test, or say that they no longer do."""

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.providers.base import Access, Namespaces
from fixtures.run.cluster import PROVIDERS, Row, existing
from fixtures.run.next_steps import aimed, reach
from fixtures.run.settings import Settings
from fixtures.run.state import RunState
from tests.golden import Golden

DESCRIBE = "kubectl -n bookinfons describe pod a | grep -i image"
SETTINGS = Settings("existing", "1.31.0", "1.35.2", "smoke", Path("out"))
ACCESS = Access(
    Path("kubeconfig"),
    "my mesh",
    None,
    "conformance",
    "existing",
    "1.31.0",
    "1.35.2",
    namespaces=Namespaces("seatrial-a", "seatrial-a-outside", "seatrial-a-labelled"),
)


def state(settings: Settings = SETTINGS, access: Access | None = ACCESS) -> RunState:
    return RunState(settings=settings, access=access)


def test_a_command_names_the_context_of_the_cluster_under_test() -> None:
    assert aimed([DESCRIBE, "istioctl proxy-status"], state()) == (
        "kubectl --context 'my mesh' -n bookinfons describe pod a | grep -i image",
        "istioctl --context 'my mesh' proxy-status",
    )


def test_a_kubeconfig_that_was_named_is_named_again(golden: Golden) -> None:
    settings = replace(SETTINGS, kubeconfig=Path("a file"))
    [command] = aimed(["kubectl get pods"], state(settings))
    golden(command)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(state(replace(SETTINGS, in_cluster=True)), id="in a pod"),
        pytest.param(state(access=None), id="no cluster"),
    ],
)
def test_a_command_stays_as_it_is_where_there_is_one_cluster_or_none(made: RunState) -> None:
    assert aimed([DESCRIBE], made) == (DESCRIBE,)


def test_what_is_no_command_of_a_cluster_stays_as_it_is() -> None:
    assert aimed(["curl -v http://a/"], state()) == ("curl -v http://a/",)


def test_namespaces_that_are_removed_are_named_with_what_keeps_them() -> None:
    line = reach(state())
    assert "seatrial-a, seatrial-a-outside, seatrial-a-labelled" in line
    assert "--keep" in line
    assert "diagnostics/" in line


def test_a_cluster_that_is_taken_did_not_end_with_the_run_whatever_its_provider_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PROVIDERS, "mine", Row("taken", existing))
    assert reach(state(replace(SETTINGS, provider="mine"))) == reach(state())


def test_nothing_is_reported_of_what_stays() -> None:
    assert reach(state(replace(SETTINGS, keep=True))) == ""
    assert reach(state(access=replace(ACCESS, read_only=True))) == ""


def test_a_cluster_of_ours_ends_with_the_run_unless_it_is_kept() -> None:
    settings = replace(SETTINGS, provider="kind")
    assert "--keep" in reach(state(settings))
    kept = reach(state(replace(settings, keep=True)))
    assert kept == "For these commands: export KUBECONFIG=kubeconfig"
