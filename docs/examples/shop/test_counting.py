"""That what happens in the shop is counted."""

from fixtures.claims import claim
from fixtures.claims.own_stage import OwnStage
from fixtures.istio.observability.prometheus import Prometheus

STAGE = OwnStage(title="The shop is counted", after="addons", needs=("addons",), writes=True)


@claim(
    "Prometheus scrapes every pod of the shop.",
    source="our handbook, chapter 4",
    hint="Is Prometheus up? Its page Targets says why a pod is not scraped.",
)
def test_every_pod_is_scraped(prometheus: Prometheus) -> None:
    prometheus.expect_targets_up()
