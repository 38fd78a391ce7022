"""The sample, its gateway and the add-ons, against what each release ships as samples."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fixtures.istio.releases import addons, bookinfo, expected, gateway, gateway_api
from fixtures.istio.releases.rows import all_for, one_for
from fixtures.k8s import Body
from fixtures.setup.manifests import filled
from fixtures.setup.sample import documents
from tests.judge import upstream

EACH = pytest.mark.parametrize("version", upstream.VERSIONS)
# Before the end of any registry that a release names.
THEN = date(2026, 9, 1)
PREFIXES = {"prom": "docker.io/prom", "grafana": "docker.io/grafana"}


def ours(version: str) -> list[Body]:
    return documents(expected(version, "1.34", ["1.34"], day=THEN))


def by_name(bodies: list[Body]) -> dict[tuple[str, str], Body]:
    return {(body["kind"], body["metadata"]["name"]): body for body in bodies}


def ports(service: Body) -> list[tuple[str, int, Any]]:
    return [
        (p["name"], p["port"], p.get("targetPort", p["port"])) for p in service["spec"]["ports"]
    ]


@EACH
def test_the_sample_is_made_of_the_same_objects(version: str) -> None:
    theirs = by_name(upstream.documents(version, "bookinfo.yaml"))
    assert set(by_name(ours(version))) == set(theirs)


@EACH
def test_the_samples_services_are_the_same(version: str) -> None:
    mine = by_name(ours(version))
    for name, theirs in by_name(upstream.documents(version, "bookinfo.yaml")).items():
        if theirs["kind"] == "Service":
            assert ports(mine[name]) == ports(theirs)
            assert mine[name]["spec"]["selector"] == theirs["spec"]["selector"]


@EACH
def test_the_samples_pods_run_the_same_images(version: str) -> None:
    mine = by_name(ours(version))
    for name, theirs in by_name(upstream.documents(version, "bookinfo.yaml")).items():
        if theirs["kind"] != "Deployment":
            continue
        templates = (mine[name]["spec"]["template"], theirs["spec"]["template"])
        one, other = (
            [(c["name"], c["image"], c["ports"]) for c in t["spec"]["containers"]]
            for t in templates
        )
        assert one == other
        assert templates[0]["metadata"]["labels"] == templates[1]["metadata"]["labels"]


@EACH
def test_the_way_in_is_the_same(version: str) -> None:
    values = {
        "GATEWAY_API_VERSION": one_for(gateway.API_VERSIONS, version),
        "GATEWAY_PORT": str(one_for(gateway.PORTS, version)),
        "HOST": "*",
    }
    mine = filled("bookinfo-gateway.yaml", values)
    theirs = upstream.documents(version, "bookinfo-gateway.yaml")
    wanted = [(b["apiVersion"], b["kind"], b["metadata"]["name"], b["spec"]) for b in theirs]
    assert [(b["apiVersion"], b["kind"], b["metadata"]["name"], b["spec"]) for b in mine] == wanted


@EACH
def test_the_gateway_apis_variant_is_there_since_the_release_that_brought_it(version: str) -> None:
    there = (upstream.path(version) / "bookinfo-gateway-api.yaml").exists()
    found = all_for(gateway_api.VARIANTS, version)
    assert bool(found) == there
    if there:
        bodies = upstream.documents(version, "bookinfo-gateway-api.yaml")
        mine = filled(
            "bookinfo-gateway-api.yaml", {"API_VERSION": found[0], "SERVICE_TYPE": "ClusterIP"}
        )
        wanted = [(b["apiVersion"], b["kind"], b["metadata"]["name"], b["spec"]) for b in bodies]
        assert [
            (b["apiVersion"], b["kind"], b["metadata"]["name"], b["spec"]) for b in mine
        ] == wanted


def addon_files() -> list[tuple[str, str]]:
    return [(v, row.id) for v in upstream.VERSIONS for row in addons.ADDONS if row.holds(v)]


@EACH
def test_a_release_brings_the_expected_add_ons(version: str) -> None:
    files = {path.stem for path in (upstream.path(version) / "addons").glob("*.yaml")}
    assert {row.id for row in addons.ADDONS if row.holds(version)} == files


@pytest.mark.parametrize(("version", "name"), addon_files())
def test_an_add_ons_image_health_and_ports_are_the_same(version: str, name: str) -> None:
    bodies = upstream.documents(version, "addons", f"{name}.yaml")
    row = one_for([r for r in addons.ADDONS if r.id == name], version)
    (workload,) = (b for b in bodies if b["kind"] in {"Deployment", "StatefulSet"})
    assert workload["metadata"]["name"] == row.deployment
    containers = {c["name"]: c for c in workload["spec"]["template"]["spec"]["containers"]}
    theirs = containers[row.container]
    first, _, rest = theirs["image"].partition("/")
    image = f"{PREFIXES.get(first, first)}/{rest}"
    assert dict(all_for(addons.IMAGES, version))[name] == image
    probe = theirs["readinessProbe"]["httpGet"]
    named = {p.get("name"): p["containerPort"] for p in theirs.get("ports", ())}
    assert (named.get(probe["port"], probe["port"]), probe["path"]) == (row.port, row.path)
    services = {b["metadata"]["name"]: b for b in bodies if b["kind"] == "Service"}
    assert set(services) == {table.name for table in row.services}
    for table in row.services:
        mine = {(port.name, port.port) for port in table.ports}
        assert {(p["name"], p["port"]) for p in services[table.name]["spec"]["ports"]} <= mine


@EACH
def test_the_page_marks_follow_the_images_tag(version: str) -> None:
    redesigned = tuple(map(int, one_for(bookinfo.TAGS, version).split("."))) >= (1, 20)
    paths = {row.value.path for row in gateway.ROUTES if row.holds(version)}
    assert ("/static/tailwind/tailwind.css" in paths) == redesigned
    assert ("/static/bootstrap/css/bootstrap.min.css" in paths) != redesigned
