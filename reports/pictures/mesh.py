"""The mesh as a run observed it: who called whom, how often, over what, and with which versions.

Made of what claims recorded of requests, endpoints and proxies (`fixtures.claims`); what no
claim recorded is not drawn. Where things stand on the picture is decided here, their look in
`mesh.svg.jinja2`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from fixtures.claims import Call
from fixtures.istio.ambient import NODES_READY, PODS_CAPTURED, ZTUNNEL, ZTUNNELS_READY
from fixtures.istio.proxies import IN_SYNC, NOT_IN_SYNC
from reports.model import Run

CLIENT = "client"
ISTIOD = "istiod"
PROXY_OF = "istio-proxy of "
GAP, LINE, HEAD, SPACE, PADDING = 120, 19, 32, 26, 12
# How far apart boxes of a column may stand; columns do as much more.
SPACES = range(SPACE, 5 * SPACE, SPACE // 2)
# How wide a letter of a name and of a line is, on the safe side: no font is known here.
NAME_LETTER, LINE_LETTER = 8.4, 6.9
NARROWEST = 720
# A label of one line, and of two; where along its edge one may stand, best first: the middle.
LABEL_WIDTH, LABEL_HEIGHT, TWO_LINES = 84, 18, 34
ALONG = sorted((n / 50 for n in range(3, 48)), key=lambda share: abs(share - 0.5))
ARROW = 7  # an edge ends so far from its target: there is its head
_VERSIONED = re.compile(r"(?P<app>.+)-(?P<version>v\d+)")
_TAG = re.compile(r":(?P<tag>[^:@/]+)(@|$)")


@dataclass(frozen=True)
class Edge:
    """All requests that went from one place to another.

    Attributes:
        requests: how many were seen, at least.
        outcomes: what became of them, with how often ("200 (12)").
        unanswered: how many of them were not answered.
        answered: whether the last one was.
        tls: how they went over the wire; empty where no claim observed it.
        told_by: from what this is known.
        versions: how many went to which version of the target.
    """

    source: str
    target: str
    requests: int
    outcomes: str
    unanswered: int
    answered: bool
    tls: str
    told_by: str
    versions: Mapping[str, int]


@dataclass(frozen=True)
class Area:
    """A part of the picture."""

    x: float
    y: float
    width: float
    height: float

    def shared(self, other: Area) -> float:
        """How much of it is the other's, too."""
        wide = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        high = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(wide, 0) * max(high, 0)


@dataclass(frozen=True)
class Place:
    """One box: a service, a gateway or the client, with a line for each thing known of it."""

    name: str
    lines: tuple[str, ...]
    x: float = 0
    y: float = 0

    @property
    def width(self) -> float:
        """Its width, which its longest line takes."""
        lines = (len(line) * LINE_LETTER for line in self.lines)
        return round(max([len(self.name) * NAME_LETTER, *lines]) + 2 * PADDING)

    @property
    def height(self) -> float:
        """Its height, which grows with its lines."""
        return HEAD + LINE * len(self.lines) + (8 if self.lines else 0)

    @property
    def middle(self) -> float:
        """Where edges meet it."""
        return self.y + self.height / 2

    @property
    def area(self) -> Area:
        """What it covers."""
        return Area(self.x, self.y, self.width, self.height)


@dataclass(frozen=True)
class Label:
    """What is said of an edge, around a point on it."""

    edge: Edge
    x: float
    y: float

    @property
    def area(self) -> Area:
        """What it covers."""
        height = TWO_LINES if self.edge.tls or not self.edge.answered else LABEL_HEIGHT
        return Area(self.x - LABEL_WIDTH / 2, self.y - height / 2, LABEL_WIDTH, height)


@dataclass(frozen=True)
class Mesh:
    """The picture: boxes, edges and labels with their places, and the same in words."""

    places: tuple[Place, ...]
    edges: tuple[Edge, ...]
    labels: tuple[Label, ...]
    idle: tuple[Place, ...]
    width: float
    height: float
    idle_y: float
    words: str

    def place(self, name: str) -> Place:
        """The box of this name."""
        return next(place for place in self.places if place.name == name)


