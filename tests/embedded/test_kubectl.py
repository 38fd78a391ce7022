"""The embedded cluster as real kubectl sees it: what is typed in the run, and what is printed.

Printed text is compared in a normal form: ages, addresses, generated names and the width of
columns are taken out. Where recordings of a real cluster are at hand, what can be asked of the
run's last state is held against them too.
"""

import json
import re
import shlex
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.conftest import EmbeddedCluster
from tests.golden import Golden
from tests.recordings import ISTIO_1_29

PATIENCE = 60

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on the PATH")

_TAKEN_OUT = [
    (r"\b(?:10|127|172)\.\d+\.\d+\.\d+\b", "IP"),
    (r"-[0-9a-f]{8,10}-[a-z0-9]{5}\b", "-POD"),
    (r"(?<=-|=)(?=[0-9a-f]*\d)[0-9a-f]{8,10}\b", "HASH"),
    (r"\b(details|productpage|ratings|reviews|kube-api-access)-[a-z0-9]{5}(?=[\s:])", r"\1-X"),
    (r"(?<![\w.-])(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(?<=[dhms])(?![\w.-])", "AGE"),
    (r":3\d{4}/", ":NODEPORT/"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z|\w{3}, \d\d \w{3} \d{4} [\d:]+ \+0000", "TIME"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UID"),
    (r"containerd://[0-9a-f]{64}|sha256:[0-9a-f]{64}", "ID"),
    (r"(?<=resourceVersion: )\"\d+\"|(?<=Resource Version:)\s+\d+", "RV"),
    (r"https://\S+?(?=[/\s]|$)", "SERVER"),
    (r"\bseatrial[\w-]*", "NODE"),
    (r"[ \t]+", " "),
]


def normal(text: str) -> str:
    """What is left when chance is taken out."""
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    for pattern, word in _TAKEN_OUT:
        text = re.sub(pattern, word, text)
    # Whether a proxy is up when the kubelet first looks is a matter of the machine's load.
    lines = (line.strip() for line in text.strip().splitlines())
    return "\n".join(line for line in lines if "Startup probe failed" not in line)


@dataclass(frozen=True)
class Printed:
    """What a command printed and how it ended."""

    out: str
    err: str
    code: int


