"""A cluster of ours is made, proven to be ours, and removed; one of others is never touched."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.providers.base import ACCESS_PATHS, HostNotFit, ProvisioningFailed, UnsafeTarget
from fixtures.providers.kind import cluster as cluster_module
from fixtures.providers.kind import ownership, ports
from fixtures.providers.kind.cleaning import clean
from fixtures.providers.kind.installing import Installation
from fixtures.providers.kind.versions import NODE_IMAGES
from tests.providers.fake_tools import CREATE, MADE, FakeTools, Row
from tests.providers.kinds import NAME, NODE, about, archive_of, left, machine, provider

__all__ = ["machine"]
IMAGE = NODE_IMAGES["1.34"].name


def test_the_exact_command_lines_in_their_order(machine: FakeTools, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "images.tar", "docker.io/istio/pilot:1.29.6")
    folder = tmp_path / "state" / NAME
    with provider(machine, archives=(archive,)).provide() as access:
        assert (access.evidence, access.context) == ("conformance", f"kind-{NAME}")
        assert access.node_address == NODE
        assert {"node-port", "default-tag", "demo-ports", "writes"} <= access.features
        assert access.has("istioctl")
        assert access.istioctl == (str(machine.istio / "bin" / "istioctl"),)
    kube = f"--kubeconfig={folder}/kubeconfig"
    kubectl = f"kubectl {kube} --context=kind-{NAME}"
    install = f"install {kube} --context=kind-{NAME}"
    mounts = f"docker inspect --format={{{{json .Mounts}}}} {NAME}-control-plane"
    assert machine.calls()[3:] == [
        "istioctl version --remote=false",
        "kind version",
        "kubectl version --client",
        "kind get clusters",
        "kind get clusters",  # pytest-kind's own question
        f"kind create cluster --name={NAME} {kube} --image={IMAGE} --config {folder}/kind.json",
        f"{kubectl} wait --for=condition=Ready nodes --all --timeout=180s",
        mounts,
        f"kind load image-archive {archive} --name={NAME}",
        f"istioctl {install} --set profile=demo -y --readiness-timeout=300s",
        "kind get clusters",
        mounts,
        f"kind delete cluster --name={NAME} {kube}",
    ]
    assert not machine.unexpected
    assert machine.clusters == {}
    assert left(machine) == []


def test_a_foreign_cluster_of_the_name_is_never_touched(machine: FakeTools) -> None:
    machine.have({NAME: "/somebody/elses"})
    with (
        pytest.raises(UnsafeTarget, match=r"not ours.*kind delete cluster --name") as raised,
        provider(machine).provide(),
    ):
        pass
    assert raised.value.exit_code == 13
    assert machine.clusters == {NAME: "/somebody/elses"}
    assert not machine.calls("kind delete")


def test_a_record_alone_makes_no_cluster_ours(machine: FakeTools) -> None:
    with provider(machine, keep=True).provide():
        pass
    machine.have({NAME: "/made/again/by/somebody/else"})
    with pytest.raises(UnsafeTarget), provider(machine, keep=True).provide():
        pass
    assert not machine.calls("kind delete")


def test_what_comes_into_being_beside_ours_stays(machine: FakeTools) -> None:
    machine.answer((CREATE, {"code": 1, "says": "ERROR: node(s) already exist for a cluster"}))
    with (
        pytest.raises(ProvisioningFailed, match=r"ERROR: node\(s\) already exist"),
        provider(machine).provide(),
    ):
        pass
    assert left(machine) == []


def test_a_kept_cluster_is_reused_and_swept(machine: FakeTools) -> None:
    with provider(machine, keep=True).provide() as access:
        assert f"clean {NAME}" in access.notes[-1]
    assert NAME in machine.clusters
    made = len(machine.calls("kind create")), len(machine.calls("istioctl install"))
    with provider(machine, keep=True).provide() as access:
        assert f"Reused the kept cluster {NAME}." in access.notes
    assert (len(machine.calls("kind create")), len(machine.calls("istioctl install"))) == made
    assert len(machine.calls("kubectl")) - len(machine.calls("kubectl version")) == 2
    assert not machine.unexpected
    assert NAME in machine.clusters


def test_a_kept_cluster_of_other_settings_is_left_and_another_one_made(machine: FakeTools) -> None:
    with provider(machine, keep=True).provide():
        pass
    other = Installation(settings=("hub=private.example",))
    with provider(machine, how=other).provide() as access:
        assert access.context == f"kind-{NAME}-2"
    assert list(machine.clusters) == [NAME]


def test_two_runs_at_once_have_two_clusters(machine: FakeTools) -> None:
    with provider(machine).provide() as one, provider(machine).provide() as other:
        assert (one.context, other.context) == (f"kind-{NAME}", f"kind-{NAME}-2")
    assert machine.clusters == {}


def test_what_a_killed_run_left_is_made_anew(machine: FakeTools, tmp_path: Path) -> None:
    abandon(machine, tmp_path)
    with provider(machine).provide() as access:
        assert access.context == f"kind-{NAME}"
    assert len(machine.calls("kind delete")) == 2
    assert machine.clusters == {}


def abandon(machine: FakeTools, tmp_path: Path) -> None:
    """Leave what a run leaves that is killed after its cluster was made."""
    with provider(machine, keep=True).provide():
        pass
    folder = tmp_path / "state" / NAME
    record = ownership.read(folder)
    assert record
    ownership.write(folder, replace(record, complete=False))


def test_a_flake_is_tried_once_more_and_both_logs_stay(machine: FakeTools, tmp_path: Path) -> None:
    message = "ERROR: failed to create cluster: could not find a log line that matches"
    machine.answer((CREATE, {"once": "first", "code": 1, "says": message}))
    with provider(machine).provide():
        pass
    logs = tmp_path / "logs"
    assert "could not find a log line" in (logs / "kind-create-1.log").read_text()
    assert (logs / "kind-create-2.log").exists()


@pytest.mark.parametrize(
    ("how", "words", "tries"),
    [
        pytest.param({"code": 1, "says": "ERROR: no space left"}, "no space left", 1, id="fails"),
        pytest.param({**MADE, "kill": True}, "did not make", 1, id="killed half-way"),
        pytest.param(
            {**MADE, "code": 1, "says": "ERROR: failed to init node with kubeadm"},
            "in two tries: ERROR: failed to init",
            2,
            id="stumbles twice",
        ),
        pytest.param({**MADE, "says": "\x00ÿ garbage"}, "", 1, id="prints garbage"),
    ],
)
def test_whatever_creation_does_nothing_is_left(
    machine: FakeTools, how: dict[str, object], words: str, tries: int
) -> None:
    machine.answer((CREATE, how))
    if words:
        with pytest.raises(ProvisioningFailed, match=words) as raised, provider(machine).provide():
            pass
        assert "\n" not in str(raised.value)
    else:
        with provider(machine).provide():
            pass
    assert len(machine.calls("kind create")) == tries
    assert machine.clusters == {}
    assert left(machine) == []


def test_a_creation_that_hangs_ends_at_its_deadline(
    machine: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        cluster_module, "CREATION_SECONDS", 6.0
    )  # of which the fake kind may need some to start
    machine.answer((CREATE, {**MADE, "hang": True}))
    with (
        pytest.raises(ProvisioningFailed, match="not done after 6 s"),
        provider(machine).provide(),
    ):
        pass
    assert machine.clusters == {}
    assert machine.hung_is_gone


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import pytest
from tests.providers import kinds
from tests.providers.fake_tools import FakeTools
patch = pytest.MonkeyPatch()
from fixtures.providers.kind import host
host.DISK = host.CACHE = 0
host.MEMORY = host.INOTIFY = Path("none")
with kinds.provider(FakeTools(Path({home!r}))).provide():
    pass
"""


