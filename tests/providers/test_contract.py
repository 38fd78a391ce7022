"""What every provider keeps: access that works and says its worth, and nothing left behind.

`embedded` and `existing` are held to it always. `kind` makes real clusters, so it is held to it
where somebody asks for that and an engine answers: SEATRIAL_CONTRACT_KIND holds the options of
`--provider kind`, or nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from typing import get_args

import pytest
import requests

from fixtures.claims import Feature, expect
from fixtures.claims.deadlines import ROLLED_OUT
from fixtures.claims.waiting import eventually
from fixtures.istio.releases.versions import PAIRS
from fixtures.k8s import Body, Kube, Unreachable
from fixtures.providers.base import ACCESS_PATHS, DEMO, Access, ProvisionError
from fixtures.providers.discover import Engine, find_engine
from fixtures.providers.embedded_process import Embedded
from fixtures.providers.existing import Existing
from fixtures.providers.kind.directories import of_user
from fixtures.run import kind_options
from fixtures.run.cluster import PROVIDERS, kind_for, origin
from fixtures.run.settings import Settings
from fixtures.run.timeline import Timeline
from tests.embedded.conftest import VERSIONS, started

SNAPSHOT = (
    "namespaces",
    "configmaps",
    "leases.coordination.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
)
ISTIO, KUBE = PAIRS[0].istio, PAIRS[0].kube
STATUS_PORT, STATUS_PATH = 15021, "/healthz/ready"
SECONDS = 10


@dataclass(frozen=True)
class Case:
    """One provider.

    Attributes:
        provide: begins to provide.
        evidence: what its answers are worth.
        outside: what stands outside of what it makes, and must stand so afterwards.
        name: what `--provider` calls it.
        outlives: whether its cluster was there before, and is there afterwards.
    """

    provide: Callable[[], AbstractContextManager[Access]]
    evidence: str
    outside: Callable[[], object]
    name: str = ""
    outlives: bool = False


@pytest.fixture(params=sorted(PROVIDERS), scope="module")
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    with pytest.MonkeyPatch.context() as patch, case_of(name)(folder) as made:
        patch.setattr(tempfile, "tempdir", str(folder))
        outside = lambda: (sorted(folder.glob("seatrial-*")), made.outside())  # noqa: E731  # one place
        yield replace(made, outside=outside, name=name, outlives=origin(name) == "taken")


@contextmanager
def embedded(folder: Path) -> Iterator[Case]:
    provider = Embedded(ISTIO, KUBE, folder / "log", Queue[str]().put)
    yield Case(provider.provide, "rehearsal", lambda: os.environ.get("KUBECONFIG"))


@contextmanager
def existing(folder: Path) -> Iterator[Case]:
    with started(folder, *VERSIONS, "--termination-seconds", "0.5") as there:
        file, context = there.kubeconfig, there.ready["context"]
        provider = Existing(
            context=context,
            warn=pytest.fail,
            environment={"KUBECONFIG": str(file)},
        )
        owner = Kube.connect(Access(file, context, None, "rehearsal", "test", "1", "1"))
        try:
            outside = lambda: (file.read_bytes(), *_objects(owner))  # noqa: E731  # one place
            yield Case(provider.provide, "rehearsal", outside)
        finally:
            owner.close()


@contextmanager
def kind(folder: Path) -> Iterator[Case]:
    words = os.environ.get("SEATRIAL_CONTRACT_KIND")
    if words is None:
        pytest.skip("makes real clusters: set SEATRIAL_CONTRACT_KIND to options of kind, or empty")
    engine = find_engine()
    if not isinstance(engine, Engine):
        pytest.skip(f"needs a container engine: {engine.why}")
    parser = argparse.ArgumentParser()
    kind_options.declare(parser.add_argument)
    parser.add_argument("--istio-version", default="")
    parser.add_argument("--kube-version", default=KUBE)
    option = vars(parser.parse_args(shlex.split(words)))
    settings = Settings(
        provider="kind",
        istio_version=option["istio_version"] or ISTIO,
        kube_version=option["kube_version"],
        profile="conformance",
        reports_dir=folder,
        kind=kind_options.read(option, Path.cwd(), provider="kind"),
    )
    provider = kind_for(settings, Timeline())

    def outside() -> object:
        command = [engine.name, "ps", "--all", "--format={{.Names}}"]
        there = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        files = of_user().state.rglob("*")
        return there.stdout, sorted(str(p) for p in files if p.suffix != ".lock")

    yield Case(provider.provide, "conformance", outside)


# Every provider has its case here.
CASES: dict[str, Callable[[Path], AbstractContextManager[Case]]] = {
    "embedded": embedded,
    "existing": existing,
    "kind": kind,
}


def case_of(name: str) -> Callable[[Path], AbstractContextManager[Case]]:
    """The case of a provider; each has one."""
    if name not in CASES:
        line = "tests/providers/test_contract.py: CASES has no case for the provider"
        pytest.fail(f"{line} {name}, which fixtures/run/cluster.py has in PROVIDERS: add one")
    return CASES[name]


def _objects(kube: Kube) -> list[tuple[str, str]]:
    """Every object that tells somebody was here; leader elections are Istio's own."""
    return [
        (name, body["metadata"]["uid"])
        for name in SNAPSHOT
        for body in kube.list(name)
        if "leader" not in body["metadata"]["name"]
    ]


