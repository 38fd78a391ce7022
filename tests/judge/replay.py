"""A real cluster as it was recorded, to be asked again: its objects, and what it once answered.

Nothing here decides anything: lists come from a recorded state, answers from recorded exchanges,
lines from a recorded log. What was not recorded is refused.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import takewhile
from types import SimpleNamespace
from typing import Any

import jsonpatch
import pytest

from fixtures.istio.releases.gateway import LISTENER
from fixtures.k8s import Body, Refused, Reply, Unreachable
from tests.recordings import ISTIO_1_29, state_of
from tests.unit.states import FakeKube

ISTIOD, PAGE = 15014, 9080
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
INJECTOR = "namespace.sidecar-injector.istio.io"
HEADER = re.compile(r"[a-z-]+: ")
# What no claim looks at, and most of a recording.
UNASKED = ("v1/events", "events.k8s.io/v1/events", "v1/serviceaccounts", "v1/endpoints")
# What was asked of the gateway, by the names of the recordings.
CURLED = {
    "/productpage": "productpage",
    "/static/tailwind/tailwind.css": "static",
    "/login": "login",
    "/logout": "logout",
    "/api/v1/products": "products",
    "/health": "health",
    "/": "root",
}


@cache
def objects(state: str) -> dict[str, list[Body]]:
    """The objects of a recorded state, by kind."""
    found = state_of(state)
    return {kind: bodies for kind, bodies in found.items() if kind not in UNASKED}


def reply_of(text: str) -> Reply:
    """What `curl -i` printed.

    Raises:
        Unreachable: there was no answer.
    """
    found = re.search(r"^HTTP/1\.1 (\d+)", text, re.MULTILINE)
    if not found:
        raise Unreachable("connection refused")
    lines = text[found.start() :].partition("# --- stderr")[0].splitlines()[1:]
    headers = dict(line.split(": ", 1) for line in takewhile(HEADER.match, lines))
    return Reply(int(found[1]), headers, "\n".join(lines[len(headers) :]).strip("\n"))


class Replay(FakeKube):
    """A recorded state with the answers that belong to it.

    Attributes:
        replies: what a port of a pod answered, by port and path.
        log: the gateway's log, in which the last request is found by its path.
    """

    kinds = SimpleNamespace(served=lambda _: ["v1"])

    def __init__(self, state: str, *, apart: bool = False, kubernetes: str = "v1.34.4") -> None:
        """Over a recorded state; `apart` where it is about to be changed."""
        found = copy.deepcopy(objects(state)) if apart else objects(state)
        served = ISTIO_1_29.json("api/discovery/admissionregistration-v1.json")
        raw = {"/readyz": "ok", "/version": {"gitVersion": kubernetes}}
        raw[ADMISSION] = served["response"]["body"]
        super().__init__(found, raw)
        self.replies: dict[tuple[int, str], str] = {}
        self.log = ""
        self._requested = "", ""

    def create(self, kind: str, body: Body, _namespace: str, *, dry_run: bool = False) -> Body:
        """Answer what a real API server answered to such an object."""
        assert dry_run, "a recording cannot be written to"
        if kind == "pods":
            return _pod(body["metadata"].get("annotations") or {})
        weight = body["spec"]["http"][0]["route"][0]["weight"]
        name = "vs-weights" if weight < 0 else "vs-unknown-host-accepted"
        return _reported(ISTIO_1_29.json(f"api/istio/{name}.json"))

    @contextmanager
    def forward(self, _pod: str, _namespace: str, port: int) -> Iterator[Any]:
        """A port of a pod that answers as it did."""

        def get(path: str, _headers: Mapping[str, str] | None = None) -> Reply:
            plain, _, query = path.partition("?")
            self._requested = (plain, query) if query else self._requested
            if (port, plain) not in self.replies:
                raise Unreachable("connection refused")
            return reply_of(self.replies[port, plain])

        yield SimpleNamespace(get=get)

    def logs(self, _pod: str, _namespace: str, _container: str, **_: Any) -> str:
        """The gateway's log, with the request that was asked last in the recorded one's place."""
        path, query = self._requested
        return re.sub(rf'"GET {path}(\?u=\w+)? ', f'"GET {path}?{query} ', self.log)


def _pod(annotations: Mapping[str, str]) -> Body:
    """What became of a pod with these annotations."""
    if not annotations:
        return _reported(ISTIO_1_29.json("api/write/dry-run-pod-injected.json"))
    for name in ("ports", "tproxy", "native-off", "bad-annotation"):
        found = ISTIO_1_29.json(f"istio/inject/{name}.json")
        pod, answer = found["request"]["request"]["object"], found["response"]["response"]
        if pod["metadata"]["annotations"] != annotations:
            continue
        if not answer["allowed"]:
            words = answer["status"]["message"]
            message = f'admission webhook "{INJECTOR}" denied the request: {words}'
            raise Refused(400, message=message)
        patched: Body = jsonpatch.apply_patch(pod, answer["patch_decoded"])
        return patched
    pytest.fail(f"no answer to a pod with {annotations} was recorded")


def _reported(found: Any) -> Body:
    answer = found["response"]
    body: Body = answer["body"]
    if answer["status"] >= 400:
        raise Refused(answer["status"], message=body["message"])
    return body


def page(text: str) -> str:
    """A page that was saved without its headers."""
    return f"HTTP/1.1 200 OK\nx-recorded: body\n\n{text}"


def replayed(state: str, *, apart: bool = False) -> Replay:
    """The run's own cluster with everything that it was asked."""
    kube = Replay(state, apart=apart)
    for path, name in CURLED.items():
        kube.replies[LISTENER, path] = ISTIO_1_29.text(f"kubectl/07-curl-{name}.txt")
    kube.replies[PAGE, "/productpage"] = kube.replies[LISTENER, "/productpage"]
    kube.replies[ISTIOD, "/version"] = page(ISTIO_1_29.text("istio/istiod-version.txt"))
    kube.replies[ISTIOD, "/debug/syncz"] = page(ISTIO_1_29.text("istio/istiod-syncz.json"))
    kube.log = ISTIO_1_29.text("kubectl/07-gateway-log.txt")
    return kube
