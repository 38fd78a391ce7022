"""DaemonSets over a real API in memory: which nodes they serve, and how they roll out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fixtures.providers.embedded.apiserver.printers import table
from tests.embedded.small import NAMESPACE, Body, Small, in_a_loop, small
from tests.recordings import state_of

KIND = "daemonsets.apps"
NODE = "seatrial-control-plane"
COUNTS = (
    *("desiredNumberScheduled", "currentNumberScheduled", "numberReady"),
    *("updatedNumberScheduled", "numberAvailable"),
)


def daemon(**spec: Any) -> Body:
    """A DaemonSet whose pods are nothing but shown."""
    labels = {"app": "agent"}
    waits = {"name": "agent", "image": "registry.k8s.io/pause:3.10"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [waits], **spec}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def status(home: Small) -> Body:
    body = home.api.get(KIND, "agent", NAMESPACE)
    reported: Body = body.get("status") or {}
    seen = reported.get("observedGeneration") == body["metadata"]["generation"]
    return reported if seen else {}


async def everywhere(home: Small) -> Body:
    """The only pod, once the last change is rolled out."""

    def done() -> list[Body]:
        whole = {status(home).get(one, 0) for one in COUNTS} == {1}
        return home.ready_pods("app=agent") if whole and len(home.pods("app=agent")) == 1 else []

    found: list[Body] = await home.until(done)
    return found[0]


async def change(home: Small, template: Body) -> None:
    patch = {"spec": {"template": template}}
    await home.api.patch(KIND, "agent", NAMESPACE, patch)


def image(tag: str) -> Body:
    waits = {"name": "agent", "image": f"registry.k8s.io/pause:{tag}"}
    return {"spec": {"containers": [waits]}}


@in_a_loop
async def test_each_node_gets_a_pod_and_the_status_counts_it(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(daemon())
        pod = await everywhere(home)
        assert pod["spec"]["nodeName"] == NODE
        assert status(home) == dict.fromkeys(COUNTS, 1) | {
            "numberMisscheduled": 0,
            "observedGeneration": 1,
        }
        assert home.events("SuccessfulCreate") == [f"Created pod: {pod['metadata']['name']}"]
        cells = table(KIND, [home.api.get(KIND, "agent", NAMESPACE)])["rows"][0]["cells"]
        assert cells[:7] == ["agent", 1, 1, 1, 1, 1, "<none>"]


@in_a_loop
async def test_the_pod_is_made_as_a_real_controller_makes_it(tmp_path: Path) -> None:
    real = state_of("1-fresh-cluster")
    [theirs] = [p for p in real["v1/pods"] if p["metadata"]["name"].startswith("kube-proxy-")]
    async with small(tmp_path) as home:

        def proxy() -> Body | None:
            found = home.api.list("pods", "kube-system", labels="k8s-app=kube-proxy")
            return found[0] if found and found[0]["spec"].get("nodeName") else None

        ours = await home.until(proxy)
    for path in ("affinity", "tolerations", "priority", "nodeName"):
        assert ours["spec"][path] == theirs["spec"][path]
    assert ours["metadata"]["labels"].keys() == theirs["metadata"]["labels"].keys()
    [mine], [owner] = (one["metadata"]["ownerReferences"] for one in (ours, theirs))
    assert mine | {"uid": ""} == owner | {"uid": ""}


@in_a_loop
async def test_a_deleted_pod_is_followed_by_another_once_it_is_gone(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(daemon())
        first = await everywhere(home)
        await home.api.delete("pods", first["metadata"]["name"], NAMESPACE)
        await home.until(lambda: first["metadata"]["uid"] not in uids(home))
        second = await everywhere(home)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


def uids(home: Small) -> set[str]:
    return {pod["metadata"]["uid"] for pod in home.pods("app=agent")}


@in_a_loop
async def test_a_new_template_is_rolled_out_and_can_be_taken_back(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(daemon())
        first = await everywhere(home)
        await change(home, image("3.9"))
        second = await everywhere(home)
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        assert second["spec"]["containers"][0]["image"].endswith(":3.9")
        assert second["metadata"]["labels"]["pod-template-generation"] == "2"
        await change(home, image("3.10"))
        third = await everywhere(home)
    hashes = [pod["metadata"]["labels"]["controller-revision-hash"] for pod in (first, third)]
    assert hashes[0] == hashes[1]


@in_a_loop
async def test_a_pod_that_cannot_start_shows_in_the_counts(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(daemon())
        await everywhere(home)
        await change(home, {"spec": {"containers": [{"name": "agent", "image": "nobody/has:it"}]}})
        await home.until(lambda: status(home).get("numberUnavailable"))
        await home.until(lambda: status(home).get("updatedNumberScheduled"))
        reported = status(home)
        # The one that cannot start stands in nobody's way.
        await change(home, image("3.9"))
        await everywhere(home)
    assert (reported["desiredNumberScheduled"], reported["numberReady"]) == (1, 0)


@in_a_loop
async def test_on_delete_leaves_old_pods_alone(tmp_path: Path) -> None:
    body = daemon()
    body["spec"]["updateStrategy"] = {"type": "OnDelete"}
    async with small(tmp_path) as home:
        await home.apply(body)
        first = await everywhere(home)
        await change(home, image("3.9"))
        await home.until(lambda: status(home) and "updatedNumberScheduled" not in status(home))
        assert uids(home) == {first["metadata"]["uid"]}
        await home.api.delete("pods", first["metadata"]["name"], NAMESPACE)
        await everywhere(home)


@in_a_loop
async def test_a_node_selector_that_nothing_meets_takes_the_pod_away(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(daemon())
        await everywhere(home)
        await change(home, {"spec": {"nodeSelector": {"disk": "ssd"}}})
        await home.until(lambda: not home.pods("app=agent"))
        await home.until(lambda: status(home).get("desiredNumberScheduled") == 0)
        assert home.events("SuccessfulDelete")
        await home.api.patch("nodes", NODE, "", {"metadata": {"labels": {"disk": "ssd"}}})
        await everywhere(home)


@in_a_loop
async def test_its_pods_go_with_it(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(daemon())
        await everywhere(home)
        await home.api.delete(KIND, "agent", NAMESPACE)
        await home.until(lambda: not home.pods("app=agent"))


@in_a_loop
async def test_a_refused_pod_is_reported_and_tried_again(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        await home.apply(daemon(serviceAccountName="late"))
        [reported] = await home.until(lambda: home.events("FailedCreate"))
        assert 'serviceaccount "late" not found' in reported
        await home.api.create("serviceaccounts", {"metadata": {"name": "late"}}, NAMESPACE)
        await everywhere(home)