def test_access_is_of_use_and_says_what_it_is_worth(case: Case) -> None:
    before = case.outside()
    with case.provide() as access:
        assert access.evidence == case.evidence
        assert access.provider == case.name
        assert access.kubeconfig.stat().st_mode & 0o077 == 0
        assert access.features <= {*get_args(Feature), *ACCESS_PATHS, "mesh-writes"}
        names = access.namespaces
        assert len({names.sample, names.outside, names.labelled}) == 3
        kube = Kube.connect(access)
        try:
            must_be_as_specified(kube, access)
        finally:
            kube.close()
    assert case.outside() == before
    gone = Kube.connect(access) if access.kubeconfig.exists() else None
    if gone and not case.outlives:
        with pytest.raises(Unreachable):
            gone.raw("/version")


def must_be_as_specified(kube: Kube, access: Access) -> None:
    minor = ".".join(access.kube_version.split(".")[:2])
    assert kube.raw("/version")["gitVersion"].startswith(f"v{minor}.")
    istiod = kube.get("deployments.apps", "istiod", "istio-system")
    [container] = istiod["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f":{access.istio_version}")
    services = {s["metadata"]["name"]: s for s in kube.list("services", "istio-system")}
    assert ("egress-gateway" in access.features) == ("istio-egressgateway" in services)
    assert access.features >= DEMO
    assert "node-port" in access.features
    node = access.node_address or address_of(kube.list("nodes")[0])
    ports = services["istio-ingressgateway"]["spec"]["ports"]
    status = next(port["nodePort"] for port in ports if port["port"] == STATUS_PORT)
    url = f"http://{node}:{status}{STATUS_PATH}"
    eventually(lambda: must_be_ready(url), within=ROLLED_OUT)  # the installer may not have waited


def must_be_ready(url: str) -> None:
    try:
        seen = str(requests.get(url, timeout=SECONDS).status_code)
    except requests.RequestException as e:
        seen = type(e).__name__
    expect(f"GET {url}", expected="200", got=seen)


def address_of(node: Body) -> str:
    found: str = next(
        a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"
    )
    return found


def test_an_error_of_the_run_passes_through_and_nothing_is_left(case: Case) -> None:
    class OfTheRun(Exception):
        pass

    before = case.outside()
    with pytest.raises(OfTheRun), case.provide():
        raise OfTheRun
    assert case.outside() == before


def test_two_at_once_differ_or_the_second_is_refused_in_one_line(case: Case) -> None:
    before = case.outside()
    with ExitStack() as stack:
        one = stack.enter_context(case.provide())
        try:
            other = stack.enter_context(case.provide())
        except ProvisionError as e:
            refused = str(e)
        else:
            refused = ""
            first, second = Kube.connect(one), Kube.connect(other)
            assert first.server != second.server
            first.close()
            second.close()
    assert bool(refused) == case.outlives, "who makes clusters makes another one"
    assert "\n" not in refused
    assert case.outside() == before
