"""Every report says in which mode the sample was in the mesh, and runs of two modes are two."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.providers.base import DATA_PLANES, Access, DataPlane
from fixtures.run.settings import Settings
from fixtures.run.state import RunState
from reports.compare import as_text
from reports.data import as_json
from reports.differences import compare
from reports.history import histories
from reports.html import page
from reports.junit import as_junit
from reports.metrics import as_prometheus
from reports.model import Run, subject_of
from reports.statement import as_yaml
from reports.stored import Stored
from reports.summary import as_markdown
from tests.unit.runs import good

OLD = Path(__file__).parent / "golden" / "form1.json"


def of(mode: DataPlane) -> Run:
    whole = good("rehearsal")
    return replace(whole, subject=replace(whole.subject, data_plane=mode))


def stored(made: Run) -> Stored:
    return Stored.parse(json.dumps(as_json(made)).encode(), made.subject.data_plane)


@pytest.mark.parametrize("report", [as_markdown, page, as_junit, as_yaml, as_prometheus])
def test_every_report_names_the_mode(report: Callable[[Run], str]) -> None:
    for mode, other in (DATA_PLANES, DATA_PLANES[::-1]):
        assert mode in report(of(mode))
        assert f"{other} mode" not in report(of(mode))


def test_the_verdict_names_ambient_mode() -> None:
    over = "Istio 1.31.0 in ambient mode on Kubernetes 1.35.2"
    assert over in of("ambient").sentence
    assert over in str(stored(of("ambient")))


def test_a_comparison_of_two_modes_says_so() -> None:
    found = compare(stored(of("sidecar")), stored(of("ambient")))
    assert "note: OLD ran in sidecar mode, NEW in ambient mode" in as_text(found)
    assert "data plane mode: sidecar -> ambient" in as_text(found)
    assert not compare(stored(of("ambient")), stored(of("ambient"))).changed


def test_a_report_from_before_does_not_differ_in_its_mode() -> None:
    assert "mode" not in as_text(compare(Stored.read(OLD), stored(of("ambient")))).replace(
        "in ambient mode", ""
    )


def test_runs_of_two_modes_have_two_histories() -> None:
    made = [stored(replace(of(mode), partial=False)) for mode in ("sidecar", "ambient")]
    assert {one.title for one in histories(made)} == {
        "embedded, profile smoke",
        "embedded in ambient mode, profile smoke",
    }


@pytest.mark.parametrize(
    ("provider", "read_only", "mode"),
    [
        pytest.param("kind", False, "ambient", id="its cluster could not be made"),
        pytest.param("kind", True, "ambient", id="made for it, and read"),
        pytest.param("existing", True, "", id="has no sample of its own"),
    ],
)
def test_the_mode_is_that_of_the_sample(
    provider: str,
    read_only: bool,  # noqa: FBT001  # a parameter of the test
    mode: str,
) -> None:
    asked = Settings(
        provider, "1.31", "1.35", "smoke", Path(), mesh="ambient", read_only=read_only
    )
    assert subject_of(RunState(settings=asked)).data_plane == mode


def test_the_mode_is_what_the_provider_made() -> None:
    access = Access(Path(), "here", None, "rehearsal", "embedded", "1", "1").in_ambient_mode()
    asked = Settings("embedded", "1.31", "1.35", "smoke", Path(), mesh="ambient")
    assert subject_of(RunState(settings=asked, access=access)).data_plane == "ambient"
