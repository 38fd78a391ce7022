"""`python -m fixtures.init`: a first seatrial.toml of what a mesh serves, which then holds."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures import init
from fixtures.claims import ClaimFailed
from fixtures.claims.deadlines import POD_READY
from fixtures.claims.waiting import eventually
from fixtures.istio.expected.found import Found
from fixtures.k8s import Kube
from fixtures.k8s.pod import Pod
from fixtures.providers.base import Access
from tests.embedded.conftest import VERSIONS, EmbeddedCluster, started
from tests.unit.states import FakeKube, as_kube

ROOT = Path(__file__).parents[2]
SECONDS = 120
SHOP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: details, namespace: shop}
spec:
  selector: {matchLabels: {app: details}}
  template:
    metadata: {labels: {app: details}}
    spec:
      containers:
        - name: details
          image: docker.io/istio/examples-bookinfo-details-v1:1.20.3
          ports: [{containerPort: 9080}]
---
apiVersion: v1
kind: Service
metadata: {name: details, namespace: shop}
spec:
  selector: {app: details}
  ports: [{name: http, port: 9080}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  selector: {istio: nowhere}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: ["shop.example.com"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: ["shop.example.com"]
  gateways: [front]
  http:
    - match: [{uri: {prefix: /details}}]
      route: [{destination: {host: details, port: {number: 9080}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: side, namespace: shop}
spec:
  gatewayClassName: istio
  listeners:
    - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: side, namespace: shop}
spec:
  parentRefs: [{name: side}]
  hostnames: ["side.example.com"]
  rules:
    - matches: [{path: {type: PathPrefix, value: /details/0}}]
      backendRefs: [{name: details, port: 9080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: odd, namespace: shop}
spec:
  parentRefs: [{name: side}]
  hostnames: ["odd.example.com"]
  rules:
    - matches: [{path: {type: PathPrefix, value: /nothing}}]
      backendRefs: [{name: details, port: 9080}]
"""


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[EmbeddedCluster]:
    """A mesh in ambient mode with a gateway that serves a host, and one that is not there."""
    home = tmp_path / "mesh"
    home.mkdir()
    with started(home, *VERSIONS, "--mesh", "ambient", "--gateway-api") as there:
        context = there.ready["context"]
        kube = Kube.connect(Access(there.kubeconfig, context, None, "rehearsal", "t", "1", "1"))
        kube.apply(list(yaml.safe_load_all(SHOP)))
        eventually(partial(must_be_ready, kube), within=POD_READY)
        kube.close()
        yield there


def must_be_ready(kube: Kube) -> None:
    pods = [Pod.of(body) for body in kube.list("pods", "shop")]
    late = [pod.brief for pod in pods if not pod.ready]
    if late or len(pods) < 2:
        raise ClaimFailed("pods of the shop", expected="two, ready", got=late or len(pods))


