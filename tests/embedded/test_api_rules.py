"""What is refused and in which words: selectors, fields, types, names, rules of kinds, schemas."""

from typing import Any

import pytest

from fixtures.providers.embedded.apiserver.api import Api, StatusError
from fixtures.providers.embedded.apiserver.defaults import canonical
from fixtures.providers.embedded.apiserver.resources import Registry
from fixtures.providers.embedded.apiserver.selectors import fields_test, labels_test
from tests.embedded.small import Body, in_a_loop
from tests.embedded.test_api_objects import a_deployment, a_pod, an_api
from tests.golden import Golden

LABELS = {"app": "web", "tier": "3"}


@pytest.mark.parametrize(
    ("selector", "met"),
    [
        ("app=web", True),
        ("app==web,tier!=4", True),
        ("app!=web", False),
        ("app in (web, api)", True),
        ("app notin (web)", False),
        ("other notin (web)", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("app=", False),
    ],
)
def test_label_selectors(selector: str, met: bool) -> None:  # noqa: FBT001 - a value of the table
    test = labels_test(selector)
    assert test
    assert test(LABELS) is met


def test_an_empty_selector_is_met_by_all() -> None:
    assert labels_test("") is None


@pytest.mark.parametrize("selector", ["a=b=c,,", "a=b,,", "=a", "a b", "a in b", "!a=b"])
def test_selectors_that_cannot_be_read(selector: str) -> None:
    with pytest.raises(StatusError, match="unable to parse requirement: found '") as refused:
        labels_test(selector)
    assert refused.value.code == 400


def test_field_selectors_know_a_kinds_own_fields() -> None:
    registry = Registry()
    pods, deployments = registry.get("pods"), registry.get("deployments.apps")
    assert pods
    assert deployments
    test = fields_test(pods, "status.phase=Running,metadata.name!=b")
    assert test
    assert test({"metadata": {"name": "a"}, "status": {"phase": "Running"}})
    assert not test({"metadata": {"name": "b"}, "status": {"phase": "Running"}})
    with pytest.raises(StatusError, match=r"^field label not supported: spec\.nope$"):
        fields_test(pods, "spec.nope=1")
    with pytest.raises(StatusError, match="is not a known field selector"):
        fields_test(deployments, "spec.replicas=1")


@pytest.mark.parametrize(
    ("given", "short"),
    [("2000m", "2"), ("1500m", "1500m"), ("1024Mi", "1Gi"), ("0.5", "500m"), (1, "1"), ("0", "0")],
)
def test_quantities(given: Any, short: str) -> None:
    assert canonical(given) == short


async def words_of(api: Api, kind: str, body: Body, **how: Any) -> str:
    with pytest.raises(StatusError) as refused:
        await api.create(kind, body, None if kind == "namespaces" else "here", dry_run=True, **how)
    return str(refused.value)


@in_a_loop
async def test_unknown_fields_are_refused_reported_or_dropped(golden: Golden) -> None:
    api = await an_api()
    pod = a_pod()
    pod["spec"]["containers"][0]["colour"] = "red"
    golden(await words_of(api, "pods", pod, field_validation="Strict"))
    warnings: list[str] = []
    made = await api.create("pods", pod, "here", field_validation="Warn", warnings=warnings)
    assert warnings == ['unknown field "spec.containers[0].colour"']
    assert "colour" not in made["spec"]["containers"][0]


WRONG_TYPES: dict[str, tuple[Body, str]] = {
    "text for a list": (
        {"spec": {"containers": "oops"}},
        "string into Go struct field PodSpec.spec.containers",
    ),
    "a number for a label": (
        {"metadata": {"name": "p", "labels": {"a": 1}}},
        "number into Go struct field ObjectMeta.metadata.labels",
    ),
    "text for a port": (
        {"spec": {"containers": [{"ports": [{"containerPort": "http"}]}]}},
        ("string into Go struct field ContainerPort.spec.containers.ports.containerPort"),
    ),
}


@pytest.mark.parametrize(("body", "words"), WRONG_TYPES.values(), ids=WRONG_TYPES.keys())
def test_wrong_types(body: Body, words: str) -> None:
    @in_a_loop
    async def check() -> None:
        text = await words_of(await an_api(), "pods", body, field_validation="Warn")
        assert text.endswith(f"cannot be handled as a Pod: json: cannot unmarshal {words}")

    check()


def with_container(**fields: Any) -> Body:
    pod = a_pod()
    pod["spec"]["containers"][0] |= fields
    return pod


INVALID: dict[str, tuple[str, Body, str]] = {
    "no name": (
        "configmaps",
        {},
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
    ),
    "no containers": (
        "pods",
        {"metadata": {"name": "p"}, "spec": {}},
        'Pod "p" is invalid: spec.containers: Required value',
    ),
    "a container without a name": (
        "pods",
        {"metadata": {"name": "p"}, "spec": {"containers": [{"image": "shop/web:1"}]}},
        'Pod "p" is invalid: spec.containers[0].name: Required value',
    ),
    "a selector that does not fit": (
        "deployments.apps",
        a_deployment(selector={"matchLabels": {"a": "b"}}),
        (
            'Deployment.apps "web" is invalid: spec.template.metadata.labels: Invalid value: '
            '{"app":"web"}: `selector` does not match template `labels`'
        ),
    ),
}


@pytest.mark.parametrize(("kind", "body", "words"), INVALID.values(), ids=INVALID.keys())
def test_what_is_invalid(kind: str, body: Body, words: str) -> None:
    @in_a_loop
    async def check() -> None:
        text = await words_of(await an_api(), kind, body, field_validation="Warn")
        assert text == words

    check()


@in_a_loop
async def test_a_bad_namespace_name_is_reported_twice_as_it_is_a_label_too() -> None:
    api = await an_api()
    text = await words_of(api, "namespaces", {"metadata": {"name": "Not OK"}})
    assert text.startswith(
        'Namespace "Not OK" is invalid: [metadata.name: Invalid value: "Not OK"'
    )
    assert ', metadata.labels: Invalid value: "Not OK": a valid label must be' in text


@pytest.mark.parametrize(
    ("kind", "name", "spec"),
    [("pods", "p", {"nodeName": "x"}), ("nodes", "n", {"unschedulable": True})],
)
@in_a_loop
async def test_a_specification_that_nothing_would_act_on_cannot_change(
    kind: str, name: str, spec: Body
) -> None:
    api = await an_api()
    await api.create("pods", a_pod(nodeName="n"), "here")
    await api.create("nodes", {"metadata": {"name": "n"}, "spec": {}})
    with pytest.raises(StatusError, match="not offered by the embedded cluster"):
        await api.patch(kind, name, "here" if kind == "pods" else None, {"spec": spec})


@in_a_loop
async def test_a_selector_cannot_change() -> None:
    api = await an_api()
    await api.create("deployments.apps", a_deployment(), "here")
    other = {"matchLabels": {"app": "web", "more": "x"}}
    template = {"metadata": {"labels": other["matchLabels"]}}
    patch = {"spec": {"selector": other, "template": template}}
    with pytest.raises(StatusError, match="field is immutable"):
        await api.patch("deployments.apps", "web", "here", patch)


# Definitions


def a_definition() -> Body:
    rule = {
        "type": "object",
        "required": ["host"],
        "properties": {
            "host": {"type": "string", "minLength": 1},
            "mode": {"type": "string", "enum": ["ON", "OFF"]},
            "weight": {"type": "integer", "minimum": 0},
            "names": {"type": "array", "items": {"type": "string"}},
            "retries": {"type": "integer", "default": 2},
            "exact": {"type": "string"},
            "prefix": {"type": "string"},
        },
        "oneOf": [{"not": {"required": ["exact", "prefix"]}}],
        "x-kubernetes-validations": [{"rule": "true"}],
    }
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": rule}}}
    names = {"plural": "rules", "kind": "Rule", "shortNames": ["rl"]}
    versions = [
        {"name": name, "served": True, "storage": name == "v1", "schema": schema}
        for name in ("v1beta1", "v1")
    ]
    spec = {"group": "shop.example", "scope": "Namespaced", "names": names, "versions": versions}
    return {"metadata": {"name": "rules.shop.example"}, "spec": spec}


def a_rule(**spec: Any) -> Body:
    return {"metadata": {"name": "r"}, "spec": spec}


NOT_CHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was "
    "invalid; correct the existing errors to complete validation"
)
BROKEN: dict[str, tuple[Body, str]] = {
    "missing": ({}, f"[spec.host: Required value, {NOT_CHECKED}]"),
    "wrong type": (
        {"host": "h", "names": "n"},
        (
            '[spec.names: Invalid value: "string": spec.names in body must be of type array: '
            f'"string", {NOT_CHECKED}]'
        ),
    ),
    "none of the set": (
        {"host": "h", "mode": "MAYBE"},
        '[spec.mode: Unsupported value: "MAYBE": supported values: "ON", "OFF", '
        + NOT_CHECKED
        + "]",
    ),
}


