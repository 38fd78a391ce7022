"""The clients in the mesh on the embedded cluster: what the script does in a real pod."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.claims.deadlines import timeout
from fixtures.istio.cluster import Cluster
from fixtures.istio.sample import Sample
from fixtures.k8s import Kube
from fixtures.setup.clients import clients_running
from fixtures.traffic.in_mesh import MeshClients
from tests.embedded.conftest import EmbeddedCluster


@pytest.fixture(scope="module")
def clients(embedded: EmbeddedCluster) -> Iterator[MeshClients]:
    kube = Kube.of_context(embedded.kubeconfig, str(embedded.ready["context"]))
    expected = Cluster.read(kube, "1.29.6").expected
    with clients_running(Sample(kube, expected, "bookinfons")) as running:
        yield running
    left = [one["metadata"]["name"] for one in kube.list("deployments.apps", "bookinfons")]
    left += [one["metadata"]["name"] for one in kube.list("configmaps", "bookinfons")]
    assert not [name for name in left if name.startswith("seatrial")]
    kube.close()


SERVER = "http://seatrial-server:8080"


def test_the_others_answer_it(clients: MeshClients) -> None:
    answers = clients.client.requests(f"{SERVER}/headers", 6, parallel=2, headers={"who": "me"})
    assert {answer.status for answer in answers} == {200}
    assert answers[0].pod.startswith("seatrial-server-")
    assert {k.lower(): v for k, v in answers[0].json["headers"].items()}["who"] == "me"


def test_the_sample_answers_it(clients: MeshClients) -> None:
    answer = clients.client.request("http://reviews:9080/reviews/0")
    assert answer.json["podname"].startswith("reviews-")


def test_what_fails_first_is_counted(clients: MeshClients) -> None:
    found = clients.plain.requests(f"{SERVER}/flaky/a?fail=1&status=500", 2, keep_alive=False)
    assert [answer.status for answer in found] == [500, 200]
    assert clients.plain.request(f"{SERVER}/count/a").json["count"] == 2


def test_a_slow_answer_is_late(clients: MeshClients) -> None:
    late = clients.client.request(f"{SERVER}/delay/3", timeout=timeout("one request", 0.1))
    assert (late.status, late.kind) == (0, "timeout")
    assert clients.client.request(f"{SERVER}/delay/0.1").seconds >= 0.1


def test_an_unknown_host_is_none(clients: MeshClients) -> None:
    assert clients.client.request("http://nowhere:81/").kind == "unknown host"


def test_a_closed_port_is_told(clients: MeshClients) -> None:
    assert clients.plain.request(f"http://{clients.plain.pod().address}:81/").kind == "refused"
