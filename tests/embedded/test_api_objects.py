"""One object's life behind the one write path: made, changed, watched, ended."""

import socket

import pytest

from fixtures.providers.embedded.apiserver import builtin
from fixtures.providers.embedded.apiserver.api import Api, StatusError, clone
from tests.embedded.small import Body, in_a_loop


async def an_api() -> Api:
    api = Api()
    await api.create("namespaces", {"metadata": {"name": "here"}})
    await api.create("serviceaccounts", {"metadata": {"name": "default"}}, "here")
    return api


def a_map(**data: str) -> Body:
    return {"metadata": {"name": "m"}, "data": data}


def a_pod(**spec: object) -> Body:
    container = {"name": "main", "image": "shop/web:1"}
    return {"metadata": {"name": "p"}, "spec": {"containers": [container], **spec}}


def a_deployment(**spec: object) -> Body:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": a_pod()["spec"]}
    wanted = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"metadata": {"name": "web"}, "spec": wanted}


@in_a_loop
async def test_a_new_object_is_given_what_the_server_gives() -> None:
    api = await an_api()
    made = await api.create("configmaps", a_map(k="v"), "here")
    assert made["kind"] == "ConfigMap"
    assert made["apiVersion"] == "v1"
    assert made["metadata"].keys() >= {"uid", "resourceVersion", "creationTimestamp"}
    assert made["metadata"]["namespace"] == "here"
    assert api.get("configmaps", "m", "here") is made


@in_a_loop
async def test_names_are_generated_and_differ() -> None:
    api = await an_api()
    names = set()
    for _ in range(20):
        made = await api.create("configmaps", {"metadata": {"generateName": "g-"}}, "here")
        names.add(made["metadata"]["name"])
    assert len(names) == 20
    assert all(name.startswith("g-") and len(name) == 7 for name in names)


@in_a_loop
async def test_refusals_are_worded_as_the_real_server_words_them() -> None:
    api = await an_api()
    await api.create("configmaps", a_map(), "here")
    with pytest.raises(StatusError) as twice:
        await api.create("configmaps", a_map(), "here")
    assert str(twice.value) == 'configmaps "m" already exists'
    with pytest.raises(StatusError) as missing:
        api.get("deployments.apps", "none", "here")
    assert missing.value.status["message"] == 'deployments.apps "none" not found'
    assert missing.value.status["details"] == {
        "name": "none",
        "group": "apps",
        "kind": "deployments",
    }
    with pytest.raises(StatusError) as nowhere:
        await api.create("configmaps", a_map(), "nowhere")
    assert str(nowhere.value) == 'namespaces "nowhere" not found'


@in_a_loop
async def test_a_stale_update_is_refused_and_one_without_version_is_not() -> None:
    api = await an_api()
    first = await api.create("configmaps", a_map(k="1"), "here")
    await api.update("configmaps", clone(first) | {"data": {"k": "2"}})
    with pytest.raises(StatusError) as stale:
        await api.update("configmaps", clone(first) | {"data": {"k": "3"}})
    assert stale.value.code == 409
    assert "the object has been modified" in str(stale.value)
    free = {"metadata": {"name": "m", "namespace": "here"}, "data": {"k": "4"}}
    last = await api.update("configmaps", free)
    assert last["data"] == {"k": "4"}
    assert last["metadata"]["uid"] == first["metadata"]["uid"]


@in_a_loop
async def test_an_update_that_changes_nothing_writes_nothing() -> None:
    api = await an_api()
    made = await api.create("configmaps", a_map(k="v"), "here")
    assert await api.update("configmaps", clone(made)) is made


