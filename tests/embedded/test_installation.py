"""Which installations of Istio the embedded cluster simulates, and how its files say so."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.providers.embedded.istio.install import objects
from fixtures.providers.embedded.istio.installation import (
    CannotSimulate,
    Installation,
    chosen,
    facts,
    installation,
)

Body = dict[str, Any]


def _named(of: Installation, kind: str) -> dict[str, Body]:
    return {
        body["metadata"]["name"]: body for _, body in objects(of) if body["kind"].startswith(kind)
    }


@pytest.mark.parametrize(
    ("version", "kept"),
    [("1.19.10", "old"), ("1.20.0", "new"), ("1.20.8-rc.1", "new"), ("1.31.0", "newest")],
)
def test_a_key_holds_since_and_before_a_version(version: str, kept: str) -> None:
    fields = {"it": "old", "it since 1.20": "new", "it since 1.20 before 1.13": "never"}
    fields["it since 1.30.1"] = "newest"
    assert chosen(fields, installation(version)) == {"it": kept}


def test_an_item_of_a_list_holds_where_its_condition_does() -> None:
    entries = ["always", {"only": "with cni", "is": "cni"}, {"only": "since 1.20", "all": [1, 2]}]
    entries.append({"only": "with helm", "name": "helm"})
    assert chosen(entries, installation("1.13.1", "helm")) == ["always", {"name": "helm"}]
    agent = installation("1.31.0", settings=["components.cni.enabled=true"])
    assert chosen(entries, agent) == ["always", "cni", 1, 2]


def test_a_condition_that_says_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"no condition: sinse 1\.20"):
        chosen({"it sinse 1.20": 1}, installation("1.31.0"))


@pytest.mark.parametrize("minor", range(13, 33))
def test_every_minor_is_simulated_in_full(minor: int) -> None:
    of = installation(f"1.{minor}.0")
    made = objects(of)
    assert set(_named(of, "Deployment")) == {
        *("istiod", "istio-ingressgateway", "istio-egressgateway"),
    }
    names = [(kind, body["metadata"]["name"]) for kind, body in made]
    assert len(names) == len(set(names))
    assert not [name for kind, name in names if "$" in name]


@pytest.mark.parametrize("version", ["1.12.9", "2.0.0", "latest"])
def test_what_is_no_istio_of_the_table_is_refused_with_the_oldest(version: str) -> None:
    with pytest.raises(LookupError, match=rf"Istio {version}, only 1\.13\.0 and later"):
        installation(version)


def test_a_minor_version_stands_for_its_first_release() -> None:
    assert installation("1.31") == installation("1.31.0")


@pytest.mark.parametrize("setting", ["profile=minimal", "components.cni.enabled=maybe", "a.b=c"])
def test_a_setting_that_is_not_simulated_is_refused_with_those_that_are(setting: str) -> None:
    with pytest.raises(
        CannotSimulate, match=r"components\.egressGateways\[0\]\.enabled"
    ) as refused:
        installation("1.31.0", settings=[setting])
    assert setting in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_revision_by_helm_needs_the_tag_that_makes_it_the_default() -> None:
    with pytest.raises(CannotSimulate, match=r"values\.revisionTags\[0\]=default"):
        installation("1.31.0", "helm", ["revision=canary"])
    of = installation("1.31.0", "helm", ["revision=canary", "values.revisionTags[0]=default"])
    assert "default-tag" in of.features
    tag = _named(of, "Mutating")["istio-revision-tag-default"]
    assert len(tag["webhooks"]) == 4
    assert "operator.istio.io/managed" not in tag["metadata"]["labels"]


def test_an_unknown_installer_is_refused() -> None:
    with pytest.raises(CannotSimulate, match="only by istioctl, helm"):
        installation("1.31.0", "operator")


def test_without_an_egress_gateway_there_is_nothing_of_it() -> None:
    without = installation("1.31.0", settings=["components.egressGateways[0].enabled=false"])
    assert not [name for name in _named(without, "") if "egress" in name]
    assert without.absent == {"istio-egressgateway"}
    assert without.features == {"ingress-gateway", "demo-ports", "default-tag"}


def test_the_active_injector_is_the_tags_by_istioctl_and_the_revisions_by_helm() -> None:
    never = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    by_istioctl = _named(installation("1.31.0"), "Mutating")
    by_helm = _named(installation("1.31.0", "helm"), "Mutating")
    assert set(by_istioctl) == {"istio-sidecar-injector", "istio-revision-tag-default"}
    assert by_istioctl["istio-sidecar-injector"]["webhooks"][0]["namespaceSelector"] == never
    assert set(by_helm) == {"istio-sidecar-injector"}
    assert by_helm["istio-sidecar-injector"]["webhooks"][0]["namespaceSelector"] != never


def test_settings_of_the_mesh_and_of_the_proxy_are_handed_on() -> None:
    of = installation(
        "1.31.0",
        settings=["meshConfig.accessLogFile=", "values.global.proxy.logLevel=debug", "hub=here"],
    )
    maps = _named(of, "ConfigMap")
    assert "accessLogFile: ''" in maps["istio"]["data"]["mesh"]
    assert '"logLevel": "debug"' in maps["istio-sidecar-injector"]["data"]["values"]
    istiod = _named(of, "Deployment")["istiod"]["spec"]["template"]["spec"]
    assert istiod["containers"][0]["image"] == "here/pilot:1.31.0"


@pytest.mark.parametrize(
    ("version", "hub", "sample"),
    [
        ("1.29.6", "docker.io/istio", "docker.io/istio"),
        ("1.30.3", "registry.istio.io/release", "docker.io/istio"),
        ("1.31.0", "docker.io/istio", "docker.io/istio"),
    ],
)
def test_images_come_from_where_each_release_has_them(version: str, hub: str, sample: str) -> None:
    known = facts(installation(version))
    assert (known["hub"], known["sample"]["hub"]) == (hub, sample)
