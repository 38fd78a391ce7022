"""Patches of every style, server-side apply among them."""

import pytest

from fixtures.providers.embedded.apiserver.api import Api, StatusError
from fixtures.providers.embedded.apiserver.patches import merged, strategic
from tests.embedded.small import Body, in_a_loop
from tests.embedded.test_api_objects import a_deployment, a_map, an_api


def containers(deployment: Body) -> list[Body]:
    found: list[Body] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def in_template(**spec: object) -> Body:
    return {"spec": {"template": {"spec": spec}}}


def test_merge_takes_null_for_removal() -> None:
    assert merged({"a": 1, "b": {"c": 1}}, {"a": None, "b": {"d": 2}}) == {"b": {"c": 1, "d": 2}}


STRATEGIC: dict[str, tuple[Body, Body, Body]] = {
    "a list with a key is merged": (
        {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]},
        {"containers": [{"name": "a", "image": "2"}, {"name": "c"}]},
        {"containers": [{"name": "a", "image": "2"}, {"name": "b"}, {"name": "c"}]},
    ),
    "an item is deleted": (
        {"env": [{"name": "a"}, {"name": "b"}]},
        {"env": [{"name": "a", "$patch": "delete"}]},
        {"env": [{"name": "b"}]},
    ),
    "a list without a key is replaced": ({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}),
    "tolerations are replaced": (
        {"tolerations": [{"key": "a"}]},
        {"tolerations": [{"key": "b"}]},
        {"tolerations": [{"key": "b"}]},
    ),
    "the ports of a Service go by port": (
        {"ports": [{"port": 80, "nodePort": 1}]},
        {"ports": [{"port": 80, "name": "http"}]},
        {"ports": [{"port": 80, "nodePort": 1, "name": "http"}]},
    ),
    "only some keys are retained": (
        {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
        {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
        {"strategy": {"type": "Recreate"}},
    ),
    "values are taken from a set": (
        {"finalizers": ["a", "b"]},
        {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]},
        {"finalizers": ["b", "c"]},
    ),
    "the order is set": (
        {"volumes": [{"name": "a"}, {"name": "b"}]},
        {"$setElementOrder/volumes": [{"name": "b"}, {"name": "a"}]},
        {"volumes": [{"name": "b"}, {"name": "a"}]},
    ),
    "an object is replaced": (
        {"a": {"b": 1}},
        {"a": {"$patch": "replace", "c": 2}},
        {"a": {"c": 2}},
    ),
}


@pytest.mark.parametrize(("target", "patch", "wanted"), STRATEGIC.values(), ids=STRATEGIC.keys())
def test_strategic(target: Body, patch: Body, wanted: Body) -> None:
    assert strategic(target, patch) == wanted


@in_a_loop
async def test_a_json_patch_that_does_not_fit_is_refused() -> None:
    api = await an_api()
    await api.create("configmaps", a_map(k="v"), "here")
    steps = [{"op": "test", "path": "/data/k", "value": "w"}]
    with pytest.raises(StatusError) as refused:
        await api.patch("configmaps", "m", "here", steps, style="json")
    assert refused.value.code == 422
    assert refused.value.status["details"] == {}
    steps = [{"op": "add", "path": "/data/n", "value": "x"}, {"op": "remove", "path": "/data/k"}]
    done = await api.patch("configmaps", "m", "here", steps, style="json")
    assert done["data"] == {"n": "x"}


async def refused(api: Api, patch: Body, style: str) -> str:
    with pytest.raises(StatusError) as error:
        await api.patch(
            "deployments.apps",
            "web",
            "here",
            patch,
            style=style,  # type: ignore[arg-type]  # one of the literals, by the callers below
            field_validation="Strict",
        )
    assert error.value.code == 400
    return str(error.value)


@in_a_loop
async def test_a_patch_that_makes_no_deployment_is_shown_in_the_refusal() -> None:
    api = await an_api()
    await api.create("deployments.apps", a_deployment(), "here")
    text = await refused(api, {"spec": {"replica": 2}}, "strategic")
    assert text.endswith('strict decoding error: unknown field "spec.replica"')
    text = await refused(api, {"spec": {"replicas": "two"}}, "merge")
    assert text.endswith(
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas"
    )


# Server-side apply


async def apply(api: Api, data: Body) -> Body:
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data}
    return await api.patch("configmaps", "m", "here", wanted, style="apply")


@in_a_loop
async def test_an_apply_makes_and_then_changes() -> None:
    api = await an_api()
    await apply(api, {"a": "1", "b": "1"})
    assert (await apply(api, {"a": "2"}))["data"] == {"a": "2", "b": "1"}


@in_a_loop
async def test_apply_again_writes_nothing() -> None:
    api = await an_api()
    made = await apply(api, {"a": "1"})
    assert await apply(api, {"a": "1"}) is made


@in_a_loop
async def test_apply_merges_containers_by_name_and_leaves_those_of_others() -> None:
    api = await an_api()
    key = ("deployments.apps", "web", "here")
    await api.patch(*key, a_deployment(), style="apply")
    side = in_template(containers=[{"name": "side", "image": "shop/side:1"}])
    await api.patch(*key, side, style="strategic")
    done = await api.patch(*key, a_deployment(), style="apply")
    assert {one["name"] for one in containers(done)} == {"main", "side"}