@in_a_loop
async def test_status_and_spec_are_written_apart() -> None:
    api = await an_api()
    made = await api.create("deployments.apps", a_deployment(), "here")
    assert made["status"] == {}
    wanted = clone(made) | {"status": {"replicas": 9}}
    wanted["spec"]["replicas"] = 2
    reported = await api.update("deployments.apps", wanted, subresource="status")
    assert (reported["spec"]["replicas"], reported["status"]) == (1, {"replicas": 9})
    assert reported["metadata"]["generation"] == 1
    wanted = clone(reported) | {"status": {}}
    wanted["spec"]["replicas"] = 2
    scaled = await api.update("deployments.apps", wanted)
    assert (scaled["spec"]["replicas"], scaled["status"]) == (2, {"replicas": 9})
    assert scaled["metadata"]["generation"] == 2


@in_a_loop
async def test_a_dry_run_leaves_nothing() -> None:
    api = await an_api()
    before = api.store.version
    made = await api.create("configmaps", a_map(), "here", dry_run=True)
    assert made["metadata"]["uid"]
    assert api.find("configmaps", "m", "here") is None
    assert api.store.version == before


@in_a_loop
async def test_a_pod_on_a_node_ends_after_its_grace_and_another_at_once() -> None:
    api = await an_api()
    await api.create("pods", a_pod(), "here")
    gone = await api.delete("pods", "p", "here")
    assert "deletionTimestamp" not in gone["metadata"]
    assert api.find("pods", "p", "here") is None
    await api.create("pods", a_pod(nodeName="n", terminationGracePeriodSeconds=7), "here")
    dying = await api.delete("pods", "p", "here")
    assert dying["metadata"]["deletionGracePeriodSeconds"] == 7
    assert await api.delete("pods", "p", "here") is dying
    await api.delete("pods", "p", "here", grace=0)
    assert api.find("pods", "p", "here") is None


@in_a_loop
async def test_finalizers_hold_an_object_until_the_last_is_gone() -> None:
    api = await an_api()
    held = a_map()
    held["metadata"]["finalizers"] = ["shop.example/hold"]
    await api.create("configmaps", held, "here")
    waiting = await api.delete("configmaps", "m", "here")
    assert waiting["metadata"]["deletionTimestamp"]
    await api.patch("configmaps", "m", "here", {"metadata": {"finalizers": None}})
    assert api.find("configmaps", "m", "here") is None


@in_a_loop
async def test_a_namespace_goes_when_its_finalizer_is_taken() -> None:
    api = await an_api()
    dying = await api.delete("namespaces", "here")
    assert dying["status"]["phase"] == "Terminating"
    with pytest.raises(StatusError) as refused:
        await api.create("configmaps", a_map(), "here")
    assert refused.value.code == 403
    assert "because it is being terminated" in str(refused.value)
    done = clone(dying)
    done["spec"]["finalizers"] = []
    await api.update("namespaces", done, subresource="finalize")
    assert api.find("namespaces", "here") is None


@in_a_loop
async def test_preconditions_hold_a_deletion_back() -> None:
    api = await an_api()
    await api.create("configmaps", a_map(), "here")
    with pytest.raises(StatusError) as refused:
        await api.delete("configmaps", "m", "here", preconditions={"uid": "other"})
    text = (
        'Operation cannot be fulfilled on ConfigMap "m": the precondition uid other does not match'
    )
    assert str(refused.value).startswith(text)


@in_a_loop
async def test_a_write_cannot_make_another_object_of_this_one() -> None:
    api = await an_api()
    made = await api.create("configmaps", a_map(), "here")
    for meta, words in (
        ({"name": "n"}, 'metadata.name: Invalid value: "n": field is immutable'),
        ({"namespace": "there"}, "the namespace of the provided object does not match"),
        ({"uid": "1"}, "the object has been modified"),
    ):
        with pytest.raises(StatusError, match=words):
            await api.patch("configmaps", "m", "here", {"metadata": meta})
    assert api.list("configmaps", "here") == [made]


@in_a_loop
async def test_a_watch_begins_with_what_is_there_and_reports_the_rest() -> None:
    api = await an_api()
    made = await api.create("configmaps", a_map(k="1"), "here")
    with api.watch("configmaps") as events:
        changed = await api.patch("configmaps", "m", "here", {"data": {"k": "2"}})
        await api.delete("configmaps", "m", "here")
        entries = [events.get_nowait() for _ in range(events.qsize())]
    assert [event.type for event in entries] == ["ADDED", "MODIFIED", "DELETED"]
    assert entries[0].object is made
    assert entries[1].object is changed
    assert entries[2].object["data"] == {"k": "2"}


