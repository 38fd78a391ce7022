"""What the options allow follows from whose the cluster is, not from a provider's name."""

from __future__ import annotations

import pytest

from fixtures.faults.catalog import CATALOGUE
from fixtures.run.cluster import PROVIDERS, Row, existing
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]

FAULT = next(iter(CATALOGUE))
NEVER = "only the embedded cluster is broken on purpose, never --provider"


@pytest.fixture(autouse=True)
def of_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two providers of which the options know nothing but their rows."""
    monkeypatch.setitem(PROVIDERS, "theirs", Row("taken", existing, context="their-mesh"))
    monkeypatch.setitem(PROVIDERS, "nameless", Row("taken", existing))
    monkeypatch.setitem(PROVIDERS, "ours", Row("made", existing))


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param(("theirs", "--inject-fault", FAULT), 13, f"{NEVER} theirs", id="fault"),
        pytest.param(("ours", "--inject-fault", FAULT), 13, f"{NEVER} ours", id="fault in ours"),
        pytest.param(("theirs", "--prove"), 13, "say --allow-break their-mesh", id="prove"),
        pytest.param(
            ("theirs", "--prove", "--allow-break", "theirs"),
            13,
            "say --allow-break their-mesh",
            id="another one is allowed",
        ),
        pytest.param(
            ("theirs", "--prove", "--allow-break", "their-mesh", "--kube-context", "other"),
            13,
            "say --allow-break other",
            id="another one is taken",
        ),
        pytest.param(("nameless",), 13, "--provider nameless: say which cluster", id="which"),
        pytest.param(
            ("ours", "--kube-context", "a"),
            4,
            "--kube-context: only with --provider existing or theirs or nameless",
            id="a context of ours",
        ),
        pytest.param(
            ("ours", "--prove", "--allow-break", "a"),
            4,
            "--allow-break: only with --provider existing or theirs or nameless",
            id="a word too many",
        ),
    ],
)
def test_what_a_cluster_does_not_allow_is_refused(
    runs: SmallRuns, options: tuple[str, ...], code: int, words: str
) -> None:
    ended = runs.run("--provider", *options)
    assert words in ended.output
    assert "PROVIDED" not in ended.output
    assert ended.code == code


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("theirs",), id="the context of the row"),
        pytest.param(("theirs", "--in-cluster"), id="the cluster of the pod"),
        pytest.param(
            ("nameless", "--kube-context", "a", "--kubeconfig", "x", "--allow-context", "a"),
            id="a context by name",
        ),
        pytest.param(("theirs", "--allow-mesh-writes"), id="writes"),
    ],
)
def test_a_cluster_that_is_taken_is_taken_as_it_is(
    runs: SmallRuns, options: tuple[str, ...]
) -> None:
    ended = runs.run("--provider", *options)
    assert "Istio as found on Kubernetes as found" in ended.output
    assert ended.code == 0


def test_the_versions_of_a_cluster_that_is_made_are_filled_in(runs: SmallRuns) -> None:
    ended = runs.run("--provider", "ours")
    assert "as found" not in ended.output
    assert ended.code == 0