def test_a_first_file_is_written_and_holds(mesh: EmbeddedCluster, tmp_path: Path) -> None:
    path = tmp_path / "seatrial.toml"
    where = ["--kube-context", mesh.ready["context"], "--kubeconfig", str(mesh.kubeconfig)]
    eventually(partial(must_be_written, path, where), within=POD_READY)
    text = path.read_text()
    assert "# Not so today: pods of gateway shop/front: none" in text
    assert '# url = "http://shop.example.com/details"' in text
    assert "status = 404\n# Nothing is at that path" in text
    assert tomllib.loads(text) == {
        "provider": "existing",
        "kube-context": mesh.ready["context"],
        "kubeconfig": str(mesh.kubeconfig),
        "profile": "readonly",
        "expect": [
            {"gateway": "shop/side", "url": "http://odd.example.com/nothing", "status": 404},
            {
                "gateway": "shop/side",
                "url": "http://side.example.com/details/0",
                "status": 200,
            },
            {"namespace": "shop", "mode": "ambient"},
        ],
    }
    suite = str(ROOT / "suites" / "test_17_expected.py")
    line = [sys.executable, "-m", "pytest", suite, "-q", "--config", str(path)]
    done = subprocess.run(
        [*line, "--reports-dir", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert init.main([*where, "--output", str(path)]) == 4
    assert path.read_text() == text


def must_be_written(path: Path, where: list[str]) -> None:
    """Write it once the gateway serves its route, a moment after its pod is ready."""
    path.unlink(missing_ok=True)
    assert init.main([*where, "--output", str(path)]) == 0
    if "status = 200" not in path.read_text():
        raise ClaimFailed("the file", expected="a host that is served", got=path.read_text())


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ([], 4, "say which cluster: --kube-context NAME, or --in-cluster"),
        (["--in-cluster", "--kube-context", "x"], 4, "say which cluster"),
        (["--kube-context", "x", "--output", "there"], 4, "there is there already"),
        (["--kube-context", "x", "--output", "dangling"], 4, "dangling is there already"),
        (["--kube-context", "x", "--kubeconfig", "none"], 10, "none"),
        (["--in-cluster"], 10, "--in-cluster"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").touch()
    Path("dangling").symlink_to("nowhere")
    assert init.main(given) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not Path("seatrial.toml").exists()


# What is found


def named(name: str, spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "front"}, "spec": spec}


def server(protocol: str, number: int, *hosts: str, **tls: Any) -> dict[str, Any]:
    port = {"number": number, "protocol": protocol, "name": protocol}
    return {"port": port, "hosts": list(hosts), **({"tls": tls} if tls else {})}


def urls(servers: list[Any], *routes: Any) -> list[str]:
    state = {
        "networking.istio.io/v1/gateways": [named("gate", {"servers": servers})],
        "networking.istio.io/v1/virtualservices": [
            named(f"r{n}", r) for n, r in enumerate(routes)
        ],
    }
    return [row.url for row in Found(as_kube(FakeKube(state)), "istio-system").hosts()]


ROUTE = {"hosts": ["a.com"], "gateways": ["gate"]}


@pytest.mark.parametrize(
    ("servers", "route", "found"),
    [
        ([server("HTTP", 80, "*")], ROUTE, ["http://a.com/"]),
        ([server("HTTP", 8080, "front/a.com")], ROUTE, ["http://a.com:8080/"]),
        ([server("HTTPS", 443, "*.com", mode="SIMPLE")], ROUTE, ["https://a.com/"]),
        ([server("HTTPS", 443, "a.com", mode="MUTUAL")], ROUTE, []),
        ([server("TLS", 443, "a.com", mode="PASSTHROUGH")], ROUTE, []),
        ([server("HTTP", 80, "a.com", httpsRedirect=True)], ROUTE, []),
        ([server("HTTP", 80, "b.com")], ROUTE, []),
        ([server("HTTP", 80, "b.com")], {**ROUTE, "hosts": ["*"]}, ["http://b.com/"]),
        ([server("HTTP", 80, "*")], {**ROUTE, "hosts": ["*"]}, []),
        ([server("HTTP", 80, "*")], {**ROUTE, "gateways": ["front/gate"]}, ["http://a.com/"]),
        ([server("HTTP", 80, "*")], {**ROUTE, "gateways": ["mesh", "b/gate"]}, []),
        (
            [server("HTTP", 80, "*")],
            {**ROUTE, "http": [{"match": [{"uri": {"regex": "x"}}, {"uri": {"exact": "/p"}}]}]},
            ["http://a.com/p"],
        ),
        ([server("HTTP", 80, "*")], {**ROUTE, "hosts": ["a b", "", 7]}, []),
        ([None, {"port": 7}, {"hosts": 7}], {"hosts": None, "gateways": 7, "http": [None]}, []),
        (None, None, []),
    ],
)
def test_hosts_are_those_that_a_gateway_is_led_to(
    servers: Any, route: Any, found: list[str]
) -> None:
    assert urls(servers, route) == found


def test_a_text_is_toml_whatever_it_holds() -> None:
    odd = 'a "b" \\ ü \x01'
    assert tomllib.loads("\n".join(init.table({"text": odd})))["expect"] == [{"text": odd}]
