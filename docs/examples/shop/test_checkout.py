"""What the shop's checkout needs of its mesh."""

from fixtures.claims import claim
from fixtures.claims.own_stage import OwnStage
from fixtures.istio.releases.gateway import Answer
from fixtures.traffic.client import Client

STAGE = OwnStage(title="The shop's checkout", after="gateway", needs=("gateway",), writes=True)


@claim(
    "The shop has a book to sell.",
    source="our handbook, chapter 3",
    hint="Is the catalogue's route still there? kubectl get virtualservices -A",
)
def test_there_is_a_book(client: Client) -> None:
    client.expect(Answer("/api/v1/products", 200, holds="The Comedy of Errors"))
