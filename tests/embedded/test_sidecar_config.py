"""What a sidecar is sent, against what a real istiod sent a real one."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.providers.embedded.dataplane.envoy import Config
from fixtures.providers.embedded.dataplane.mesh import Mesh, Proxy
from fixtures.providers.embedded.dataplane.sidecar_config import for_sidecar
from tests.embedded.small import recorded_mesh
from tests.recordings import ISTIO_1_29

Body = dict[str, Any]
NAME = "productpage"


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return recorded_mesh()


@pytest.fixture(scope="module")
def config(mesh: Mesh) -> Config:
    (pod,) = [one for key, one in mesh.pods.items() if key[1].startswith(NAME)]
    labels = pod["metadata"]["labels"]
    return for_sidecar(mesh, Proxy("bookinfons", labels, "10.0.0.1", "10.0.0.2", (9080,)))


def dumped(kind: str, items: str, *path: str) -> dict[str, Body]:
    dump = ISTIO_1_29.json("istio/sidecar-config_dump.json")
    (part,) = [one for one in dump["configs"] if one["@type"].endswith(f".{kind}")]
    found = {}
    for one in part[items]:
        body = one
        for step in path:
            body = body[step]
        found[body["name"]] = body
    return found


def test_its_listeners_have_the_names_of_a_real_sidecars(config: Config) -> None:
    real = dumped("ListenersConfigDump", "dynamic_listeners", "active_state", "listener")
    # The mesh of the dump had the tag's Service too, of which the state knows nothing else.
    assert {one["name"] for one in config.listeners} <= set(real)
    assert {"virtualInbound", "virtualOutbound", "0.0.0.0_9080"} <= {
        one["name"] for one in config.listeners
    }


def test_its_clusters_have_the_names_of_a_real_sidecars(config: Config) -> None:
    real = dumped("ClustersConfigDump", "dynamic_active_clusters", "cluster")
    ours = {one["name"] for one in config.clusters}
    assert set(real) - ours == {"InboundPassthroughCluster"}
    assert ours <= set(real)


def test_its_routes_are_those_of_a_real_sidecar(config: Config) -> None:
    real = dumped("RoutesConfigDump", "dynamic_route_configs", "route_config")
    ours = {one["name"]: one for one in config.routes}
    assert set(ours) == set(real)
    wanted = real["9080"]
    del wanted["@type"]
    for host in (*wanted["virtual_hosts"], *ours["9080"]["virtual_hosts"]):
        host["domains"] = [one for one in host["domains"] if not one.startswith("10.")]
    assert ours["9080"] == wanted


def test_mutual_tls_is_asked_of_others_as_by_a_real_sidecar(config: Config) -> None:
    name = "outbound|9080||reviews.bookinfons.svc.cluster.local"
    real = dumped("ClustersConfigDump", "dynamic_active_clusters", "cluster")[name]
    (ours,) = [one for one in config.clusters if one["name"] == name]
    assert without_sources(ours["transport_socket_matches"]) == without_sources(
        real["transport_socket_matches"]
    )


def test_a_port_is_entered_as_with_a_real_sidecar(config: Config) -> None:
    real = dumped("ListenersConfigDump", "dynamic_listeners", "active_state", "listener")
    (ours,) = [one for one in config.listeners if one["name"] == "virtualInbound"]

    def chains(listener: Body) -> list[Body]:
        return [
            without_sources(
                {key: one.get(key) for key in ("filter_chain_match", "transport_socket")}
            )
            for one in listener["filter_chains"]
            if one["name"] == "0.0.0.0_9080"
        ]

    assert chains(ours) == chains(real["virtualInbound"])
    assert ours["access_log"] == real["virtualInbound"]["access_log"]


def without_sources(body: Any) -> Any:
    """Without where secrets are to be had, which here is another server."""
    if isinstance(body, dict):
        return {key: without_sources(one) for key, one in body.items() if key != "sds_config"}
    return [without_sources(one) for one in body] if isinstance(body, list) else body
