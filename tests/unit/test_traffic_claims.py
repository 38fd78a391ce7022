"""Stage 8's nouns over a client that is told what the mesh answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.claims import ClaimFailed
from fixtures.claims.waiting import wait_policy
from fixtures.istio.clash import Clash
from fixtures.istio.reach import Reach
from fixtures.istio.releases import expected
from fixtures.istio.releases.options import MeshOptions
from fixtures.istio.resilience import Resilience
from fixtures.istio.routing import Routing, version_of
from fixtures.istio.rules import MARK, Rules
from fixtures.istio.sample import Sample
from fixtures.k8s import Body, Kube, Refused
from fixtures.k8s.kinds import Kinds
from fixtures.setup.traffic import rules_of
from fixtures.traffic.in_mesh import MeshAnswer, MeshClients

ROWS = expected("1.31.0", "v1.35.0", ["v1.35.0"])
RESOURCES = [
    {"name": f"{kind.lower()}s", "kind": kind, "namespaced": True}
    for kind in ("VirtualService", "DestinationRule", "Sidecar", "Gateway")
]
DENIED = "weight -5 < 0"


class Server:
    """An API that keeps what is applied, and refuses weights below nothing."""

    def __init__(self) -> None:
        self.kinds = Kinds(lambda _: {"resources": RESOURCES})
        self.there: dict[str, Body] = {}
        self.validates = True

    def apply(self, documents: Sequence[Body], _namespace: str) -> None:
        for body in documents:
            if "-5" in json.dumps(body) and self.validates:
                raise Refused(400, reason="Invalid", message=DENIED)
            self.there[f"{body['kind']}/{body['metadata']['name']}"] = body

    def delete(self, kind: str, name: str, _namespace: str) -> None:
        plural = kind.partition(".")[0]
        self.there = {
            key: body
            for key, body in self.there.items()
            if (body["kind"].lower() + "s", body["metadata"]["name"]) != (plural, name)
        }

    def mark(self, host: str) -> dict[str, str]:
        """How an answer says by which rule it came, if one is there for this host."""
        rule = self.there.get(f"VirtualService/{host}")
        if rule is None:
            return {}
        return {MARK: rule["spec"]["http"][0]["headers"]["response"]["set"][MARK]}


Reply = Callable[[str, dict[str, str], int], tuple[int, str, float]]


@dataclass
class Scripted:
    """A client whose requests get what a function says, marked by the rule that is there.

    Attributes:
        reply: makes status, body and seconds of a URL, headers and the request's number.
        obeys: whether its sidecar takes rules at all.
    """

    name: str
    server: Server
    reply: Reply
    obeys: bool = True
    namespace: str = "bookinfons"
    next_steps: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def requests(self, url: str, count: int, **how: Any) -> tuple[MeshAnswer, ...]:
        return tuple(self._one(url, dict(how.get("headers") or {}), n) for n in range(count))

    def request(self, url: str, **how: Any) -> MeshAnswer:
        return self.requests(url, 1, **how)[0]

    def _one(self, url: str, headers: dict[str, str], number: int) -> MeshAnswer:
        status, body, seconds = self.reply(url, headers, number)
        host = url.split("/")[2].partition(":")[0]
        marked = self.server.mark(host) if self.obeys and status in {200, 503, 504} else {}
        kind = "" if status else "reset"
        return MeshAnswer(status, marked, body, seconds, kind)

    def came(self, key: str) -> int:
        return self.counts.get(key, 0)

    def pod(self) -> Any:
        return SimpleNamespace(address="10.0.0.9")


def review(version: str) -> str:
    return json.dumps({"podname": f"reviews-{version}-abc", "reviews": []})


def nouns(
    reply: Reply, *, obeys: bool = True, outbound: str = "ALLOW_ANY"
) -> tuple[Routing, Resilience, Reach, Server]:
    server = Server()
    clients = [
        Scripted(f"seatrial-{name}", server, reply, obeys)
        for name in ("client", "other", "server", "plain")
    ]
    several = MeshClients(*cast("Any", clients))
    rules = rules_of(Sample(cast("Kube", server), ROWS, "bookinfons"))
    with_policy = ROWS.set_to(MeshOptions(outbound=outbound))
    return (
        Routing(several, rules),
        Resilience(several, rules),
        Reach(several, rules, with_policy),
        server,
    )


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


def spread(versions: Sequence[str]) -> Reply:
    following = cycle(versions)
    return lambda *_: (200, review(next(following)), 0.01)


# Routing


def test_all_three_versions_are_met() -> None:
    routing, *_ = nouns(spread(["v1", "v2", "v3"]))
    routing.expect_spread()


def test_a_version_that_is_never_met_is_named() -> None:
    routing, *_ = nouns(spread(["v1", "v3"]))
    with pytest.raises(ClaimFailed, match=r"got 19 x v1, 18 x v3, none by v2"):
        routing.expect_spread()


def test_one_error_is_no_spread() -> None:
    answers = cycle([(200, review(v), 0.01) for v in ("v1", "v2", "v3")] * 9 + [(503, "no", 0.0)])
    routing, *_ = nouns(lambda *_: next(answers))
    with pytest.raises(ClaimFailed, match=r"expected 37 x 200, got 36 x 200, 1 x 503 \(no\)"):
        routing.expect_spread()


def test_one_request_past_the_rule_is_noticed() -> None:
    versions = iter(["v1"] * 44 + ["v2"])
    routing, _, _, server = nouns(lambda *_: (200, review(next(versions, "v1")), 0.01))
    with pytest.raises(ClaimFailed, match="got 39 x v1 by reviews-all-to-v1, 1 x v2"):
        # Five settle it at each of the two clients; the last of the first client's forty is not.
        routing.expect_all_to_v1()
    assert not server.there


def test_a_rule_that_stays_in_force_is_noticed() -> None:
    routing, _, _, server = nouns(spread(["v1"]))
    server.delete = lambda *_: None  # type: ignore[method-assign]  # nothing goes
    with pytest.raises(ClaimFailed, match=r"after VirtualService .* was deleted: expected each"):
        routing.expect_all_to_v1()


@pytest.mark.parametrize("share", ["all to v1", "quarter", "version 2"])
def test_a_weight_that_is_not_kept_is_noticed(share: str) -> None:
    versions = {
        "all to v1": ["v1"],
        "quarter": ["v1", "v3", "v3", "v3", "v3"],
        "version 2": ["v1"] * 5 + ["v3"] * 4 + ["v2"],
    }
    routing, *_ = nouns(spread(versions[share]))
    with pytest.raises(ClaimFailed, match="expected 26 to 74 answered by v1, all others by v3"):
        routing.expect_halves()


def test_weights_are_kept_within_their_bounds() -> None:
    routing, *_ = nouns(spread(["v1", "v3", "v3"]))
    routing.expect_halves()
    routing, *_ = nouns(spread(["v1"] * 9 + ["v2"]))
    routing.expect_canary()


def test_a_canary_that_gets_nothing_is_noticed() -> None:
    routing, *_ = nouns(spread(["v1"]))
    with pytest.raises(ClaimFailed, match="expected 1 to 36 answered by v2"):
        routing.expect_canary()


def test_a_header_that_decides_nothing_is_noticed() -> None:
    routing, *_ = nouns(spread(["v1"]))
    with pytest.raises(ClaimFailed, match="expected 20 x v2 by reviews-by-header, got 20 x v1"):
        routing.expect_by_header()


def test_a_header_decides() -> None:
    routing, *_ = nouns(lambda _, headers, __: (200, review("v2" if headers else "v1"), 0.01))
    routing.expect_by_header()


def test_a_sidecar_that_takes_no_rule_is_noticed() -> None:
    routing, resilience, *_ = nouns(spread(["v1"]), obeys=False)
    with pytest.raises(ClaimFailed, match="got 5 x 200 by no rule of ours") as failed:
        routing.expect_halves()
    assert (
        failed.value.causes
        == ("rules for reviews do not take effect at client bookinfons/seatrial-client",)
        or "rules for reviews" in failed.value.causes[0]
    )
    with pytest.raises(ClaimFailed, match="got 5 x 200 by no rule of ours"):
        resilience.expect_abort()


def test_a_refused_rule_leaves_the_one_before() -> None:
    routing, *_ = nouns(spread(["v1"]))
    routing.expect_refused_rule_changes_nothing()


def test_a_bad_rule_that_is_accepted_is_noticed() -> None:
    routing, _, _, server = nouns(spread(["v1"]))
    server.validates = False
    with pytest.raises(
        ClaimFailed, match=r"\(reviews-refused\): expected refused .* got accepted"
    ):
        routing.expect_refused_rule_changes_nothing()
    assert not server.there


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ({"podname": "reviews-v3-abc"}, "v3"),
        ({"reviews": [{"text": "a"}, {"text": "b"}]}, "v1"),
        ({"reviews": [{"rating": {"stars": 5, "color": "black"}}]}, "v2"),
        ({"reviews": [{"rating": {"stars": 5, "color": "red"}}]}, "v3"),
        ({"reviews": [{"rating": {"error": "Ratings service is currently unavailable"}}]}, "?"),
        ([], "?"),
    ],
)
def test_a_version_is_told_by_pod_or_stars(body: Any, version: str) -> None:
    assert version_of(MeshAnswer(200, {}, json.dumps(body), 0.0)) == version


# Resilience


def counted_by(resilience: Resilience, count: int) -> None:
    """Have the server count this many for whatever key."""
    server = cast("Any", resilience.clients.server)
    server.came = lambda _: count


def test_half_is_aborted_and_the_other_half_comes() -> None:
    _, resilience, *_ = nouns(lambda _, headers, n: (555 if headers and n % 2 else 200, "", 0.0))
    counted_by(resilience, 30)
    resilience.expect_abort()


def test_an_aborted_request_that_comes_all_the_same_is_noticed() -> None:
    _, resilience, *_ = nouns(lambda _, headers, n: (555 if headers and n % 2 else 200, "", 0.0))
    counted_by(resilience, 31)
    with pytest.raises(ClaimFailed, match=r"came to .* expected 30, got 31"):
        resilience.expect_abort()


@pytest.mark.parametrize("aborted", [0, 60])
def test_a_share_of_aborts_that_is_not_kept_is_noticed(aborted: int) -> None:
    status = 555 if aborted else 200
    _, resilience, *_ = nouns(lambda _, headers, __: (status if headers else 200, "", 0.0))
    with pytest.raises(ClaimFailed, match="expected 12 to 48 of 60 with 555"):
        resilience.expect_abort()


def test_a_delay_holds_up_what_matches() -> None:
    _, resilience, *_ = nouns(lambda _, headers, __: (200, "", 0.51 if headers else 0.01))
    resilience.expect_delay()


def test_a_delay_that_is_too_short_is_noticed() -> None:
    _, resilience, *_ = nouns(lambda _, headers, n: (200, "", 0.2 if headers and n == 3 else 0.6))
    with pytest.raises(ClaimFailed, match=r"expected each after 0.5 s, got 1 x 200 after 0.2 s"):
        resilience.expect_delay()


def test_a_delay_of_everything_is_noticed() -> None:
    _, resilience, *_ = nouns(lambda *_: (200, "", 0.6))
    with pytest.raises(ClaimFailed, match="without end-user: jason, sooner than after"):
        resilience.expect_delay()


def slow(cut: int) -> Reply:
    """A server that takes a second; `cut` of those requests are given up once there is a rule."""
    seen = {"slow": 0}

    def reply(url: str, _: dict[str, str], __: int) -> tuple[int, str, float]:
        if "/delay/" not in url:
            return 200, "", 0.01
        seen["slow"] += 1
        return (504, "", 0.5) if 4 < seen["slow"] <= 4 + cut else (200, "", 1.0)

    return reply


def test_a_timeout_gives_up() -> None:
    _, resilience, *_ = nouns(slow(cut=4))
    resilience.expect_timeout()


def test_a_timeout_that_does_not_is_noticed() -> None:
    _, resilience, *_ = nouns(slow(cut=3))
    with pytest.raises(ClaimFailed, match=r"expected 4 x 504 after 0.5 s, got 3 x 504"):
        resilience.expect_timeout()


def test_retries_are_counted() -> None:
    statuses = iter([200, 503, 503])
    came = iter([3, 4, 1])
    _, resilience, *_ = nouns(lambda url, *_: (next(statuses) if "flaky" in url else 200, "", 0.0))
    cast("Any", resilience.clients.server).came = lambda _: next(came)
    resilience.expect_retries()


def test_one_retry_too_many_is_noticed() -> None:
    statuses = iter([200, 503, 503])
    came = iter([3, 5])
    _, resilience, *_ = nouns(lambda url, *_: (next(statuses) if "flaky" in url else 200, "", 0.0))
    cast("Any", resilience.clients.server).came = lambda _: next(came)
    with pytest.raises(ClaimFailed, match="expected 4, got 5"):
        resilience.expect_retries()


def test_a_limit_without_effect_is_noticed() -> None:
    _, resilience, *_ = nouns(lambda *_: (200, "", 0.0))
    with pytest.raises(ClaimFailed, match="expected some of 10 at a time with 200"):
        resilience.expect_one_connection()


def test_a_dead_end_is_503_and_the_rest_200() -> None:
    _, resilience, *_ = nouns(lambda url, *_: (503 if "nowhere" in url else 200, "", 0.0))
    resilience.expect_unknown_host()
    resilience.expect_unknown_subset()
    _, resilience, *_ = nouns(lambda *_: (200, "", 0.0))
    with pytest.raises(ClaimFailed, match="expected 5 x 503 of /nowhere, got 5 x 200"):
        resilience.expect_unknown_host()


# Reach


def test_the_meshs_policy_is_read_from_its_configuration() -> None:
    *_, reach, _ = nouns(lambda *_: (502, "", 0.0), outbound="REGISTRY_ONLY")
    reach.expect_mesh_policy()
    *_, reach, _ = nouns(lambda *_: (502, "", 0.0))
    with pytest.raises(
        ClaimFailed, match="expected answered, as the mesh's ALLOW_ANY, got 5 x 502"
    ):
        reach.expect_mesh_policy()


def test_policies_and_narrowing_follow_the_sidecar() -> None:
    server_of: list[Server] = []

    def reply(url: str, *_: object) -> tuple[int, str, float]:
        sidecar = server_of[0].there.get("Sidecar/seatrial-client") or {"spec": {}}
        mode = (sidecar["spec"].get("outboundTrafficPolicy") or {}).get("mode")
        if "10.0.0.9" in url:
            return (502 if mode == "REGISTRY_ONLY" else 200), "", 0.0
        return (0 if "egress" in sidecar["spec"] and "reviews" in url else 200), "", 0.0

    *_, reach, server = nouns(reply)
    server_of.append(server)
    reach.expect_policies()
    with pytest.raises(ClaimFailed, match=r"seatrial-other .*, as the Sidecar selects others"):
        reach.expect_narrowed()  # here it selects both
    assert not server.there


def test_rules_are_named_as_the_reader_finds_them() -> None:
    rules = rules_of(Sample(cast("Kube", Server()), ROWS, "bookinfons"))
    assert rules.title("reviews-half") == "VirtualService bookinfons/reviews (reviews-half)"
    assert isinstance(rules, Rules)
    versions = {body["apiVersion"] for name in rules.documents for body in rules.documents[name]}
    assert versions == {"networking.istio.io/v1"}


@pytest.mark.parametrize("steady", [True, False])
def test_a_clash_that_does_harm_names_the_gateway_that_clashes(
    steady: bool,  # noqa: FBT001  # whether the page stays as it was
) -> None:
    server = Server()

    class Outside:
        def expect_steady(self, samples: int) -> None:
            assert server.there.keys() == {"Gateway/seatrial-clashing"}
            if not steady:
                raise ClaimFailed("the page", expected=f"{samples} x 200", got="a reset")

    rules = rules_of(Sample(cast("Kube", server), ROWS, "bookinfons"))
    clash = Clash(cast("Any", Outside()), rules)
    if steady:
        clash.expect_no_harm()
    else:
        with pytest.raises(ClaimFailed, match=r"Gateway bookinfons/seatrial-clashing .* is there"):
            clash.expect_no_harm()
    assert not server.there
