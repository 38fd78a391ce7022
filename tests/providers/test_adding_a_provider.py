"""The providers of docs/adding-a-provider.md do what its page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from fixtures.k8s import Kube
from fixtures.providers.base import Access, Provider, ProvisioningFailed
from fixtures.run import cluster
from fixtures.run.settings import Settings
from tests.embedded.conftest import VERSIONS, EmbeddedCluster, started
from tests.providers import test_contract as contract

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-provider.md"
MINIKUBE, TEAM = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
COMMAND = """#!/bin/sh
echo "$@" >> {calls}
{then}
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    """A cluster with Istio that is there already."""
    home = tmp_path_factory.mktemp("there")
    with started(home, *VERSIONS, "--termination-seconds", "0.5") as cluster_of_others:
        text = cluster_of_others.kubeconfig.read_text()
        context = str(cluster_of_others.ready["context"])
        cluster_of_others.kubeconfig.write_text(re.sub(rf"\b{context}\b", "team", text))
        yield replace(cluster_of_others, ready={"context": "team"})


@pytest.fixture
def case(there: EmbeddedCluster, tmp_path: Path) -> Iterator[contract.Case]:
    """The contract's case of the page's minikube."""
    names = dict(vars(cluster))
    exec(MINIKUBE, names)  # the page's own sample
    make = cast("Callable[[Settings, object], Provider]", names["minikube"])
    file, context = there.kubeconfig, there.ready["context"]
    settings = Settings(
        "minikube", "", "", "smoke", tmp_path, kubeconfig=file, kube_context=context
    )
    config = SimpleNamespace(option=SimpleNamespace(allow_unsupported=False), stash=pytest.Stash())
    provider = make(settings, config)
    owner = Kube.connect(Access(file, context, None, "rehearsal", "test", "1", "1"))
    try:
        yield contract.Case(
            provider.provide,
            "rehearsal",
            lambda: (file.read_bytes(), *contract._objects(owner)),
            name="minikube",
            outlives=True,
        )
    finally:
        owner.close()


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Provider]:
    """Makes the page's Team, with a command that does this when it is to make a cluster."""

    def make(then: str) -> Provider:
        if then:
            path = tmp_path / "team-cluster"
            path.write_text(COMMAND.format(calls=tmp_path / "calls", then=then))
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        module = ModuleType("team")
        monkeypatch.setitem(sys.modules, "team", module)
        exec(TEAM, vars(module))  # the page's own sample
        warn = (tmp_path / "warned").write_text
        return cast("Provider", module.Team("1.29.6", "1.34", tmp_path / "logs", warn))

    return make


def calls(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "calls").read_text().splitlines()]


@pytest.mark.parametrize(
    "holds",
    [
        contract.test_access_is_of_use_and_says_what_it_is_worth,
        contract.test_an_error_of_the_run_passes_through_and_nothing_is_left,
        contract.test_two_at_once_differ_or_the_second_is_refused_in_one_line,
    ],
)
def test_minikube_keeps_the_contract(
    case: contract.Case, holds: Callable[[contract.Case], None]
) -> None:
    holds(case)


def test_team_hands_over_access_and_removes_the_cluster(
    tmp_path: Path, there: EmbeddedCluster, team: Callable[[str], Provider]
) -> None:
    provider = team(f'test "$1" = remove || cp {there.kubeconfig} "$5"')
    with provider.provide() as access:
        assert (access.provider, access.has("ingress")) == ("team", True)
        assert access.kubeconfig.stat().st_mode & 0o077 == 0
        assert calls(tmp_path) == ["make"]
    assert calls(tmp_path) == ["make", "remove"]
    assert not (tmp_path / "warned").exists()


@pytest.mark.parametrize(
    ("then", "words"),
    [
        pytest.param("echo all are used >&2; exit 1", "all are used; ask #platform", id="refused"),
        pytest.param("", "team-cluster cannot be run: No such file", id="no such command"),
    ],
)
def test_a_failure_of_teams_command_is_one_line_and_half_a_cluster_is_removed(
    tmp_path: Path, team: Callable[[str], Provider], then: str, words: str
) -> None:
    with pytest.raises(ProvisioningFailed, match=words) as raised, team(then).provide():
        pytest.fail("it was provided")
    assert "\n" not in str(raised.value)
    assert not then or calls(tmp_path) == ["make", "remove"]
    assert "was not removed" in (tmp_path / "warned").read_text()


def test_the_module_of_the_page_is_one_that_lint_accepts() -> None:
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        line = [*ruff, *command, "--stdin-filename", "fixtures/providers/team.py", "-"]
        done = subprocess.run(
            line, check=False, cwd=ROOT, input=TEAM, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_provider_without_a_case_is_shown_where_one_belongs() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"test_contract\.py: CASES has no .* team"):
        contract.case_of("team")
