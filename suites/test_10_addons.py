"""Stage 10: the add-ons that come with a release are installed and healthy."""

import pytest

from fixtures.claims import claim
from fixtures.istio.addons import NAMES, Addons

SAMPLES = "samples/addons of the release"


@claim(
    "The add-on is fully rolled out, with the image of this release.",
    source=SAMPLES,
    hint="The message has the kubelet's or the scheduler's reason.",
    feature="addons",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_add_on_is_rolled_out(addons: Addons, name: str) -> None:
    addons.expect_rolled_out(name)


@claim(
    "The add-on's Services have their ports and ready endpoints.",
    source=SAMPLES,
    hint="Compare the ports; do the selectors match the add-on's pods?",
    feature="addons",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_add_ons_services_lead_to_it(addons: Addons, name: str) -> None:
    addons.expect_services(name)


@claim(
    "The add-on's health check answers 200.",
    source="readiness probes in samples/addons of the release",
    hint="Look at the add-on's log.",
    feature="addons",
)
@pytest.mark.parametrize("name", NAMES)
def test_the_add_on_says_that_it_is_well(addons: Addons, name: str) -> None:
    addons.expect_healthy(name)