def mesh_of(run: Run) -> Mesh | None:
    """The mesh of a run; None if its claims recorded nothing of one."""
    edges = edges_of([call for result in run.results for call in result.calls])
    lines = _lines(run, edges)
    if not lines:
        return None
    called = {name for edge in edges for name in (edge.source, edge.target)}
    ranks = _ranks(edges)
    columns = [
        [Place(name, lines[name]) for name in sorted(called) if ranks[name] == rank]
        for rank in range(max(ranks.values(), default=-1) + 1)
    ]
    places, labels = _least_hidden(columns, edges)
    tallest = max((place.y + place.height for place in places), default=2) - 2
    idle_y = tallest + (SPACE * 2 if places else 2)
    width = max([place.x + place.width for place in places] + [NARROWEST])
    beside = [Place(name, lines[name]) for name in lines if name not in called]
    idle, bottom = _rows(beside, idle_y, width)
    return Mesh(
        tuple(places),
        edges,
        tuple(labels),
        idle,
        width + 2,
        bottom or tallest + 4,
        idle_y,
        _words(edges),
    )


def _least_hidden(
    columns: Sequence[Sequence[Place]], edges: Iterable[Edge]
) -> tuple[list[Place], list[Label]]:
    """The first layout in which no label hides anything, or else the one that hides least."""
    found = []
    for space in SPACES:
        found.append(_layout(columns, edges, space))
        if not found[-1][0]:
            break
    _, places, labels = min(found, key=itemgetter(0))
    return places, labels


def _layout(
    columns: Sequence[Sequence[Place]], edges: Iterable[Edge], space: float
) -> tuple[float, list[Place], list[Label]]:
    """Boxes so far apart, and a label for each edge; how much of them is hidden by labels."""
    tallest = max((_height(column, space) for column in columns), default=0)
    places: list[Place] = []
    x = 2.0
    for column in columns:
        places += _stacked(column, x, (tallest - _height(column, space)) / 2, space)
        x += max(place.width for place in column) + GAP + space - SPACE
    by_name = {place.name: place for place in places}
    taken = [place.area for place in places]
    labels: list[Label] = []
    hidden = 0.0
    for edge in edges:
        ends = by_name[edge.source], by_name[edge.target]
        able = [Label(edge, *_point(*ends, share)) for share in ALONG]
        costs = [sum(map(label.area.shared, taken)) for label in able]
        hidden += min(costs)
        labels.append(able[costs.index(min(costs))])
        taken.append(labels[-1].area)
    return hidden, places, labels


def _point(source: Place, target: Place, share: float) -> tuple[float, float]:
    """A point of the edge that `mesh.svg.jinja2` draws: a cubic curve, flat at both its ends."""
    rest = 1 - share
    first, second = rest**3, 3 * rest**2 * share
    third, last = 3 * rest * share**2, share**3
    begin, end = source.x + source.width, target.x
    x = first * begin + (second + third) * (begin + end) / 2 + last * (end - ARROW)
    y = (first + second) * source.middle + (third + last) * target.middle
    return round(x, 1), round(y, 1)


def edges_of(calls: Sequence[Call]) -> tuple[Edge, ...]:
    """The calls between each two places together, in the order in which they were first seen."""
    between: dict[tuple[str, str], list[Call]] = {}
    for call in calls:
        between.setdefault((call.source, call.target), []).append(call)
    return tuple(_edge(source, target, seen) for (source, target), seen in between.items())


def _edge(source: str, target: str, calls: Sequence[Call]) -> Edge:
    # One request may be recorded twice, from its reply and from a log: the fuller record counts.
    sources = Counter(call.known_from for call in calls)
    most, requests = sources.most_common(1)[0]
    counted = [call for call in calls if call.known_from == most]
    outcomes = Counter(call.outcome for call in counted)
    return Edge(
        source=source,
        target=target,
        requests=requests,
        outcomes=", ".join(f"{what} ({n})" for what, n in outcomes.most_common()),
        unanswered=sum(not call.answered for call in counted),
        answered=calls[-1].answered,
        tls=", ".join(sorted({call.tls for call in calls if call.tls})),
        told_by=", ".join(sources),
        versions=Counter(call.version for call in counted if call.version),
    )


