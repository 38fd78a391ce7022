"""The provider of docs/adding-a-provider.md does what its page says."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fixtures.providers.base import DEMO, Access, Provider, ProvisioningFailed

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-provider.md"
COMMAND = """#!/bin/sh
echo "$@" >> {calls}
{then}
"""


@pytest.fixture
def team() -> Callable[[str, str], Provider]:
    """The class of the page."""
    names: dict[str, object] = {
        thing.__name__: thing
        for thing in (Access, Iterator, Path, ProvisioningFailed, TemporaryDirectory)
    }
    names |= {"DEMO": DEMO, "contextmanager": contextmanager, "dataclass": dataclass}
    names |= {"subprocess": subprocess, "__name__": __name__}
    [sample] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(sample, names)  # the page's own sample
    made = names["Team"]
    assert callable(made)
    return made


def command(folder: Path, then: str) -> Path:
    """Put the team's command on the PATH; returns the file that keeps its arguments."""
    calls = folder / "calls"
    (folder / "team-cluster").write_text(COMMAND.format(calls=calls, then=then))
    (folder / "team-cluster").chmod(0o755)
    return calls


def test_it_hands_over_access_and_takes_the_cluster_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, team: Callable[[str, str], Provider]
) -> None:
    calls = command(tmp_path, "")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with team("1.31.0", "1.35").provide() as access:
        assert (access.provider, access.has("ingress")) == ("team", True)
        assert calls.read_text().split()[0] == "take"
    assert calls.read_text().split()[-1] == "return"


def test_a_refusal_of_the_command_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, team: Callable[[str, str], Provider]
) -> None:
    command(tmp_path, "echo all are lent >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    refused = pytest.raises(ProvisioningFailed, match="team-cluster take: all are lent")
    with refused as raised, team("1.31.0", "1.35").provide():
        pytest.fail("it was provided")
    assert raised.value.exit_code == 10