@pytest.mark.parametrize(("spec", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_objects_that_break_their_definition(spec: Body, words: str) -> None:
    @in_a_loop
    async def check() -> None:
        api = await an_api()
        await api.create("customresourcedefinitions.apiextensions.k8s.io", a_definition())
        text = await words_of(api, "rules.shop.example", a_rule(**spec))
        assert text == f'Rule.shop.example "r" is invalid: {words}'

    check()


@in_a_loop
async def test_an_apply_replaces_the_lists_of_a_kind_that_a_definition_brings() -> None:
    api = await an_api()
    await api.create("customresourcedefinitions.apiextensions.k8s.io", a_definition())
    key = ("rules.shop.example", "r", "here")
    for version, names in (("v1", ["a", "b"]), ("v1beta1", ["c"])):
        wanted = {"apiVersion": f"shop.example/{version}", "kind": "Rule"}
        wanted |= a_rule(host="a", names=names)
        done = await api.patch(*key, wanted, style="apply")
    assert (done["spec"]["names"], done["apiVersion"]) == (["c"], "shop.example/v1")


@in_a_loop
async def test_a_definition_brings_its_kind_and_takes_it_away() -> None:
    api = await an_api()
    key = "customresourcedefinitions.apiextensions.k8s.io"
    crd = await api.create(key, a_definition())
    assert {one["type"]: one["status"] for one in crd["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert crd["status"]["storedVersions"] == ["v1"]
    made = await api.create("rules.shop.example", a_rule(host="h", unknown=1), "here")
    assert made["spec"] == {"host": "h", "retries": 2}
    assert made["apiVersion"] == "shop.example/v1"
    info = api.registry.at("shop.example", "v1beta1", "rules")
    assert info
    assert info.versions == ("v1", "v1beta1")
    await api.delete(key, "rules.shop.example")
    with pytest.raises(StatusError):
        api.list("rules.shop.example")
