"""Stage 15: Istio's configuration, whoever wrote it: does what it names exist?"""

from fixtures.claims import claim
from fixtures.istio.configuration import Configuration


@claim(
    "Every Gateway and every destination that a VirtualService names exists.",
    source="istioctl analyze, IST0101: a resource that is referred to does not exist",
    hint="A short name means the VirtualService's own namespace; was the other one renamed?",
)
def test_what_virtual_services_name_exists(configuration: Configuration) -> None:
    configuration.expect_named()


@claim(
    "Every subset that a route leads to is defined, and has pods.",
    source="istioctl analyze, IST0101 and IST0173: a subset that selects no pods",
    hint="Requests to such a subset get 503: compare its labels with those of the pods.",
)
def test_every_subset_in_use_has_pods(configuration: Configuration) -> None:
    configuration.expect_subsets()


@claim(
    "No policy of the whole mesh denies every request to every workload.",
    source="Istio, AuthorizationPolicy: without rules nothing is allowed; root namespace",
    hint="Allow what is meant to work in policies beside it, or give it a selector.",
)
def test_the_mesh_allows_something(configuration: Configuration) -> None:
    configuration.expect_way_left()