@pytest.mark.parametrize("times", [1, 2], ids=["Ctrl-C", "a second Ctrl-C"])
def test_an_interruption_in_mid_creation_leaves_nothing(machine: FakeTools, times: int) -> None:
    machine.answer((CREATE, {**MADE, "hang": True}))
    root = str(Path(__file__).parents[2])
    code = RUN.format(root=root, home=str(machine.home))
    started = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    machine.await_hanging()
    for _ in range(times):
        started.send_signal(signal.SIGINT)
    _, message = started.communicate(timeout=30)
    assert "Ctrl-C: stopped." in message
    assert machine.clusters == {}
    assert left(machine) == []
    assert machine.hung_is_gone


def test_clean_removes_what_a_killed_run_left_and_only_that(
    machine: FakeTools, tmp_path: Path
) -> None:
    abandon(machine, tmp_path)
    machine.have({**machine.clusters, "kind": "", "seatrial-other": "/not/ours"})
    directories = provider(machine).directories
    assert list(clean(directories, ())) == [(True, f"{NAME}: removed")]
    assert machine.clusters == {"kind": "", "seatrial-other": "/not/ours"}
    assert left(machine) == []
    assert list(clean(directories, ())) == []


def test_clean_leaves_what_is_kept_until_it_is_named(machine: FakeTools) -> None:
    with provider(machine, keep=True).provide():
        pass
    directories = provider(machine).directories
    [(well, line)] = clean(directories, ())
    assert well
    assert "kept; to remove it" in line
    assert list(clean(directories, (NAME,))) == [(True, f"{NAME}: removed")]
    assert machine.clusters == {}


