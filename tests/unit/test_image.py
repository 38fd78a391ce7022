"""Image references in every form that a cluster holds."""

from __future__ import annotations

import pytest

from fixtures.k8s.image import Image

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "hub", "name", "tag", "digest"),
    [
        ("docker.io/istio/pilot:1.31.0", "docker.io/istio", "pilot", "1.31.0", ""),
        (f"hub/pilot:1.31.0@{DIGEST}", "hub", "pilot", "1.31.0", DIGEST),
        (f"registry:5000/a/pilot@{DIGEST}", "registry:5000/a", "pilot", "", DIGEST),
        ("registry:5000/pilot", "registry:5000", "pilot", "", ""),
        ("localhost:5000/istio/proxyv2:1", "localhost:5000/istio", "proxyv2", "1", ""),
        ("pilot", "", "pilot", "", ""),
        ("pilot:latest", "", "pilot", "latest", ""),
        ("auto", "", "auto", "", ""),
        ("", "", "", "", ""),
    ],
)
def test_a_reference_is_taken_apart(
    reference: str, hub: str, name: str, tag: str, digest: str
) -> None:
    assert Image.parse(reference) == Image(hub, name, tag, digest)


def test_the_short_form_has_no_registry_and_no_digest() -> None:
    assert Image.parse(f"registry:5000/istio/pilot:1.31.0@{DIGEST}").short == "pilot:1.31.0"
    assert Image.parse(f"registry:5000/istio/pilot@{DIGEST}").short == "pilot"
