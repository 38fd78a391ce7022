"""Where the proxy subresource leads."""

from typing import Any

import pytest

from fixtures.providers.embedded.apiserver.errors import StatusError
from fixtures.providers.embedded.apiserver.proxy import target

Body = dict[str, Any]

POD: Body = {
    "spec": {"containers": [{"ports": [{"containerPort": 9080}]}]},
    "status": {"podIP": "10.0.0.1"},
}
SERVICE: Body = {
    "metadata": {"name": "app", "namespace": "ns"},
    "spec": {"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]},
}


def endpoint(address: str, *, ready: bool) -> Body:
    return {"addresses": [address], "conditions": {"ready": ready}}


class Cluster:
    """One pod and one Service, whose first endpoint is not ready."""

    def __init__(self, *endpoints: Body) -> None:
        ports = [{"name": "http", "port": 8080}, {"name": "admin", "port": 8081}]
        self.slices = [{"endpoints": list(endpoints), "ports": ports}]

    def get(self, kind: str, name: str, namespace: str | None = None) -> Body:
        return {"pods": POD, "services": SERVICE}[kind]

    def list(self, kind: str, namespace: str | None = None, *, labels: str = "") -> list[Body]:
        assert (kind, labels) == (
            "endpointslices.discovery.k8s.io",
            "kubernetes.io/service-name=app",
        )
        return self.slices


@pytest.mark.parametrize(
    ("kind", "name", "url"),
    [
        ("pods", "p", "http://10.0.0.1:9080"),
        ("pods", "p:15020", "http://10.0.0.1:15020"),
        ("pods", "https:p:8443", "https://10.0.0.1:8443"),
        ("services", "app", "http://10.0.0.3:8080"),
        ("services", "app:admin", "http://10.0.0.3:8081"),
        ("services", "app:81", "http://10.0.0.3:8081"),
    ],
)
def test_a_name_leads_to_an_address(kind: str, name: str, url: str) -> None:
    cluster = Cluster(endpoint("10.0.0.2", ready=False), endpoint("10.0.0.3", ready=True))
    assert str(target(cluster, kind, "ns", name)) == url


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("app", 'no endpoints available for service "app"'),
        ("app:99", 'no service port "99" found for service "app"'),
    ],
)
def test_a_service_that_leads_nowhere(name: str, words: str) -> None:
    with pytest.raises(StatusError) as error:
        target(Cluster(endpoint("10.0.0.2", ready=False)), "services", "ns", name)
    assert (error.value.code, str(error.value)) == (503, words)
