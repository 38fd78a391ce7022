"""The recorded clusters of a real Istio 1.29.6: where they lie, and how each was installed."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from fixtures.providers.embedded.istio.installation import installation

SHARED = Path(__file__).parents[3] / "shared"
_STATES = SHARED / "recorded" / "states"
VERSION = "1.29.6"

NATIVE = installation(VERSION)
CLASSIC = installation(VERSION, settings=["values.pilot.env.ENABLE_NATIVE_SIDECARS=false"])
REVISION = installation(VERSION, settings=["revision=canary", "values.revisionTags[0]=prod"])
HELM = installation(VERSION, "helm", ["profile=default"])
# All but the native one hold the injected sample, too.
WAYS = {
    "2-istio-installed": NATIVE,
    "variant-classic-sidecars": CLASSIC,
    "variant-revision-canary-tag-prod": REVISION,
    "variant-helm": HELM,
}


@cache
def state(name: str) -> dict[str, list[dict[str, Any]]]:
    """Every object of a state, by kind; not to be changed."""
    found: dict[str, list[dict[str, Any]]] = json.loads((_STATES / f"{name}.json").read_text())
    return found
