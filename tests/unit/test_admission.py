"""What the API server makes of new objects is judged by its own words and by what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import jsonpatch
import pytest

from fixtures.claims import ClaimFailed, NotTested, start_observing
from fixtures.claims.waiting import wait_policy
from fixtures.istio.admission import Admission
from fixtures.istio.releases import expected
from fixtures.istio.releases.options import MeshOptions
from fixtures.istio.releases.webhooks import OVERRIDES
from fixtures.k8s import Body, Refused
from tests.recordings import ISTIO_1_29

UNREACHABLE = 'failed calling webhook "namespace.sidecar-injector.istio.io": connection refused'
DENIED = (
    'admission webhook "validation.istio.io" denied the request: configuration is invalid: '
    "weight -5 < 0"
)


class Server:
    """An API server with an injector and a validator, each of which may be made to misbehave."""

    def __init__(self) -> None:
        self.kinds = SimpleNamespace(served=lambda _: ["v1", "v1beta1"])
        self.refuses: dict[str, str] = {}
        self.words = DENIED
        self.place = "native"
        self.validates = True

    def create(self, kind: str, body: Body, namespace: str, *, dry_run: bool) -> Body:
        assert dry_run, "nothing may really be made"
        plural = kind.partition(".")[0]
        if plural in self.refuses:
            raise Refused(500, reason="InternalError", message=self.refuses[plural])
        if plural == "pods":
            return self.injected(body, namespace)
        weight = body["spec"]["http"][0]["route"][0]["weight"]
        if self.validates and weight < 0:
            raise Refused(400, message=self.words)
        return body

    def injected(self, body: Body, namespace: str) -> Body:
        proxy = {"name": "istio-proxy", "image": "proxyv2"}
        spec = dict(body["spec"])
        if self.place == "native":
            spec["initContainers"] = [proxy | {"restartPolicy": "Always"}]
        elif self.place == "classic":
            spec["containers"] = [*spec["containers"], proxy]
        return {**body, "metadata": {**body["metadata"], "namespace": namespace}, "spec": spec}


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def admission(server: Server) -> Admission:
    kube: Any = server  # a duck
    return Admission(kube, expected("1.31.0", "v1.35.0", ["v1.35.0"]), "shop")


def seen(request: Callable[[], object]) -> str:
    with pytest.raises(ClaimFailed) as caught:
        request()
    return str(caught.value)


def test_a_good_server_holds(admission: Admission) -> None:
    telling = start_observing()
    admission.expect_injected()
    admission.expect_refusal()
    assert telling.notes == [f"the validator's message: {DENIED}"]
    assert telling.inspected == 3


def test_a_pod_that_comes_back_bare_is_noticed(admission: Admission, server: Server) -> None:
    server.place = "none"
    assert "expected one container istio-proxy, got none among probe" in seen(
        admission.expect_injected
    )


def test_a_sidecar_in_the_wrong_place_is_noticed(admission: Admission, server: Server) -> None:
    server.place = "classic"
    assert "in initContainers, got istio-proxy in containers" in seen(admission.expect_injected)


def test_a_refused_pod_is_reported_in_the_servers_words(
    admission: Admission, server: Server
) -> None:
    server.refuses["pods"] = UNREACHABLE
    assert f"got refused with 500: {UNREACHABLE}" in seen(admission.expect_injected)


def test_an_invalid_object_that_is_accepted_is_noticed(
    admission: Admission, server: Server
) -> None:
    server.validates = False
    assert "expected refused by the validator: weight -5 < 0, got accepted" in seen(
        admission.expect_refusal
    )


def test_a_refusal_in_other_words_is_no_validation(admission: Admission, server: Server) -> None:
    server.words = "denied by some policy"
    assert "refused with another message: denied by some policy" in seen(admission.expect_refusal)


def test_a_server_that_refuses_everything_proves_nothing(
    admission: Admission, server: Server
) -> None:
    server.refuses["virtualservices"] = 'failed calling webhook "validation.istio.io"'
    message = seen(admission.expect_refusal)
    assert message.startswith("dry run of a valid VirtualService in namespace shop")


# Overrides of a pod, as a real injector granted or refused them


class Injector(Server):
    """Answers for a pod with annotations what a real injector answered to the one of this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.found = ISTIO_1_29.json(f"istio/inject/{name}.json")

    def injected(self, body: Body, namespace: str) -> Body:
        if not body["metadata"].get("annotations"):
            return super().injected(body, namespace)
        answer = self.found["response"]["response"]
        if not answer["allowed"]:
            raise Refused(400, message=f"denied the request: {answer['status']['message']}")
        patched: Body = jsonpatch.apply_patch(
            self.found["request"]["request"]["object"], answer["patch_decoded"]
        )
        return patched