def test_clean_leaves_what_a_run_holds(machine: FakeTools) -> None:
    with provider(machine).provide():
        [(_, line)] = clean(provider(machine).directories, ())
        assert "in use by a run" in line
        assert NAME in machine.clusters


def test_clean_leaves_a_foreign_cluster_of_a_recorded_name(
    machine: FakeTools, tmp_path: Path
) -> None:
    abandon(machine, tmp_path)
    machine.have({NAME: "/somebody/elses"})
    [(_, line)] = clean(provider(machine).directories, ())
    assert "not ours; left alone" in line
    assert NAME in machine.clusters


HIDDEN = [
    pytest.param({"OperatingSystem": "Docker Desktop"}, "Docker Desktop runs", id="Desktop, WSL2"),
    pytest.param(
        {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]},
        "docker is rootless",
        id="rootless",
    ),
]
INGRESS: list[Row] = [
    (r"kubectl .* get service/istio-ingressgateway .*", {"says": "service/istio-ingressgateway"}),
    (r"kubectl .* patch service/istio-ingressgateway --patch=.*", {}),
]


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port of this host behind which somebody listens, as the engine does for a mapped one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        monkeypatch.setattr(ports, "free", lambda: port)
        yield port


@pytest.mark.parametrize(("engine", "_why"), HIDDEN)
def test_where_nodes_are_not_reached_a_port_of_this_host_leads_to_the_gateway(
    machine: FakeTools, tmp_path: Path, listening: int, engine: dict[str, object], _why: str
) -> None:
    machine.answer(about(**engine), *INGRESS)
    with provider(machine).provide() as access:
        assert (access.node_address, access.has("node-port")) == ("127.0.0.1", True)
        config = json.loads((tmp_path / "state" / NAME / "kind.json").read_text())
    [mapping] = config["nodes"][0]["extraPortMappings"]
    [patch] = [call for call in machine.calls("kubectl") if " patch " in call]
    port = json.loads(patch.partition("--patch=")[2])["spec"]["ports"][0]
    assert mapping["hostPort"] == mapping["containerPort"] == port["nodePort"] == listening
    assert port["port"] == 80


@pytest.mark.parametrize(("engine", "why"), HIDDEN)
def test_where_the_mapped_port_does_not_answer_the_gateway_is_forwarded(
    machine: FakeTools, engine: dict[str, object], why: str
) -> None:
    machine.answer(about(**engine), *INGRESS)
    with provider(machine).provide() as access:
        assert access.node_address is None
        assert access.features & set(ACCESS_PATHS) == {"gateway-forward"}
        assert any(
            f"NodePorts are not reached from this machine ({why}" in n for n in access.notes
        )


def test_a_kept_cluster_is_reached_by_the_port_that_it_was_made_with(
    machine: FakeTools, listening: int
) -> None:
    machine.answer(about(OperatingSystem="Docker Desktop"), *INGRESS)
    for _ in range(2):
        with provider(machine, keep=True).provide() as access:
            assert (access.node_address, access.has("node-port")) == ("127.0.0.1", True)


def test_a_mapped_port_that_is_taken_meanwhile_is_the_hosts_fault(machine: FakeTools) -> None:
    error = "ERROR: failed to create cluster: Bind for 127.0.0.1 failed: port is already allocated"
    machine.answer(about(OperatingSystem="Docker Desktop"), (CREATE, {"code": 1, "says": error}))
    with pytest.raises(HostNotFit, match=r"port 3\d+ of .*was taken") as raised:
        provider(machine).provide().__enter__()
    assert raised.value.exit_code == 11
    assert left(machine) == []


def test_an_installation_without_an_ingress_gateway_needs_no_port(machine: FakeTools) -> None:
    machine.answer(
        about(OperatingSystem="Docker Desktop"),
        (r"kubectl .* get service/istio-ingressgateway .*", {"says": ""}),
    )
    with provider(machine, how=Installation(settings=("profile=minimal",))).provide():
        assert not machine.unexpected


def test_the_users_kubeconfig_is_not_touched(
    machine: FakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    monkeypatch.setenv("KUBECONFIG", str(mine))
    with provider(machine).provide() as access:
        assert access.kubeconfig != mine
    assert mine.read_text() == "mine"
    assert all(f"--kubeconfig={tmp_path}/state" in call for call in machine.calls("kind create"))
    assert not (Path(__file__).parents[2] / ".pytest-kind").exists()