@dataclass(frozen=True)
class Kubectl:
    """Real kubectl on the embedded cluster."""

    kubeconfig: Path

    def command(self, line: str) -> list[str]:
        # Beside the kubeconfig: what it finds out about this cluster stays in nobody's home.
        ours = ("--kubeconfig", self.kubeconfig, "--cache-dir", self.kubeconfig.parent / "cache")
        return ["kubectl", *map(str, ours), *shlex.split(line)]

    def request(self, line: str, given: str = "") -> Printed:
        """Run a command, whatever comes of it."""
        done = subprocess.run(
            self.command(line),
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Printed(done.stdout, done.stderr, done.returncode)

    def __call__(self, line: str, given: str = "") -> str:
        """What a command that succeeds prints."""
        message = self.request(line, given)
        assert message.code == 0, message
        return message.out

    def json(self, line: str) -> Any:
        return json.loads(self(f"{line} -o json"))

    @contextmanager
    def running(self, line: str) -> Iterator["subprocess.Popen[str]"]:
        """Run a command that does not end by itself."""
        with subprocess.Popen(self.command(line), stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()


@pytest.fixture(scope="module")
def kubectl(embedded: EmbeddedCluster) -> Kubectl:
    return Kubectl(embedded.kubeconfig)


LISTED = {
    "get ns -L istio-injection": """
        NAME STATUS AGE ISTIO-INJECTION
        bookinfons Active AGE enabled
        default Active AGE
        istio-system Active AGE
        kube-node-lease Active AGE
        kube-public Active AGE
        kube-system Active AGE
    """,
    "get ns bookinfons --show-labels": """
        NAME STATUS AGE LABELS
        bookinfons Active AGE istio-injection=enabled,kubernetes.io/metadata.name=bookinfons
    """,
    "get nodes": """
        NAME STATUS ROLES AGE VERSION
        NODE Ready control-plane AGE v1.34.4
    """,
    "-n bookinfons get pods": """
        NAME READY STATUS RESTARTS AGE
        details-v1-POD 2/2 Running 0 AGE
        productpage-v1-POD 2/2 Running 0 AGE
        ratings-v1-POD 2/2 Running 0 AGE
        reviews-v1-POD 2/2 Running 0 AGE
        reviews-v2-POD 2/2 Running 0 AGE
        reviews-v3-POD 2/2 Running 0 AGE
    """,
    "-n bookinfons get svc": """
        NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE
        details ClusterIP IP <none> 9080/TCP AGE
        productpage ClusterIP IP <none> 9080/TCP AGE
        ratings ClusterIP IP <none> 9080/TCP AGE
        reviews ClusterIP IP <none> 9080/TCP AGE
    """,
    "-n bookinfons get endpointslices": """
        NAME ADDRESSTYPE PORTS ENDPOINTS AGE
        details-X IPv4 9080 IP AGE
        productpage-X IPv4 9080 IP AGE
        ratings-X IPv4 9080 IP AGE
        reviews-X IPv4 9080 IP,IP,IP AGE
    """,
    "-n bookinfons get gateway,virtualservice": """
        NAME AGE
        gateway.networking.istio.io/bookinfo-gateway AGE

        NAME GATEWAYS HOSTS AGE
        virtualservice.networking.istio.io/bookinfo ["bookinfo-gateway"] ["*"] AGE
    """,
    "-n bookinfons get deploy -l app=reviews -o wide": """
        NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR
        reviews-v1 1/1 1 1 AGE reviews IMAGES/reviews-v1:1.20.3 app=reviews,version=v1
        reviews-v2 1/1 1 1 AGE reviews IMAGES/reviews-v2:1.20.3 app=reviews,version=v2
        reviews-v3 1/1 1 1 AGE reviews IMAGES/reviews-v3:1.20.3 app=reviews,version=v3
    """.replace("IMAGES/", "docker.io/istio/examples-bookinfo-"),
    "-n kube-system get ds": """
        NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE
        kube-proxy 1 1 1 1 1 kubernetes.io/os=linux AGE
    """,
    "get mutatingwebhookconfigurations": """
        NAME WEBHOOKS AGE
        istio-revision-tag-default 4 AGE
        istio-sidecar-injector 4 AGE
    """,
    "-n istio-system get all": """
        NAME READY STATUS RESTARTS AGE
        pod/istio-egressgateway-POD 1/1 Running 0 AGE
        pod/istio-ingressgateway-POD 1/1 Running 0 AGE
        pod/istiod-POD 1/1 Running 0 AGE

        NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE
        service/istio-egressgateway ClusterIP IP <none> 80/TCP,443/TCP AGE
        service/istio-ingressgateway LoadBalancer IP <pending> INGRESS_PORTS AGE
        service/istiod ClusterIP IP <none> 15010/TCP,15012/TCP,443/TCP,15014/TCP AGE
        service/istiod-revision-tag-default ClusterIP IP <none> TAG_PORTS AGE

        NAME READY UP-TO-DATE AVAILABLE AGE
        deployment.apps/istio-egressgateway 1/1 1 1 AGE
        deployment.apps/istio-ingressgateway 1/1 1 1 AGE
        deployment.apps/istiod 1/1 1 1 AGE

        NAME DESIRED CURRENT READY AGE
        replicaset.apps/istio-egressgateway-HASH 1 1 1 AGE
        replicaset.apps/istio-ingressgateway-HASH 1 1 1 AGE
        replicaset.apps/istiod-HASH 1 1 1 AGE
    """.replace(
        "INGRESS_PORTS",
        ",".join(f"{port}:NODEPORT/TCP" for port in (15021, 80, 443, 31400, 15443)),
    ).replace("TAG_PORTS", "15010/TCP,15012/TCP,443/TCP,15014/TCP"),
    "cluster-info": """
        Kubernetes control plane is running at SERVER
        CoreDNS is running at SERVER/api/v1/namespaces/kube-system/services/kube-dns:dns/proxy

        To further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.
    """,
    "auth can-i create pods": "yes",
    "-n istio-system get svc istio-ingressgateway -o"
    " jsonpath='{.spec.ports[?(@.name==\"http2\")].targetPort}'": "8080",
    "-n bookinfons get pods -o jsonpath='{range .items[*]}{.metadata.labels.app}: "
    '{.spec.initContainers[*].name} {.spec.containers[*].name}{"\\n"}{end}\'': """
        details: istio-init istio-proxy details
        productpage: istio-init istio-proxy productpage
        ratings: istio-init istio-proxy ratings
        reviews: istio-init istio-proxy reviews
        reviews: istio-init istio-proxy reviews
        reviews: istio-init istio-proxy reviews
    """,
}


@pytest.mark.parametrize("line", LISTED)
def test_what_the_run_lists(kubectl: Kubectl, line: str) -> None:
    assert normal(kubectl(line)) == normal(LISTED[line])


# Files whose command can be asked again of the run's last state, and answers the same.
COMPARED = [
    *("01-cluster-info", "02-get-crd", "02-get-svc", "02-get-webhooks"),
    *("03-get-deploy-wide", "03-get-ep", "03-get-eps", "03-get-rs", "03-get-sa", "03-get-svc"),
    *("03-describe-deploy", "03-describe-svc", "04-describe-pod", "04-get-ns-L"),
    *("07-describe-vs", "07-get-gw-vs"),
]


@pytest.mark.parametrize("name", COMPARED)
def test_what_a_real_cluster_printed(kubectl: Kubectl, name: str) -> None:
    recorded = ISTIO_1_29.text(f"kubectl/{name}.txt")
    requested, _, rest = recorded.partition("\n")
    out = rest.partition("# --- stdout\n")[2].partition("# --- stderr")[0]
    line = requested.removeprefix("$ kubectl ")
    assert normal(kubectl(line)) == normal(out)


def test_the_versions_of_both_ends(kubectl: Kubectl) -> None:
    assert kubectl.json("version")["serverVersion"]["gitVersion"] == "v1.34.4"


def test_the_kinds_there_are(kubectl: Kubectl) -> None:
    listed = normal(kubectl("api-resources")).splitlines()
    assert "pods po v1 true Pod" in listed
    assert "virtualservices vs networking.istio.io/v1 true VirtualService" in listed


def test_a_raw_path(kubectl: Kubectl) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    names = [
        item["metadata"]["name"] for item in json.loads(kubectl(f"get --raw {path}"))["items"]
    ]
    assert names == ["istio-revision-tag-default", "istio-sidecar-injector"]


def test_what_is_not_there(kubectl: Kubectl) -> None:
    message = kubectl.request("-n bookinfons get pod nobody")
    assert message == Printed("", 'Error from server (NotFound): pods "nobody" not found\n', 1)
    message = kubectl.request("-n bookinfons get cm -l no=one")
    assert (message.err, message.code) == ("No resources found in bookinfons namespace.\n", 0)


def in_order(text: str, *lines: str) -> None:
    """Each line stands somewhere after the one before."""
    rest = normal(text).splitlines()
    for line in lines:
        assert line in rest, f"{line!r} is missing, or not in its place, in:\n{text}"
        rest = rest[rest.index(line) + 1 :]


def test_describe_pod(kubectl: Kubectl) -> None:
    in_order(
        kubectl("-n bookinfons describe pod -l app=productpage"),
        "Name: productpage-v1-POD",
        "Service Account: bookinfo-productpage",
        "Node: NODE/IP",
        "Status: Running",
        "Controlled By: ReplicaSet/productpage-v1-HASH",
        "Init Containers:",
        "istio-init:",
        "istio-iptables",
        "State: Terminated",
        "Reason: Completed",
        "istio-proxy:",
        "Image: docker.io/istio/proxyv2:1.29.6",
        "State: Running",
        "Containers:",
        "productpage:",
        "Port: 9080/TCP",
        "State: Running",
        "Conditions:",
        "Initialized True",
        "Ready True",
        "QoS Class: Burstable",
        "Type Reason Age From Message",
        "Normal Scheduled AGE default-scheduler Successfully assigned"
        " bookinfons/productpage-v1-POD to NODE",
        "Normal Started AGE kubelet Started container productpage",
    )


def test_describe_deployment(kubectl: Kubectl) -> None:
    in_order(
        kubectl("-n bookinfons describe deploy productpage-v1"),
        "Name: productpage-v1",
        "Annotations: deployment.kubernetes.io/revision: 1",
        "Selector: app=productpage,version=v1",
        "Replicas: 1 desired | 1 updated | 1 total | 1 available | 0 unavailable",
        "StrategyType: RollingUpdate",
        "RollingUpdateStrategy: 25% max unavailable, 25% max surge",
        "Available True MinimumReplicasAvailable",
        "Progressing True NewReplicaSetAvailable",
        "NewReplicaSet: productpage-v1-HASH (1/1 replicas created)",
    )


def test_describe_routes(kubectl: Kubectl) -> None:
    in_order(
        kubectl("-n bookinfons describe virtualservice/bookinfo gateway/bookinfo-gateway"),
        "Hosts:",
        "*",
        "Exact: /productpage",
        "Prefix: /api/v1/products",
        "Host: productpage",
        "Number: 9080",
        "Kind: Gateway",
        "Selector:",
        "Istio: ingressgateway",
        "Protocol: HTTP",
    )


def test_logs_of_a_deployment_and_a_container_nobody_has(kubectl: Kubectl, golden: Golden) -> None:
    assert len(kubectl("-n istio-system logs deploy/istiod --tail=1").splitlines()) == 1
    message = kubectl.request("-n bookinfons logs deploy/details-v1 -c nobody")
    assert message.code == 1
    golden(normal(message.err))


def test_the_page_through_port_forward(kubectl: Kubectl) -> None:
    with kubectl.running("-n bookinfons port-forward svc/productpage :9080") as process:
        assert process.stdout
        reported = re.fullmatch(
            r"Forwarding from 127.0.0.1:(\d+) -> 9080\n", process.stdout.readline()
        )
        assert reported
        for _ in range(3):
            url = f"http://127.0.0.1:{reported[1]}/productpage"
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                page = answer.read().decode()
            assert "<title>Simple Bookstore App</title>" in page
            assert page.rstrip().endswith("</html>")


def test_a_port_nobody_listens_on(kubectl: Kubectl) -> None:
    command = kubectl.command("-n bookinfons port-forward deploy/productpage-v1 :9999")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        port = process.stdout.readline().split()[2].rpartition(":")[2]
        with socket.create_connection(("127.0.0.1", int(port)), timeout=PATIENCE) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.recv(1) == b""
        message = process.stderr.read()
    assert "error forwarding port 9999 to pod" in message
    assert "connect: connection refused" in message
    assert "error: lost connection to pod" in message


APP = """
apiVersion: v1
kind: Service
metadata: {name: app}
spec:
  selector: {app: app}
  ports: [{name: http, port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: app, image: registry.k8s.io/pause:3.10}]
"""


@pytest.fixture
def trial(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of its own, as the option that names it."""
    assert kubectl("create ns trial") == "namespace/trial created\n"
    yield "-n trial"
    assert kubectl("delete ns trial") == 'namespace "trial" deleted\n'


def test_a_deployments_life(kubectl: Kubectl, trial: str) -> None:
    kinds = ("service/app", "deployment.apps/app")
    manifest = f"{trial} apply -f -"
    assert kubectl(manifest, APP).splitlines() == [f"{kind} created" for kind in kinds]
    done = 'deployment "app" successfully rolled out'
    assert kubectl(f"{trial} rollout status deploy/app").splitlines()[-1] == done
    assert kubectl(manifest, APP).splitlines() == [f"{kind} unchanged" for kind in kinds]
    assert kubectl(f"{trial} scale deploy/app --replicas=2") == "deployment.apps/app scaled\n"
    assert kubectl(f"{trial} rollout status deploy/app").splitlines()[-1] == done
    listed = normal(kubectl(f"{trial} get pods -l app=app"))
    assert listed.splitlines()[1:] == ["app-POD 1/1 Running 0 AGE"] * 2
    waited = kubectl(f"{trial} wait --for=condition=Available deploy/app --timeout=10s")
    assert waited == "deployment.apps/app condition met\n"
    deleted = kubectl(f"{trial} delete -f -", APP).splitlines()
    assert [line.replace(" from trial namespace", "") for line in deleted] == [
        'service "app" deleted',
        'deployment.apps "app" deleted',
    ]
    kubectl(f"{trial} wait --for=delete pod -l app=app --timeout=30s")
    assert kubectl(f"{trial} get pods") == ""


def test_restart_change_and_undo(kubectl: Kubectl, trial: str) -> None:
    kubectl(f"{trial} apply -f -", APP)
    kubectl(f"{trial} rollout status deploy/app")
    assert kubectl(f"{trial} rollout restart deploy") == "deployment.apps/app restarted\n"
    kubectl(f"{trial} rollout status deploy/app --timeout=30s")
    patch = '{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"pause:9"}]}}}}'
    assert kubectl(f"{trial} patch deploy app -p '{patch}'") == "deployment.apps/app patched\n"
    image = "jsonpath='{.spec.template.spec.containers[0].image}'"
    assert kubectl(f"{trial} get deploy app -o {image}") == "pause:9"
    history = normal(kubectl(f"{trial} rollout history deploy/app")).splitlines()
    assert history[2:] == ["1 <none>", "2 <none>", "3 <none>"]
    assert kubectl(f"{trial} rollout undo deploy/app") == "deployment.apps/app rolled back\n"
    assert kubectl(f"{trial} get deploy app -o {image}") == "registry.k8s.io/pause:3.10"
    kubectl(f"{trial} rollout status deploy/app --timeout=30s")


def test_labels_come_and_go(kubectl: Kubectl, trial: str) -> None:
    assert kubectl("label ns trial istio-injection=enabled") == "namespace/trial labeled\n"
    message = kubectl.request("label ns trial istio-injection=disabled")
    assert "already has a value (enabled), and --overwrite is false" in message.err
    assert kubectl("label ns trial istio-injection-") == "namespace/trial unlabeled\n"


def test_a_watch_shows_a_pod_come_up(kubectl: Kubectl, trial: str) -> None:
    kubectl(f"{trial} apply -f -", APP)
    kubectl(f"{trial} rollout status deploy/app")
    with kubectl.running(f"{trial} get pods -w --request-timeout=60s") as process:
        assert process.stdout
        assert normal(process.stdout.readline()) == "NAME READY STATUS RESTARTS AGE"
        first = process.stdout.readline().split()[0]  # listed: from here on, changes are shown
        kubectl(f"{trial} scale deploy/app --replicas=2")
        words: list[str] = []
        while "1/1 Running" not in words:
            name, ready, word = process.stdout.readline().split()[:3]
            if name != first:
                words.append(f"{ready} {word}")
    assert words[0] == "0/1 Pending"
    assert "0/1 ContainerCreating" in words


def test_what_the_injector_refuses_to_take_is_reported(kubectl: Kubectl) -> None:
    bad = '{"spec":{"http":[{"route":[]}]}}'
    message = kubectl.request(
        f"-n bookinfons patch virtualservice bookinfo --type=merge -p '{bad}'"
    )
    assert message.code == 1
    assert "Error from server" in message.err
    assert "admission webhook" in message.err


KEPT = "Warning: the embedded cluster only keeps {} objects, no controller acts on them"
CREATED = {
    "create deployment d --image=registry.k8s.io/pause:3.10 --replicas=0": "",
    "create service clusterip s --tcp=80:80": "",
    "create priorityclass trial --value=5": "",
    "create quota q --hard=cpu=1": "ResourceQuota",
    "create job j --image=x": "Job",
    "create cronjob c --image=x --schedule='*/5 * * * *'": "CronJob",
    "create ingress i --rule=a.b/c=svc:80": "Ingress",
    "create pdb p --selector=app=d --min-available=1": "PodDisruptionBudget",
    "autoscale deployment d --max=3": "HorizontalPodAutoscaler",
}


def test_what_typed_commands_create(kubectl: Kubectl, trial: str) -> None:
    for line, kept in CREATED.items():
        message = kubectl.request(f"{trial} {line}")
        assert (message.code, message.err.strip()) == (0, KEPT.format(kept) if kept else ""), line
    made = kubectl.json(f"{trial} get deploy d")["spec"]
    assert made["replicas"] == 0
    assert made["template"]["spec"]["containers"][0]["image"] == "registry.k8s.io/pause:3.10"
    assert kubectl.json(f"{trial} get pdb p")["spec"]["minAvailable"] == 1
    kubectl("delete priorityclass trial")


POD = "-n bookinfons get pods -l app=details -o name"
DRAINED = "--ignore-daemonsets --force --delete-emptydir-data"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("-n bookinfons exec {pod} -- ls", "exec"),
        ("-n bookinfons attach {pod}", "attach"),
        ("-n bookinfons debug {pod} --image=busybox:1.36", "kubectl debug"),
        ("debug node/seatrial-control-plane --image=busybox:1.36", "kubectl debug"),
        ("top nodes", "kubectl top"),
        ("-n bookinfons top pods", "kubectl top"),
        ("get ns --as bob", "impersonation (--as)"),
        ("-n bookinfons delete deploy details-v1 --cascade=orphan", "deletion with"),
        ("taint node seatrial-control-plane a=b:NoSchedule", "a cordon or a taint of a node"),
        ("-n bookinfons set image {pod} details=a:1.0", "a change of a pod's specification"),
        ("-n bookinfons logs {pod} --since-time=2026-01-01T00:00:00Z", "sinceTime of a log"),
        (f"drain seatrial-control-plane --dry-run=server {DRAINED}", "eviction"),
    ],
)
def test_what_is_not_offered_says_so(kubectl: Kubectl, line: str, what: str) -> None:
    before = kubectl(POD)
    message = kubectl.request(line.format(pod=before.split()[0]))
    assert message.code != 0
    assert what in message.err
    assert "is not offered by the embedded cluster" in message.err
    assert "Creating" not in message.out + message.err
    assert kubectl(POD) == before