@in_a_loop
async def test_a_repeated_event_is_counted() -> None:
    api = await an_api()
    pod = await api.create("pods", a_pod(), "here")
    for _ in range(3):
        await api.event(pod, "Pulled", "it is here", component="kubelet")
    (event,) = api.list("events", "here")
    assert event["count"] == 3
    assert event["involvedObject"]["name"] == "p"


@in_a_loop
async def test_a_pod_is_given_an_account_its_token_and_tolerations() -> None:
    api = await an_api()
    pod = await api.create("pods", a_pod(), "here")
    spec = pod["spec"]
    (mount,) = spec["containers"][0]["volumeMounts"]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert mount["name"] == spec["volumes"][0]["name"]
    assert spec["serviceAccountName"] == "default"
    assert [one["tolerationSeconds"] for one in spec["tolerations"]] == [300, 300]
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    with pytest.raises(StatusError) as refused:
        await api.create("pods", a_pod(serviceAccountName="nobody"), "here", dry_run=True)
    assert 'serviceaccount "nobody" not found' in str(refused.value)


@in_a_loop
async def test_quantities_are_written_in_their_shortest_form() -> None:
    api = await an_api()
    pod = a_pod()
    limits = {"cpu": "2000m", "memory": "1024Mi"}
    pod["spec"]["containers"][0]["resources"] = {"limits": limits}
    made = await api.create("pods", pod, "here")
    short = {"cpu": "2", "memory": "1Gi"}
    assert made["spec"]["containers"][0]["resources"] == {"limits": short, "requests": short}
    assert made["status"]["qosClass"] == "Guaranteed"


@in_a_loop
async def test_a_port_at_which_this_machine_listens_is_no_node_port() -> None:
    spec = {"type": "NodePort", "ports": [{"port": 80}]}
    with socket.create_server(("0.0.0.0", 0)) as server, pytest.MonkeyPatch.context() as patch:
        used: int = server.getsockname()[1]
        patch.setattr(builtin, "NODE_PORTS", range(used, used + 20))
        api = Api(service_network="127.9.96.0/24")
        await api.create("namespaces", {"metadata": {"name": "here"}})
        made = await api.create("services", {"metadata": {"name": "one"}, "spec": spec}, "here")
        patch.setattr(builtin, "NODE_PORTS", range(used, used + 1))
        with pytest.raises(StatusError, match="a nodePort: range is full") as e:
            await api.create("services", {"metadata": {"name": "two"}, "spec": spec}, "here")
        assert str(e.value.__cause__) == f"no port of {used} to {used} is free for a NodePort"
    assert made["spec"]["ports"][0]["nodePort"] in range(used + 1, used + 20)


@in_a_loop
async def test_services_get_addresses_and_node_ports_that_no_other_has() -> None:
    api = Api(service_network="127.9.96.0/24")
    await api.create("namespaces", {"metadata": {"name": "here"}})
    made = []
    for name in ("one", "two"):
        spec = {"type": "NodePort", "ports": [{"port": 80}]}
        made.append(
            await api.create("services", {"metadata": {"name": name}, "spec": spec}, "here")
        )
    addresses = {service["spec"]["clusterIP"] for service in made}
    ports = {service["spec"]["ports"][0]["nodePort"] for service in made}
    assert len(addresses) == len(ports) == 2
    assert all(address.startswith("127.9.96.") for address in addresses)
    wanted = {"type": "NodePort", "ports": [{"port": 80, "nodePort": min(ports)}]}
    with pytest.raises(StatusError) as taken:
        await api.create("services", {"metadata": {"name": "three"}, "spec": wanted}, "here")
    assert "provided port is already allocated" in str(taken.value)
