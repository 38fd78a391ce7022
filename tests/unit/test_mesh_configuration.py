"""The mesh's configuration where it cannot be read: one claim says so, nothing else is lost."""

from __future__ import annotations

import pytest

from fixtures.claims import ClaimFailed
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.options import read_documents, read_options
from fixtures.istio.releases import expected
from fixtures.istio.releases.options import MeshOptions
from tests.unit.states import FakeKube, as_kube


def configured(mesh: str, values: str = "{}") -> FakeKube:
    held = {"istio": {"mesh": mesh}, "istio-sidecar-injector": {"values": values}}
    bodies = [
        {"metadata": {"name": name, "namespace": "istio-system"}, "data": data}
        for name, data in held.items()
    ]
    return FakeKube({"v1/configmaps": bodies})


@pytest.mark.parametrize(
    ("mesh", "got"),
    [("defaultConfig: {", "while parsing"), ("nonsense", "a str"), ("- a", "a list")],
    ids=["cut-off", "a-word", "a-list"],
)
def test_what_is_no_mapping_is_reported(mesh: str, got: str) -> None:
    with pytest.raises(ClaimFailed) as failure:
        read_documents(as_kube(configured(mesh)))
    assert failure.value.subject == "mesh of ConfigMap istio-system/istio"
    assert str(failure.value.got).startswith(got)


@pytest.mark.parametrize("mesh", ["", "{}"], ids=["empty", "nothing-set"])
def test_what_sets_nothing_is_read(mesh: str) -> None:
    assert read_options(as_kube(configured(mesh))) == read_options(as_kube(FakeKube({})))


def test_one_claim_fails_and_the_defaults_are_expected() -> None:
    rows = expected("1.30.3", "1.35", ["1.35"])
    plane = ControlPlane.read(as_kube(configured("nonsense")), rows)
    assert plane.expected.options.access_log == MeshOptions().access_log
    with pytest.raises(ClaimFailed, match="expected a YAML mapping"):
        plane.expect_readable_configuration()


def test_what_can_be_read_beside_it_holds() -> None:
    values = "{pilot: {cni: {enabled: true}}, global: {proxy: {includeIPRanges: 10.0.0.0/8}}}"
    options = read_options(as_kube(configured("nonsense", values)))
    assert options.cni
    assert options.traffic.include_ranges == "10.0.0.0/8"
    assert options.access_log == MeshOptions().access_log
    other = read_options(as_kube(configured("accessLogFile: /dev/stderr", "nonsense")))
    assert (other.access_log, other.traffic) == ("/dev/stderr", MeshOptions().traffic)
