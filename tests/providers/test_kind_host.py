"""What the host lacks is said before anything is made, with the command that mends it."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fixtures.providers.base import HostNotFit, ProvisioningFailed
from fixtures.providers.kind import Kind, host
from fixtures.providers.kind.installing import Installation
from fixtures.providers.kind.versions import NODE_IMAGES
from fixtures.run.cluster import installation, kind_for, sources
from fixtures.run.settings import KindSettings, Settings
from fixtures.run.timeline import Timeline
from tests.providers.fake_tools import CREATE, FakeTools, Row
from tests.providers.kinds import ABOUT, about, machine, provider

__all__ = ["machine"]
OCTOBER, DECEMBER = date(2026, 10, 31), date(2026, 12, 1)
SERVER = r"docker info --format \{.*"
DEMO, DEFAULT = Installation(), Installation(settings=("profile=default",))


LACKS = [
    pytest.param(
        (SERVER, {"code": 1, "says": "no daemon"}),
        DEMO,
        "no container engine answers: docker is installed, but its server.*systemctl start docker",
        id="no engine",
    ),
    pytest.param(about(NCPU=1), DEMO, r"request 1.1 CPUs .*the engine has 1: give", id="one CPU"),
    pytest.param(
        about(NCPU=2), DEFAULT, r"request 2.3 CPUs .*profile default", id="a profile too big"
    ),
    pytest.param(about(Architecture="s390x"), DEMO, "no node images exist for s390x", id="s390x"),
    pytest.param((ABOUT, {"says": "garbage"}), DEMO, "try it: docker info", id="garbage"),
    pytest.param(
        (r"kind version", {"says": "kind v0.17.0"}),
        DEMO,
        r"kind 0.17.0, for kindest/node:v1.34.11 0.32 or newer is needed; take it off the PATH",
        id="kind too old",
    ),
    pytest.param(
        (r"kind version", {"says": "kind v0.31.0"}),
        DEMO,
        "kind 0.31.0, for kindest/node:v1.34.11 0.32 or newer is needed",
        id="kind too old for the image alone",
    ),
    pytest.param(
        (r"istioctl version.*", {"code": 1}), DEMO, "prints no version", id="a broken istioctl"
    ),
    pytest.param(
        (r"istioctl version.*", {"says": "client version: 1.28.1"}),
        DEMO,
        "holds Istio 1.28.1, not 1.29",
        id="another Istio",
    ),
]


@pytest.mark.parametrize(("row", "how", "words"), LACKS)
def test_what_is_lacking_is_one_line(
    machine: FakeTools, row: Row, how: Installation, words: str
) -> None:
    machine.answer(row)
    with pytest.raises(HostNotFit, match=words) as raised, provider(machine, how=how).provide():
        pass
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 11
    assert not machine.calls("kind create")


def with_cgroup_v1(machine: FakeTools, kube: str, **other: Any) -> Kind:
    machine.answer(about(CgroupVersion="1"))
    made = provider(machine, **other)
    return replace(made, tools=replace(made.tools, kube=kube))


def test_a_newer_kubelet_on_cgroup_v1_is_refused_before_kind_fails_for_no_stated_reason(
    machine: FakeTools,
) -> None:
    made = with_cgroup_v1(machine, "1.35")
    words = r"cgroup v1, on which a kubelet of 1.35 .*unified_cgroup_hierarchy=1 .*1\.34"
    with pytest.raises(HostNotFit, match=words), made.provide():
        pass
    assert not machine.calls("kind create")


def test_an_older_kubelet_starts_on_cgroup_v1(machine: FakeTools) -> None:
    with with_cgroup_v1(machine, "1.34").provide() as access:
        assert "cgroup" not in " ".join(access.notes)


def test_a_node_image_of_the_users_may_start_on_cgroup_v1(machine: FakeTools) -> None:
    with with_cgroup_v1(machine, "1.37", node_image="kindest/node:mine").provide() as access:
        assert "unless kindest/node:mine sets failCgroupV1 to false" in " ".join(access.notes)


def test_a_node_that_then_does_not_start_is_reported_with_the_likely_cause(
    machine: FakeTools,
) -> None:
    machine.answer((CREATE, {"code": 1, "says": "ERROR: failed to create cluster: no such line"}))
    made = with_cgroup_v1(machine, "1.37", node_image="kindest/node:mine")
    words = r"no such line .*; the engine's machine has cgroup v1"
    with pytest.raises(ProvisioningFailed, match=words), made.provide():
        pass


def test_an_older_kind_makes_a_cluster_of_an_older_image(machine: FakeTools) -> None:
    machine.answer((r"kind version", {"says": "kind v0.31.0"}))
    made = provider(machine, node_image=NODE_IMAGES["1.33"].name)
    with made.provide() as access:
        assert access.evidence == "conformance"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("max_user_instances", "64", r"sudo sysctl fs.inotify.max_user_instances=512"),
        ("max_user_watches", "8192", r"sudo sysctl fs.inotify.max_user_watches=524288"),
        ("meminfo", "MemAvailable: 700000 kB\n", r"1.9 GiB of memory .*0.7 GiB are free"),
    ],
)
def test_what_linux_says_counts(
    machine: FakeTools, tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(HostNotFit, match=words), provider(machine).provide():
        pass


def test_a_disk_too_small(machine: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "DISK", 2**60)
    with pytest.raises(HostNotFit, match="docker system prune"), provider(machine).provide():
        pass


def test_low_limits_and_an_image_out_of_reach_are_warnings(
    machine: FakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "REGISTRY", ("127.0.0.1", 1))
    (tmp_path / "max_user_instances").write_text("128")
    machine.answer((r"docker image inspect .*", {"code": 1}))
    with provider(machine).provide() as access:
        message = " ".join(access.notes)
    assert "max_user_instances is 128" in message
    assert "is not at hand and 127.0.0.1 is not reached" in message


def test_the_registries_of_a_run_are_named(machine: FakeTools) -> None:
    registries, announced = ("docker.io", "quay.io"), ("quay.io ends",)
    made = replace(provider(machine), registries=registries, announced=announced)
    with made.provide() as access:
        message = access.notes
    assert "Preflight: images are pulled from docker.io, quay.io." in message
    assert "Preflight: quay.io ends." in message


def test_the_hub_that_the_user_sets_counts_for_all_that_is_pulled(machine: FakeTools) -> None:
    wanted = KindSettings(istio_set=("values.pilot.x=y", "hub=mirror.example:5000/istio"))
    settings = Settings("kind", "1.30.3", "1.35", "smoke", machine.home, kind=wanted)
    registries, announced = sources(settings)
    assert registries == ("mirror.example:5000", "quay.io", "docker.io")
    assert announced == ()
    assert kind_for(settings, Timeline()).hub == "mirror.example:5000/istio"
    assert installation(settings, DECEMBER).settings == wanted.istio_set


def test_a_hub_that_ends_is_neither_installed_from_nor_pulled_from(machine: FakeTools) -> None:
    settings = Settings("kind", "1.30.3", "1.35", "smoke", machine.home)
    plain, reported = sources(settings, OCTOBER)
    assert "registry.istio.io" in plain
    assert reported[0].startswith("registry.istio.io ends")
    assert installation(settings, OCTOBER).settings == ()
    plain, reported = sources(settings, DECEMBER)
    assert "registry.istio.io" not in plain
    assert reported == (
        "the images of Istio 1.30.3 are taken from docker.io/istio: its own hub ends",
    )
    assert installation(settings, DECEMBER).settings == ("hub=docker.io/istio",)
    newer = replace(settings, istio_version="1.31.0")
    assert installation(newer, DECEMBER).settings == ()


@pytest.mark.parametrize(
    "values",
    [
        "global: {hub: mirror.example/istio}",
        "{kind: IstioOperator, spec: {hub: mirror.example/istio}}",
        "{kind: IstioOperator, spec: {values: {global: {hub: mirror.example/istio}}}}",
    ],
)
def test_a_hub_in_a_file_of_values_is_the_users_too(machine: FakeTools, values: str) -> None:
    file = machine.home / "values.yaml"
    file.write_text(values)
    kind = KindSettings(istio_values=file)
    settings = Settings("kind", "1.30.3", "1.35", "smoke", machine.home, kind=kind)
    assert installation(settings, DECEMBER).settings == ()
    assert sources(settings, DECEMBER)[0] == ("mirror.example", "quay.io", "docker.io")


def test_the_hub_is_handed_over_with_the_cluster(machine: FakeTools) -> None:
    made = replace(provider(machine), hub="mirror.example:5000/istio")
    with made.provide() as access:
        assert access.hub == "mirror.example:5000/istio"


def test_a_release_that_does_not_support_the_kubernetes_is_refused(machine: FakeTools) -> None:
    made = replace(provider(machine), supported=lambda *pair: f"not {pair}")
    refused = pytest.raises(HostNotFit, match=r"not \('1\.29\.6', '1\.34'\)")
    with refused, made.provide():
        pass
    assert not machine.calls("kind create")