PORTS = {key: value for key, value in OVERRIDES.items() if key.startswith("traffic.")}


def requested_of(name: str) -> Admission:
    kube: Any = Injector(name)
    return Admission(kube, expected("1.29.6", "v1.34.4", ["v1.34.4"]), "bookinfons")


def test_overrides_that_a_real_injector_granted_are_found() -> None:
    start_observing()
    requested_of("ports").expect_overrides(PORTS)


def test_an_override_of_ports_that_was_not_granted_is_noticed() -> None:
    message = seen(lambda: requested_of("plain").expect_overrides(PORTS))
    assert "istio-init of pod bookinfons/probe: expected -b 9080" in message
    assert "excludeOutboundPorts: 3306" in message


def test_an_override_of_memory_that_was_not_granted_is_noticed() -> None:
    message = seen(lambda: requested_of("ports").expect_overrides())
    assert "resources of the sidecar in pod bookinfons/probe: expected" in message
    assert "'memory': '64Mi'" in message


def test_a_bad_override_that_a_real_injector_refused_is_well() -> None:
    telling = start_observing()
    requested_of("bad-annotation").expect_invalid_override_refused()
    assert "for annotation 'traffic.sidecar.istio.io/excludeOutboundPorts'" in telling.notes[0]


def test_a_bad_override_that_is_let_through_is_noticed() -> None:
    assert "got accepted" in seen(requested_of("plain").expect_invalid_override_refused)


def test_a_bad_override_that_is_refused_for_another_reason_is_noticed(
    admission: Admission, server: Server
) -> None:
    plain = server.injected

    def injected(body: Body, namespace: str) -> Body:
        if body["metadata"].get("annotations"):
            raise Refused(403, message="exceeded quota: pods")
        return plain(body, namespace)

    server.injected = injected  # type: ignore[method-assign]  # this server minds another thing
    assert "got refused with: exceeded quota: pods" in seen(
        admission.expect_invalid_override_refused
    )


# The port from which the proxy is to merge an application's metrics

RESERVED = "invalid prometheus scrape configuration: port 15090 is reserved for Istio"
NO_PORT = 'invalid prometheus scrape configuration: invalid port "http"'


def minding(server: Server, answers: dict[str, str]) -> None:
    """Have the injector refuse pods by the port that they name."""
    plain = server.injected

    def injected(body: Body, namespace: str) -> Body:
        port = body["metadata"]["annotations"].get("prometheus.io/port", "")
        if words := answers.get(port):
            raise Refused(400, message=f"denied the request: failed to process pod: {words}")
        return plain(body, namespace)

    server.injected = injected  # type: ignore[method-assign]  # this server minds another thing


def test_an_injector_that_minds_the_port_of_metrics_holds(
    admission: Admission, server: Server
) -> None:
    minding(server, {"http": NO_PORT, "15090": RESERVED})
    telling = start_observing()
    admission.expect_bad_metrics_ports_refused()
    assert len(telling.notes) == 2
    assert telling.inspected == 2


@pytest.mark.parametrize(("refused", "taken"), [("http", "15090"), ("15090", "http")])
def test_a_bad_port_of_metrics_that_is_taken_is_noticed(
    admission: Admission, server: Server, refused: str, taken: str
) -> None:
    minding(server, {refused: "invalid prometheus scrape configuration"})
    message = seen(admission.expect_bad_metrics_ports_refused)
    assert f"pod with prometheus.io/port: {taken} in namespace shop" in message
    assert "got accepted" in message


def test_a_bad_port_of_metrics_that_is_refused_for_another_reason_is_noticed(
    admission: Admission, server: Server
) -> None:
    minding(server, {"http": "exceeded quota", "15090": RESERVED})
    assert "exceeded quota" in seen(admission.expect_bad_metrics_ports_refused)


@pytest.mark.parametrize(
    ("istio", "options", "reason"),
    [
        ("1.30.3", MeshOptions(), "Istio 1.30.3 accepts any metrics port"),
        ("1.31.0", MeshOptions(merges_metrics=False), "enablePrometheusMerge is off"),
    ],
)
def test_the_port_of_metrics_is_not_claimed_where_nobody_looks(
    server: Server, istio: str, options: MeshOptions, reason: str
) -> None:
    kube: Any = server
    rows = expected(istio, "v1.35.0", ["v1.35.0"]).set_to(options)
    with pytest.raises(NotTested, match=reason):
        Admission(kube, rows, "shop").expect_bad_metrics_ports_refused()
