"""The mesh's configuration where it cannot be read: one claim says so, nothing else is lost."""

from __future__ import annotations

import pytest

from fixtures.claims import ClaimFailed
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.options import read_options
from fixtures.istio.releases import expected
from fixtures.istio.releases.options import MeshOptions
from tests.unit.states import FakeKube, as_kube


def configured(mesh: str) -> FakeKube:
    body = {"metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": mesh}}
    return FakeKube({"v1/configmaps": [body]})


@pytest.mark.parametrize(
    ("mesh", "got"),
    [("defaultConfig: {", "while parsing"), ("nonsense", "a str"), ("- a", "a list")],
    ids=["cut-off", "a-word", "a-list"],
)
def test_what_is_no_mapping_is_reported(mesh: str, got: str) -> None:
    with pytest.raises(ClaimFailed) as failure:
        read_options(as_kube(configured(mesh)))
    assert failure.value.subject == "mesh of ConfigMap istio-system/istio"
    assert str(failure.value.got).startswith(got)


@pytest.mark.parametrize("mesh", ["", "{}"], ids=["empty", "nothing-set"])
def test_what_sets_nothing_is_read(mesh: str) -> None:
    assert read_options(as_kube(configured(mesh))) == read_options(as_kube(FakeKube({})))


def test_one_claim_fails_and_the_defaults_are_expected() -> None:
    rows = expected("1.30.3", "1.35", ["1.35"])
    plane = ControlPlane.read(as_kube(configured("nonsense")), rows, "")
    assert plane.expected == rows.set_to(MeshOptions())
    with pytest.raises(ClaimFailed, match="expected a YAML mapping"):
        plane.expect_readable_configuration()
