"""Stage 10: the add-ons that come with a release are there and well."""

import pytest

from fixtures.claims import claim
from fixtures.istio.addons import NAMES, Addons

SAMPLES = "samples/addons of the release"


@claim(
    "The add-on is rolled out whole, with the image of this release.",
    source=SAMPLES,
    hint="The message carries the kubelet's or scheduler's words.",
    feature="addons",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_add_on_is_rolled_out(addons: Addons, name: str) -> None:
    addons.expect_rolled_out(name)


@claim(
    "The add-on's Services are there with their ports, and somebody answers behind them.",
    source=SAMPLES,
    hint="Compare the port table; do the selectors choose the add-on's pods?",
    feature="addons",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_add_ons_services_lead_to_it(addons: Addons, name: str) -> None:
    addons.expect_services(name)


@claim(
    "The add-on says at its own health address that it is well.",
    source="readiness probes in samples/addons of the release",
    hint="Read the add-on's own log.",
    feature="addons",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_add_on_says_that_it_is_well(addons: Addons, name: str) -> None:
    addons.expect_healthy(name)
