"""What does not need Istio goes on while it is installed, and neither outlives the other's end."""

from pathlib import Path
from typing import Any

import pytest

from fixtures.providers.base import Access, HostNotFit, ProvisioningFailed
from fixtures.providers.kind.archives import INDEXES, Loads, grouped
from fixtures.run.timeline import Timeline, critical_path
from tests.providers.fake_tools import INSTALL, FakeTools
from tests.providers.kinds import NAME, archive_of, left, machine, packed, provider

__all__ = ["machine"]


class SampleFailed(Exception):
    """What goes on beside the installation did not work."""


def test_the_cluster_is_reported_of_while_istio_is_being_installed(
    machine: FakeTools, tmp_path: Path
) -> None:
    machine.answer((INSTALL, {"hang": True}))
    sample = archive_of(tmp_path / "sample.tar", "docker.io/istio/examples-bookinfo-details-v1:1")
    entries: list[Access] = []

    def answering(access: Access) -> None:
        machine.await_hanging()
        entries.append(access)
        raise SampleFailed

    with (
        pytest.raises(SampleFailed),
        provider(machine, archives=(sample,), on_answering=answering).provide(),
    ):
        pass
    assert [access.context for access in entries] == [f"kind-{NAME}"]
    assert machine.calls("kind load") == [f"kind load image-archive {sample} --name={NAME}"]
    assert machine.hung_is_gone, "the installation was not called off"
    assert machine.clusters == {}
    assert left(machine) == []


def test_images_are_loaded_before_what_needs_them(machine: FakeTools, tmp_path: Path) -> None:
    addons = archive_of(tmp_path / "addons.tar", "docker.io/grafana/grafana:1")
    sample = archive_of(tmp_path / "sample.tar", "docker.io/istio/examples-bookinfo-details-v1:1")
    istio = archive_of(tmp_path / "istio.tar", "docker.io/istio/proxyv2:1", "other:1")
    entries: list[int] = []
    timeline = Timeline()
    with provider(
        machine,
        archives=(addons, sample, istio),
        on_answering=lambda _: entries.append(len(machine.calls("kind load"))),
        timeline=timeline,
    ).provide():
        pass
    loaded = [call.split()[3] for call in machine.calls("kind load")]
    assert loaded == [str(istio), str(sample), str(addons)]
    assert entries == [2]
    calls = [" ".join(call.split()[:2]) for call in machine.calls()]
    assert calls.index("kind load") < calls.index("istioctl install")
    after = {step.name: step.after for step in timeline.steps}
    assert after == {
        "host and tools": (),
        "kind cluster": ("host and tools",),
        "images of Istio": ("kind cluster",),
        "Istio": ("images of Istio",),
        "images of the sample": ("images of Istio",),
        "images of add-ons": ("images of the sample",),
    }
    assert [step.name for step in critical_path(timeline.steps)][:2] == [
        "host and tools",
        "kind cluster",
    ]


def test_an_installation_that_fails_is_reported_though_the_rest_went_well(
    machine: FakeTools,
) -> None:
    machine.answer((INSTALL, {"code": 1, "says": "Error: no such profile"}))
    machine.answer((r"kubectl .* get (pods|events) --output=json", {"says": "{}"}))
    with pytest.raises(ProvisioningFailed, match="no such profile"), provider(machine).provide():
        pass
    assert left(machine) == []


def test_archives_are_sorted_by_who_waits_for_them(tmp_path: Path) -> None:
    istio = archive_of(tmp_path / "1.tar", "registry.example:5000/a/pilot:1.29.6")
    both = archive_of(tmp_path / "2.tar", "b/examples-bookinfo-reviews-v1:1", "a/proxyv2:1")
    sample = archive_of(tmp_path / "3.tar", "b/examples-bookinfo-reviews-v1:1")
    other = archive_of(tmp_path / "4.tar", "kindest/pilots:1")
    assert grouped((other, sample, both, istio)) == Loads((both, istio), (sample,), (other,))


@pytest.mark.parametrize("whole", [True, False])
def test_an_archive_that_lists_platforms_which_are_not_in_it_is_refused_with_the_command(
    machine: FakeTools,
    tmp_path: Path,
    whole: bool,  # noqa: FBT001  # a row's outcome
) -> None:
    amd64, arm64, index = ("sha256:" + letter * 64 for letter in "abc")
    files: dict[str, Any] = {
        "manifest.json": [{"RepoTags": ["docker.io/grafana/grafana:1"]}],
        "index.json": {"manifests": [{"digest": index, "mediaType": INDEXES[0]}]},
        f"blobs/sha256/{'c' * 64}": {"manifests": [{"digest": amd64}, {"digest": arm64}]},
        f"blobs/sha256/{'a' * 64}": {},
    }
    files |= {f"blobs/sha256/{'b' * 64}": {}} if whole else {}
    made = provider(machine, archives=(packed(tmp_path / "images.tar", files),))
    if whole:
        with made.provide() as access:
            assert access.evidence == "conformance"
        return
    words = r"images\.tar lists .*sha256:bbbb.*docker image save --platform linux/amd64"
    with pytest.raises(HostNotFit, match=words), made.provide():
        pass
    assert not machine.calls("kind create")


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>"], ids=["empty", "HTML"])
def test_what_is_no_archive_is_refused_before_anything_is_made(
    machine: FakeTools, tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "images.tar"
    broken.write_bytes(content)
    with (
        pytest.raises(HostNotFit, match=r"images\.tar: no archive of images") as raised,
        provider(machine, archives=(broken,)).provide(),
    ):
        pass
    assert "\n" not in str(raised.value)
    assert not machine.calls("kind create")
