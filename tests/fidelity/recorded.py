"""The recorded clusters of a real Istio 1.29.6, and how each was installed."""

from __future__ import annotations

from functools import cache
from typing import Any

from fixtures.providers.embedded.istio.installation import installation
from tests.recordings import state_of

VERSION = "1.29.6"

NATIVE = installation(VERSION)
CLASSIC = installation(VERSION, settings=["values.pilot.env.ENABLE_NATIVE_SIDECARS=false"])
REVISION = installation(VERSION, settings=["revision=canary", "values.revisionTags[0]=prod"])
HELM = installation(VERSION, "helm", ["profile=default"])
AMBIENT = installation("1.31.0", settings=["profile=ambient"])
# All but the native one hold the injected sample, too.
WAYS = {
    "2-istio-installed": NATIVE,
    "classic/injected": CLASSIC,
    "revision/injected": REVISION,
    "helm/injected": HELM,
    "ambient/bookinfo": AMBIENT,
}


@cache
def state(name: str) -> dict[str, list[dict[str, Any]]]:
    """Every object of a state, by kind; not to be changed."""
    return state_of(name)
