"""The add-ons' manifests make what the rows expect, for every release of the table."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fixtures.claims import NotTested
from fixtures.istio.addons import NAMES, Addons
from fixtures.istio.releases import expected
from fixtures.istio.releases.versions import PAIRS
from fixtures.k8s.service import Service
from fixtures.setup.manifests import filled

NAMESPACE = "istio-system"
VERSIONS = list(dict.fromkeys(pair.istio for pair in PAIRS))


def the_addons(istio: str) -> Addons:
    kube: Any = None  # nothing is asked of it
    return Addons(kube, expected(istio, "1.34", ["1.34"]), NAMESPACE)


def documents(name: str, istio: str = VERSIONS[0]) -> dict[tuple[str, str], dict[str, Any]]:
    manifest = the_addons(istio).row(name).manifest or name
    found = filled(f"addons/{manifest}.yaml", {"IMAGE": the_addons(istio).image(name)})
    return {(body["kind"], body["metadata"]["name"]): body for body in found}


EACH = [(name, istio) for istio in VERSIONS for name in the_addons(istio).names()]


@pytest.mark.parametrize(("name", "istio"), EACH)
def test_the_container_has_the_releases_image_and_is_probed_for_its_health(
    name: str, istio: str
) -> None:
    row = the_addons(istio).row(name)
    spec = documents(name, istio)["Deployment", row.deployment]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert (container["name"], container["image"]) == (
        row.container,
        the_addons(istio).image(name),
    )
    probe = container["readinessProbe"]["httpGet"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert (ports[probe["port"]], probe["path"]) == (row.port, row.path)


@pytest.mark.parametrize(("name", "istio"), EACH)
def test_the_services_have_the_expected_tables(name: str, istio: str) -> None:
    made = documents(name, istio)
    tables = the_addons(istio).row(name).services
    assert {n for kind, n in made if kind == "Service"} == {table.name for table in tables}
    for table in tables:
        body = made["Service", table.name]
        body["metadata"]["namespace"] = NAMESPACE
        Service.of(body).expect_table(table, "")


@pytest.mark.parametrize("name", NAMES)
def test_the_services_choose_the_pods_which_stay_out_of_the_mesh(name: str) -> None:
    made = documents(name)
    row = the_addons(VERSIONS[0]).row(name)
    labels = made["Deployment", row.deployment]["spec"]["template"]["metadata"]["labels"]
    assert labels["sidecar.istio.io/inject"] == "false"
    selectors = [b["spec"]["selector"] for (kind, _), b in made.items() if kind == "Service"]
    assert all(selector.items() <= labels.items() for selector in selectors)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_mounted_is_made(name: str) -> None:
    made = documents(name)
    row = the_addons(VERSIONS[0]).row(name)
    spec = made["Deployment", row.deployment]["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {m["name"] for m in spec["containers"][0]["volumeMounts"]} == set(volumes)
    for volume in volumes.values():
        if "configMap" in volume:
            data = made["ConfigMap", volume["configMap"]["name"]]["data"]
            assert all(yaml.safe_load(text) for text in data.values())


@pytest.mark.parametrize("name", NAMES)
def test_rights_are_given_to_the_account_that_runs_it(name: str) -> None:
    made = documents(name)
    row = the_addons(VERSIONS[0]).row(name)
    account = made["Deployment", row.deployment]["spec"]["template"]["spec"].get(
        "serviceAccountName"
    )
    accounts = {n for kind, n in made if kind == "ServiceAccount"}
    assert accounts == ({account} if account else set())
    bindings = [b for (kind, _), b in made.items() if kind == "ClusterRoleBinding"]
    for binding in bindings:
        assert ("ClusterRole", binding["roleRef"]["name"]) in made
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
        ]


def test_a_release_without_rows_is_reported_to_have_none() -> None:
    with pytest.raises(NotTested, match=r"Istio 1\.17\.8 brings no add-on loki"):
        the_addons("1.17.8").row("loki")