def _lines(run: Run, edges: Iterable[Edge]) -> dict[str, tuple[str, ...]]:
    """What is known of each place, by its name."""
    seen = run.seen
    found: dict[str, list[str]] = {}
    for edge in edges:
        for name in (edge.source, edge.target):
            found.setdefault(name, [])
    for name, ready in seen["endpoints"].items():
        found.setdefault(name, []).append(f"endpoints: {ready}")
    requests = Counter[tuple[str, str]]()
    for edge in edges:
        requests.update({(edge.target, version): n for version, n in edge.versions.items()})
    states = dict(seen["proxies"])
    of_ztunnel = states.pop(ZTUNNEL, "")
    for workload, proxy in sorted(proxies_of(seen | {"proxies": states}).items()):
        versioned = _VERSIONED.fullmatch(workload)
        name, version = versioned.group("app", "version") if versioned else (workload, "")
        known = [version, f"proxy {proxy}" if proxy else "with a proxy"]
        times = requests[name, version]
        known += [f"{times} req."] if times else []
        known += [NOT_IN_SYNC] if states.get(workload, IN_SYNC) != IN_SYNC else []
        found.setdefault(name, []).append(" · ".join(filter(None, known)))
    if seen["version"].get(ISTIOD) or seen["proxies"]:
        synced = sum(state == IN_SYNC for state in states.values())
        known = [seen["version"].get(ISTIOD, "").partition("-")[0]]
        known += [f"proxies in sync: {synced} of {len(states)} workloads"] if states else []
        found[ISTIOD] = list(filter(None, known))
    if of_ztunnel or seen["ambient"] or ZTUNNEL in seen["version"]:
        found[ZTUNNEL] = list(_of_ztunnel(seen, of_ztunnel))
    return {name: tuple(lines) for name, lines in found.items()}


def _of_ztunnel(seen: Mapping[str, Mapping[str, str]], state: str) -> Iterator[str]:
    """What is known of ztunnel, which serves the pods of a node and is no workload's proxy."""
    version = seen["version"].get(ZTUNNEL, "")
    if state not in {"", IN_SYNC}:  # of several pods some may be in sync
        state = NOT_IN_SYNC
    if known := " · ".join(filter(None, (version, state))):
        yield known
    for name, words in (
        (ZTUNNELS_READY, "ready: {} pods"),
        (NODES_READY, "ready on {} nodes that need it"),
        (PODS_CAPTURED, "captured: {} pods that ask"),
    ):
        if count := seen["ambient"].get(name):
            yield words.format(count)


def proxies_of(seen: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The version of the proxy of each workload that was seen with one; empty where not known."""
    found = dict.fromkeys(seen["proxies"], "")
    for name, image in seen["image"].items():
        tag = _TAG.search(image)
        if " " in name.removeprefix(PROXY_OF):  # of many workloads together
            continue
        if name.startswith(PROXY_OF):
            found[name.removeprefix(PROXY_OF)] = tag["tag"] if tag else ""
        elif name in found:  # a gateway is its proxy
            found[name] = tag["tag"] if tag else ""
    return found


def _ranks(edges: Sequence[Edge]) -> dict[str, int]:
    """The column of each place: one after the last of those that call it; loops are cut."""
    ranks = {name: 0 for edge in edges for name in (edge.source, edge.target)}
    for _ in ranks:
        for edge in edges:
            if edge.target != CLIENT:
                wanted = min(ranks[edge.source] + 1, len(ranks) - 1)
                ranks[edge.target] = max(ranks[edge.target], wanted)
    used = sorted(set(ranks.values()))
    return {name: used.index(rank) for name, rank in ranks.items()}


def _height(column: Sequence[Place], space: float) -> float:
    return sum(place.height for place in column) + space * max(len(column) - 1, 0)


def _stacked(column: Sequence[Place], x: float, top: float, space: float) -> list[Place]:
    placed = []
    for place in column:
        placed.append(Place(place.name, place.lines, x, top + 2))
        top += place.height + space
    return placed


def _rows(places: Sequence[Place], top: float, right: float) -> tuple[tuple[Place, ...], float]:
    """Boxes side by side, in as many rows as they need; also where the last row ends."""
    placed: list[Place] = []
    x, below = 2.0, top
    for place in places:
        if x > 2 and x + place.width > right:
            x, top = 2.0, below
        placed.append(Place(place.name, place.lines, x, top))
        x += place.width + SPACE
        below = max(below, top + place.height + SPACE / 2)
    return tuple(placed), below if placed else 0


def _words(edges: Iterable[Edge]) -> str:
    described = [
        f"{edge.source} to {edge.target}: {edge.requests} request{'s'[: edge.requests > 1]}"
        + (f", {edge.unanswered} not answered" if edge.unanswered else "")
        + (f", {edge.tls}" if edge.tls else "")
        for edge in edges
    ]
    return "; ".join(described) or "No request between workloads was observed."
