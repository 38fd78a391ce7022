"""What the tests of the kind provider stand on: fake tools on the PATH, a provider over them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fixtures.providers.base import MESH
from fixtures.providers.existing.finding import Found
from fixtures.providers.existing.planes import Plane, Planes
from fixtures.providers.kind import Kind, host
from fixtures.providers.kind.directories import Directories
from fixtures.providers.kind.installing import Installation
from fixtures.providers.kind.tools import ToolSpec
from fixtures.run.timeline import Timeline
from tests.providers.fake_tools import INFO, FakeTools, Row, fake_tools

NAME = "seatrial-istio1.29.6-kube1.34"
NODE = "172.18.0.2"
ABOUT = r"docker info --format=.*"
KUBECTL = "kubectl --kubeconfig={home}/state/{name}/kubeconfig --context=kind-{name}"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    """A machine with an engine and tools that stand in, fit for a cluster."""
    made = fake_tools(tmp_path / "tools")
    monkeypatch.setenv("PATH", str(made.home / "bin"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    for name, value in (("max_user_instances", 512), ("max_user_watches", 524288)):
        (tmp_path / name).write_text(str(value))
    (tmp_path / "meminfo").write_text(f"MemAvailable: {8 * 2**20} kB\n")
    monkeypatch.setattr(host, "INOTIFY", tmp_path)
    monkeypatch.setattr(host, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(host, "DISK", 0)
    monkeypatch.setattr(host, "CACHE", 0)
    monkeypatch.setattr(Kind, "_found", found)
    return made


def about(**reported: object) -> Row:
    """An engine that says this of itself and of its machine."""
    return ABOUT, {"says": json.dumps({**INFO, **reported})}


def found(*_: object, hidden: bool) -> Found:
    """What a cluster of kind's shows whose nodes are reached, or are not."""
    way, node = ("gateway-forward", None) if hidden else ("node-port", NODE)
    return Found(
        istio="1.29.6",
        planes=Planes(Plane(MESH, ""), default=True),
        kube="1.34.3",
        evidence="conformance",
        features=frozenset({way, "ingress-gateway"}),
        node=node,
        absent=frozenset(),
        not_allowed="",
        no_access_path="",
    )


def provider(
    machine: FakeTools,
    *,
    keep: bool = False,
    archives: tuple[Path, ...] = (),
    how: Installation | None = None,
    **other: Any,
) -> Kind:
    """A provider whose tools stand in."""
    home = machine.home.parent
    return Kind(
        tools=ToolSpec("1.29.6", "1.34", istio_dir=machine.istio),
        installation=how or Installation(),
        diagnostics=home / "logs",
        timeline=other.pop("timeline", Timeline()),
        image_archives=archives,
        keep=keep,
        directories=Directories(cache=home / "cache", state=home / "state"),
        **other,
    )


def archive_of(path: Path, *images: str) -> Path:
    """An archive as `docker save` writes it, without the layers."""
    return packed(path, {"manifest.json": [{"RepoTags": [image]} for image in images]})


def packed(path: Path, files: dict[str, Any]) -> Path:
    """An archive with these files of JSON."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            text = json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    return path


def left(machine: FakeTools) -> list[str]:
    """The files of the provider's state that are left, locks aside."""
    state = machine.home.parent / "state"
    return [str(p.relative_to(state)) for p in state.rglob("*") if p.suffix != ".lock"]
