"""The suite's door to the API, held against the embedded cluster: what needs a port of a pod."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from fixtures.istio.releases import expected
from fixtures.istio.sample import Sample
from fixtures.k8s import Kube, Refused, Unreachable
from fixtures.providers.base import Access
from fixtures.providers.request_log import ApiRequest
from tests.embedded.conftest import EmbeddedCluster


@pytest.fixture
def kube(embedded: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kube]:
    """A company's environment: none of it may matter to a server on this machine."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "/nonexistent")
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    entries = [embedded.ready[key] for key in ("context", "istio", "kubernetes")]
    access = Access(
        embedded.kubeconfig, entries[0], None, "rehearsal", "test", entries[1], entries[2]
    )
    door = Kube.connect(access)
    yield door
    door.close()


@pytest.fixture
def productpage(kube: Kube, embedded: EmbeddedCluster) -> str:
    kubernetes = embedded.ready["kubernetes"]
    sample = Sample(kube, expected(embedded.ready["istio"], kubernetes, [kubernetes]))
    return next(pod.name for pod in sample.pods() if pod.labels["app"] == "productpage")


def test_a_port_of_a_pod_is_requested_again_and_again(kube: Kube, productpage: str) -> None:
    with kube.forward(productpage, "bookinfons", 9080) as port:
        assert "Simple Bookstore App" in port.get("/productpage").body
        products = port.get("/api/v1/products", {"user-agent": "a test"})
        assert products.status == 200
        assert products.json[0]["title"] == "The Comedy of Errors"
        assert port.get("/nothing-there").status == 404


def test_several_ports_of_a_pod_take_one_stream(kube: Kube, productpage: str) -> None:
    forwarded = ApiRequest("create", "pods/portforward", "bookinfons")
    before = kube.requests.counted.get(forwarded, 0)
    with kube.forwards(productpage, "bookinfons", 9, 9080) as (nobody, page):
        with pytest.raises(Unreachable, match=r"port 9 of pod .*refused"):
            nobody.get("/")
        assert page.get("/health").status == 200
    assert kube.requests.counted[forwarded] == before + 1


def test_a_port_that_nobody_listens_on_is_unreachable_in_the_nodes_words(
    kube: Kube, productpage: str
) -> None:
    with (
        kube.forward(productpage, "bookinfons", 9) as port,
        pytest.raises(Unreachable, match=rf"port 9 of pod bookinfons/{productpage}.*refused"),
    ):
        port.get("/")


def test_a_pod_that_is_not_there_is_refused_in_the_servers_words(kube: Kube) -> None:
    with kube.forward("nobody", "bookinfons", 9080) as port:
        with pytest.raises(Refused) as caught:
            port.get("/")
        assert str(caught.value) == 'pods "nobody" not found'
        assert caught.value.code == 404


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_port_may_be_left_before_it_has_sent_everything(kube: Kube, productpage: str) -> None:
    with kube.forward(productpage, "bookinfons", 9080) as port, port.connect() as end:
        end.sendall(b"GET /productpage HTTP/1.0\r\n\r\n")
        assert end.recv(4) == b"HTTP"
    for thread in threading.enumerate():
        if thread.name.startswith("Kubernetes port forward"):
            thread.join(10)
            assert not thread.is_alive()
