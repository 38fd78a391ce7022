"""docs/claims.md has an anchor for every claim, so that a report can link to it."""

from __future__ import annotations

from reports.claims_page import claims, page
from reports.guide import anchor


def test_every_claim_has_one_anchor_and_its_hint() -> None:
    found = claims()
    text = page(found)
    assert len(found) > 100
    for claim in found:
        assert text.count(f'<a id="{anchor(claim.id)}"></a>') == 1, claim.id
        assert f"- when it fails: {claim.hint}\n" in text, claim.id


def test_a_parameter_is_no_part_of_the_anchor() -> None:
    name = "gateway/each-route-reaches-productpage"
    assert anchor(f"{name}[login]") == anchor(name) == "gateway-each-route-reaches-productpage"
