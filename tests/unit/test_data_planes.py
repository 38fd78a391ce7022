"""The mode in which the run's own sample is in the mesh, and what follows for the claims."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.claims import NotTested
from fixtures.faults.catalog import CATALOGUE
from fixtures.istio.releases.gateway_api import BUNDLES
from fixtures.istio.releases.rows import one_for
from fixtures.istio.releases.versions import AMBIENT_SINCE, PAIRS, has_ambient
from fixtures.providers.base import NO_SIDECARS, OF_SIDECARS, Access
from fixtures.providers.kind.gateway_api import Wanted
from fixtures.run.cluster import gateway_api, installation
from fixtures.run.injecting import Injecting
from fixtures.run.settings import KindSettings, Settings
from fixtures.run.stages import BY_NAME, SUITE
from fixtures.run.state import RunState
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]


def settings(istio: str = "1.31.4", kind: KindSettings | None = None) -> Settings:
    where = Path()
    kind = kind or KindSettings()
    return Settings("kind", istio, "1.35", "smoke", where, mesh="ambient", kind=kind)


def test_a_sample_in_ambient_mode_is_asked_nothing_about_sidecars() -> None:
    features = frozenset({"sidecars", "writes"})
    access = Access(Path(), "here", None, "conformance", "kind", "1", "1", features=features)
    ambient = access.in_ambient_mode()
    assert (access.data_plane, ambient.data_plane) == ("sidecar", "ambient")
    assert ambient.features == {"writes"}
    assert ambient.lacking == dict.fromkeys(("sidecars", "mesh-traffic"), NO_SIDECARS)
    assert ambient.skipped_stages == dict.fromkeys(OF_SIDECARS, NO_SIDECARS)


def test_without_injection_the_gateway_still_needs_the_sample() -> None:
    assert set(OF_SIDECARS) <= set(BY_NAME)
    for name in ("gateway", "workloads"):
        needed = SUITE.needed_by(BY_NAME[name], without=OF_SIDECARS)
        assert BY_NAME["sample"] in needed


@pytest.mark.parametrize("istio", sorted({one.istio for one in PAIRS if has_ambient(one.istio)}))
def test_the_gateway_api_of_the_release_comes_with_ambient_mode(istio: str) -> None:
    assert gateway_api(settings(istio)) == Wanted(one_for(BUNDLES, istio))
    assert installation(settings(istio)).profile == "ambient"


def test_the_gateway_api_that_the_user_names_comes_first() -> None:
    assert gateway_api(settings(kind=KindSettings(gateway_api="1.7.0"))) == Wanted("1.7.0")


def test_ambient_mode_has_a_first_release() -> None:
    assert has_ambient(f"{AMBIENT_SINCE}.0")
    assert not has_ambient("1.23.6")


class Recorder:
    """Stands for pytest's request, and for the action of a fault."""

    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.injected = False

    def getfixturevalue(self, name: str) -> None:
        self.prepared.append(name)
        if name == "gateway":
            raise NotTested("this mesh has no ingress gateway")

    def inject(self, _: object) -> None:
        self.injected = True


@pytest.mark.parametrize("stage", ["gateway", "ambient"])
def test_a_fault_is_injected_where_nothing_has_sidecars(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder: Any = Recorder()
    fault = replace(CATALOGUE["dns-down"], stage=BY_NAME[stage].number, action=recorder)
    monkeypatch.setattr(Injecting, "fault", fault)
    access = Access(Path(), "here", None, "rehearsal", "embedded", "1", "1").in_ambient_mode()
    injecting = Injecting(RunState(access=access))
    nothing = NotTested("this mesh has no ingress gateway")
    with pytest.raises(NotTested), injecting.beside(BY_NAME[stage], recorder):
        raise nothing
    assert recorder.injected
    assert not {BY_NAME[one].preparation for one in OF_SIDECARS} & set(recorder.prepared)
    assert "plain_sample" in recorder.prepared


LACKING = """
from dataclasses import replace

class Plain(Pretended):
    @contextmanager
    def provide(self):
        with super().provide() as access:
            yield replace(access.in_ambient_mode(), features=frozenset())

Pretended = Plain
"""


def test_what_a_mode_is_without_is_reported_with_its_reason(pytester: pytest.Pytester) -> None:
    runs = SmallRuns(pytester).begin(world=LACKING)
    runs.claims("01_cluster", "@so(feature='sidecars')\ndef test_a(cluster): inspected_one(1)\n")
    runs.claims("04_injection", "@so()\ndef test_a(injected_sample): inspected_one(1)\n")
    ended = runs.run()
    assert set(ended.verdicts.values()) == {"not-claimed"}
    assert ended.message("cluster/a") == ended.message("injection/a") == NO_SIDECARS
