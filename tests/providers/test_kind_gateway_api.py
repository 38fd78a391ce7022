"""`--gateway-api`: the definitions are there before Istio is, and are what the user named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from fixtures.providers.base import HostNotFit, ProvisioningFailed
from fixtures.providers.kind.gateway_api import FILE, Wanted
from tests.providers.fake_tools import KUBE, FakeTools
from tests.providers.kinds import left, machine, provider
from tests.providers.test_kind_download import Publisher, publisher

__all__ = ["machine", "publisher"]

DEFINITIONS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  annotations:
    gateway.networking.k8s.io/bundle-version: v1.7.0
    gateway.networking.k8s.io/channel: standard
"""
APPLY = KUBE + r"apply --server-side --filename=\S+"
WAIT = KUBE + r"wait --for=condition=Established customresourcedefinition\S+ --timeout=60s"
GATEWAYS = "customresourcedefinition.apiextensions.k8s.io/gateways.gateway.networking.k8s.io"
POLICY = "safe-upgrades.gateway.networking.k8s.io"
APPLIED = f"""{GATEWAYS} serverside-applied
validatingadmissionpolicy.admissionregistration.k8s.io/{POLICY} serverside-applied"""
# In the words of Kubernetes and of the policy.
REFUSED = (
    'Error from server (Invalid): customresourcedefinitions "gateways" is forbidden: '
    f"ValidatingAdmissionPolicy '{POLICY}' with binding '{POLICY}' denied request: "
    "Installing CRDs with version before v1.7.0 is prohibited by default. "
    f"Uninstall ValidatingAdmissionPolicy {POLICY} to install older versions."
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.yaml"
    path.write_text(DEFINITIONS)
    return path


def of_version(publisher: Publisher, content: str = DEFINITIONS) -> Wanted:
    """A version of the publisher's, with the digest of `content` stated."""
    url = f"http://127.0.0.1:{publisher.server_port}"
    digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
    assets = [{"name": "other.yaml", "digest": None}, {"name": FILE, "digest": digest}]
    publisher.files[f"/files/v1.7.0/{FILE}"] = DEFINITIONS.encode()
    publisher.files["/tags/v1.7.0"] = json.dumps({"assets": assets}).encode()
    return Wanted("1.7.0", files=f"{url}/files", releases=f"{url}/tags")


def test_the_definitions_are_served_before_istio_is_installed(
    machine: FakeTools, bundle: Path
) -> None:
    machine.answer((APPLY, {"says": APPLIED}), (WAIT, {}))
    with provider(machine, gateway_api=Wanted(file=bundle)).provide() as access:
        assert f"Gateway API 1.7.0 of {bundle}." in access.notes
    calls = machine.calls()
    order = [
        next(number for number, call in enumerate(calls) if part in call)
        for part in ("kind create", f"--filename={bundle}", f"Established {GATEWAYS}", " install ")
    ]
    assert order == sorted(order)
    assert machine.unexpected == ""


def test_none_is_installed_that_was_not_wanted(machine: FakeTools) -> None:
    with provider(machine).provide():
        pass
    assert not [call for call in machine.calls("kubectl") if "apply" in call]


def test_another_bundle_is_another_cluster_that_is_kept(machine: FakeTools, bundle: Path) -> None:
    machine.answer((APPLY, {"says": APPLIED}), (WAIT, {}))
    for wanted in (None, Wanted(file=bundle), Wanted(file=bundle)):
        with provider(machine, keep=True, gateway_api=wanted).provide():
            pass
    assert len(machine.calls("kind create")) == 2
    assert len([call for call in machine.calls("kubectl") if "apply" in call]) == 1


def test_what_the_policy_of_a_newer_bundle_refuses_is_one_line(
    machine: FakeTools, bundle: Path
) -> None:
    machine.answer((APPLY, {"code": 1, "says": REFUSED}))
    words = (
        rf"Gateway API 1\.7\.0 was not installed: the policy {POLICY} of the bundle that is in "
        r"the cluster refuses it \(Installing CRDs with version before v1\.7\.0 is prohibited by "
        r"default\); give --gateway-api a newer one"
    )
    with (
        pytest.raises(ProvisioningFailed, match=words),
        provider(machine, gateway_api=Wanted(file=bundle)).provide(),
    ):
        pass
    assert not machine.calls("istioctl install")
    assert left(machine) == []


@pytest.mark.parametrize("step", ["apply", "wait"])
def test_any_other_failure_is_in_kubectls_words(
    machine: FakeTools, bundle: Path, step: str
) -> None:
    bad = {"code": 1, "says": f"{GATEWAYS} serverside-applied\nerror: no matches for kind"}
    good = {"says": APPLIED}
    machine.answer((APPLY, bad if step == "apply" else good), (WAIT, bad))
    words = r"Gateway API 1\.7\.0 was not installed: error: no matches for kind \(its output: "
    with (
        pytest.raises(ProvisioningFailed, match=words),
        provider(machine, gateway_api=Wanted(file=bundle)).provide(),
    ):
        pass


def test_a_file_without_definitions_is_refused_before_anything_is_made(
    machine: FakeTools, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("kind: ConfigMap\n")
    with (
        pytest.raises(HostNotFit, match=r"other\.yaml: no definition of the Gateway API in it"),
        provider(machine, gateway_api=Wanted(file=other)).provide(),
    ):
        pass
    assert not machine.calls("kind create")


def test_a_version_is_downloaded_once_and_held_against_what_its_release_states(
    publisher: Publisher, tmp_path: Path
) -> None:
    wanted = of_version(publisher)
    found = wanted.found(tmp_path)
    assert (found.version, found.path.read_text()) == ("1.7.0", DEFINITIONS)
    publisher.files.clear()
    assert wanted.found(tmp_path) == found


def test_a_file_that_is_not_the_released_one_is_not_used(
    publisher: Publisher, tmp_path: Path
) -> None:
    with pytest.raises(ProvisioningFailed, match=r"its SHA-256 is .* the publisher says"):
        of_version(publisher, "another").found(tmp_path)
    assert not list(tmp_path.glob(f"*{FILE}"))


@pytest.mark.parametrize("document", ['{"assets": []}', "[]", '{"message": "rate limit"}'])
def test_without_a_digest_nothing_is_trusted(
    publisher: Publisher, tmp_path: Path, document: str
) -> None:
    wanted = of_version(publisher)
    publisher.files["/tags/v1.7.0"] = document.encode()
    words = rf"no SHA-256 of {FILE} in it; .*--gateway-api FILE"
    with pytest.raises(ProvisioningFailed, match=words):
        wanted.found(tmp_path)
