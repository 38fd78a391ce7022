"""Webhook entries are matched by their selectors, whatever their configuration is called."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fixtures.istio.webhook import Target, Webhook, entries
from tests.recordings import ISTIO_1_29

RAW = "kubectl/02-webhooks-raw.txt"

LABELLED = {"istio-injection": "enabled", "kubernetes.io/metadata.name": "shop"}


def a_configuration(**entry: Any) -> dict[str, Any]:
    body = {
        "name": "namespace.sidecar-injector.istio.io",
        "clientConfig": {
            "service": {"namespace": "istio-system", "name": "istiod", "path": "/inject"},
            "caBundle": base64.b64encode(b"-----BEGIN").decode(),
        },
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "resources": ["pods"]}],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
    }
    return {"metadata": {"name": "some-injector"}, "webhooks": [{**body, **entry}]}


def the_entry(**entry: Any) -> Webhook:
    return next(entries("mutating", a_configuration(**entry)))


def test_an_entry_is_read() -> None:
    webhook = the_entry()
    assert webhook.title == "namespace.sidecar-injector.istio.io of some-injector"
    assert str(webhook.target) == "istio-system/istiod:443/inject"
    assert (webhook.failure_policy, webhook.side_effects) == ("Fail", "None")
    assert webhook.ca == "-----BEGIN"


def test_a_target_outside_the_cluster_is_its_address() -> None:
    assert the_entry(clientConfig={"url": "https://x/inject"}).target == Target(
        url="https://x/inject"
    )


def test_a_bundle_that_is_no_base64_stays_as_it_is() -> None:
    assert the_entry(clientConfig={"url": "x", "caBundle": "?"}).ca == "?"


def test_rules_say_what_it_is_called_for() -> None:
    assert the_entry().called_for("CREATE", "pods")
    assert not the_entry().called_for("UPDATE", "pods")
    assert not the_entry().called_for("CREATE", "pods", "apps")
    everything = [{"operations": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    assert the_entry(rules=everything).called_for("DELETE", "gateways", "networking.istio.io")


@pytest.mark.parametrize(
    ("namespace", "labels", "matched"),
    [
        pytest.param(LABELLED, {}, True, id="labelled namespace"),
        pytest.param({}, {}, False, id="plain namespace"),
        pytest.param(LABELLED, {"sidecar.istio.io/inject": "false"}, False, id="pod opts out"),
    ],
)
def test_both_selectors_must_choose(
    namespace: dict[str, str], labels: dict[str, str], *, matched: bool
) -> None:
    not_false = {"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}
    webhook = the_entry(objectSelector={"matchExpressions": [not_false]})
    assert webhook.matches(namespace, labels) is matched


def test_a_deactivated_entry_matches_nothing() -> None:
    never = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    assert not the_entry(namespaceSelector=never, objectSelector=never).matches(LABELLED, {})


@pytest.mark.parametrize(
    ("namespace", "pod", "name"),
    [
        pytest.param(LABELLED, {}, "namespace.sidecar-injector.istio.io", id="labelled"),
        pytest.param(
            {"istio.io/rev": "default"}, {}, "rev.namespace.sidecar-injector.istio.io", id="rev"
        ),
        pytest.param(
            {}, {"sidecar.istio.io/inject": "true"}, "object.sidecar-injector.istio.io", id="pod"
        ),
    ],
)
def test_of_the_recorded_entries_exactly_one_matches(
    namespace: dict[str, str], pod: dict[str, str], name: str
) -> None:
    text = next(t for t in ISTIO_1_29.text(RAW).splitlines() if t.startswith("{"))
    found = [w for c in json.loads(text)["items"] for w in entries("mutating", c)]
    assert len(found) == 8
    acting = [w for w in found if w.matches(namespace, pod)]
    assert [(w.configuration, w.name) for w in acting] == [("istio-revision-tag-default", name)]
