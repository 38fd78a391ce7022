"""An existing cluster that cannot be used: one line that says what to do, and an exit code."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fixtures.k8s.node import Node
from fixtures.providers.base import ProvisionError, ProvisioningFailed, UnsafeTarget
from fixtures.providers.existing import Existing, kubeconfig
from fixtures.providers.existing.safety import PRODUCTION, must_be_safe
from fixtures.run.cluster import refusal
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]


def config(server: str = "http://127.0.0.1:1", **user: str) -> str:
    content = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "staging",
    }
    return yaml.safe_dump(content)


def ended_certificate() -> str:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1)
    made = made.not_valid_before(now - timedelta(days=9)).not_valid_after(now - timedelta(days=2))
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return base64.b64encode(pem).decode()


def refused(environment: dict[str, str], **more: Any) -> ProvisionError:
    given: dict[str, Any] = {"context": "staging", "warn": print}
    provider = Existing(**{**given, "environment": environment, **more})
    with pytest.raises(ProvisionError) as caught, provider.provide():
        pytest.fail("it was provided")
    assert "\n" not in str(caught.value)
    return caught.value


FILES = [
    pytest.param(
        "", "is empty; name the right file with --kubeconfig or in KUBECONFIG", id="empty"
    ),
    pytest.param("a: [", ", line 1 is not YAML; name the right file", id="not YAML"),
    pytest.param("[1]", "is not a kubeconfig; name the right file", id="a list"),
    pytest.param("contexts: [1]", "its contexts cannot be read", id="no context in it"),
    pytest.param("contexts: [{name: a, context: b}]", "its contexts cannot be read", id="no body"),
    pytest.param("\x00", "is not YAML", id="binary"),
    pytest.param("kind: Config", "unknown; there are none", id="no such context"),
    pytest.param(
        config(**{"client-certificate-data": ended_certificate()}),
        "ended on 20",
        id="client certificate ended",
    ),
    pytest.param(
        config(**{"client-certificate": "gone.pem"}),
        "client certificate of context staging cannot be read",
        id="client certificate missing",
    ),
    pytest.param(config(), "does not answer", id="unreachable"),
]


@pytest.mark.parametrize(("text", "words"), FILES)
def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    error = refused({"KUBECONFIG": str(path)})
    assert words in str(error)
    assert error.exit_code == 10
    assert path.read_text() == text


def test_there_is_no_kubeconfig(tmp_path: Path) -> None:
    error = refused({"HOME": str(tmp_path)})
    assert str(tmp_path / ".kube" / "config") in str(error)
    assert "with --kubeconfig or in KUBECONFIG" in str(error)


def test_contexts_of_several_files_are_known_and_their_files_are_found_from_anywhere(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("kind: Config")
    second.write_text(config(tokenFile="token"))
    path = f"{tmp_path / 'missing'}:{first}:{second}"
    target = kubeconfig.of_context("staging", {"KUBECONFIG": path})
    assert target.content["users"][0]["user"]["tokenFile"] == str(tmp_path / "token")
    error = refused({"KUBECONFIG": path}, context="other")
    assert "--kube-context other: unknown; there are staging (in " in str(error)


def test_a_file_that_is_named_is_the_only_one_that_is_read(tmp_path: Path) -> None:
    named, other = tmp_path / "a:b", tmp_path / "other"
    named.write_text(config(tokenFile="token"))
    other.write_text(config().replace("staging", "other"))
    environment = {"KUBECONFIG": str(other)}
    assert kubeconfig.of_context("staging", environment, named).server == "http://127.0.0.1:1"
    assert "there are staging" in str(refused(environment, kubeconfig=named, context="other"))


@pytest.mark.parametrize("text", ["", "a: [", "[1]", None], ids=["empty", "YAML", "list", "gone"])
def test_a_file_that_is_named_and_cannot_be_used_is_one_line(
    tmp_path: Path, text: str | None
) -> None:
    named = tmp_path / "named"
    if text is not None:
        named.write_text(text)
    error = refused({}, kubeconfig=named)
    assert f"kubeconfig {named}" in str(error)
    assert error.exit_code == 10


@contextmanager
def server(*answers: tuple[int, str], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that gives these answers, the last one again and again."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        if tls:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{http.server_port}"
        http.shutdown()


NOTHING = """{"items": [], "gitVersion": "v1.34.4", "versions": [{"version": "v1"}],
              "preferredVersion": {"version": "v1"}}"""
FORBIDDEN = (
    '{"kind": "Status", "message": "nodes is forbidden: User \\"u\\" cannot list resource"}'
)
ANSWERS = [
    pytest.param((200, "<html>Log in</html>"), "is a proxy between?", id="a proxy's HTML"),
    pytest.param((401, '{"message": "Unauthorized"}'), "log in again", id="credentials"),
    pytest.param((403, FORBIDDEN), 'User "u" cannot list resource', id="no permission"),
    pytest.param((200, NOTHING), "Istio is absent", id="no Istio"),
    pytest.param((200, "{}"), "not as a Kubernetes API server does", id="JSON of something else"),
]


def test_a_server_of_another_authority_is_distinguished_from_one_that_is_silent(
    tmp_path: Path,
) -> None:
    theirs, ours = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path / "config"
    with server((200, NOTHING), tls=context) as url:
        content = yaml.safe_load(config(url))
        authority = base64.b64encode(ours.cert_pem.bytes()).decode()
        content["clusters"][0]["cluster"]["certificate-authority-data"] = authority
        path.write_text(yaml.safe_dump(content))
        error = str(refused({"KUBECONFIG": str(path)}))
    assert "a certificate that the kubeconfig's authority did not sign" in error
    assert "does not answer" not in error


def test_who_is_called_production_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(config().replace("staging", "prod-eu"))
    found = refused({"KUBECONFIG": str(path)}, context="prod-eu")  # nobody listens there
    assert "looks like production: its name is prod-eu" in str(found)
    assert isinstance(found, UnsafeTarget)


@pytest.mark.parametrize(("answer", "words"), ANSWERS)
def test_a_server_that_cannot_be_used(tmp_path: Path, answer: tuple[int, str], words: str) -> None:
    path = tmp_path / "config"
    with server(answer) as url:
        path.write_text(config(url))
        error = refused({"KUBECONFIG": str(path)})
    assert words in str(error)
    assert isinstance(error, ProvisioningFailed)


@pytest.mark.parametrize(
    ("istio", "kube", "words"),
    [
        ("1.9.0", "1.20.1", "Istio 1.9.0 is too old: this suite knows 1.13 to"),
        ("1.20.8", "1.31.4", "Istio 1.20.8 supports Kubernetes 1.25 to 1.29, not 1.31.4"),
    ],
)
def test_versions_that_do_not_fit_are_reported_with_the_range(
    istio: str, kube: str, words: str
) -> None:
    assert words in refusal(istio, kube, allowed=False)
    assert "--allow-unsupported" in refusal(istio, kube, allowed=False)
    assert refusal(istio, kube, allowed=True) == ""


@pytest.mark.parametrize(("istio", "kube"), [("1.30.3", "1.34.2-gke.1"), ("1.99.0", "1.60.0")])
def test_versions_that_fit_or_are_newer_are_taken(istio: str, kube: str) -> None:
    assert refusal(istio, kube, allowed=False) == ""


def test_a_pod_is_needed_to_take_its_own_cluster(tmp_path: Path) -> None:
    assert "this is no pod" in str(refused({}, context="", in_cluster=True))
    inside = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    error = refused(inside, context="", in_cluster=True, account=tmp_path)
    assert "automountServiceAccountToken" in str(error)


def test_the_account_of_a_pod_is_taken(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("c")
    inside = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    target = kubeconfig.of_pod(inside, tmp_path)
    assert target.server == "https://[fd00::1]:6443"
    assert target.content["users"][0]["user"] == {"tokenFile": str(tmp_path / "token")}


@pytest.mark.parametrize("name", ["prod", "eu-prod-1", "shop.production", "PRD_eu", "live-mesh"])
def test_a_name_that_looks_like_production(name: str) -> None:
    assert PRODUCTION.search(name)


@pytest.mark.parametrize("name", ["product", "staging", "reproduce", "kind-lab", "delivery"])
def test_a_name_that_does_not(name: str) -> None:
    assert not PRODUCTION.search(name)


def target(context: str) -> kubeconfig.Target:
    return kubeconfig.Target(context, "c", "https://10.0.0.1", {})


LABELLED = Node("node-1", "", "", "", labels={"example.com/environment": "production"})


def test_production_is_refused_unless_its_context_is_named_again() -> None:
    with pytest.raises(UnsafeTarget, match="add --allow-context eu-prod") as caught:
        must_be_safe(target("eu-prod"), [], "")
    assert caught.value.exit_code == 13
    must_be_safe(target("eu-prod"), [LABELLED], "eu-prod")
    with pytest.raises(UnsafeTarget, match="environment=production of node-1"):
        must_be_safe(target("harmless"), [LABELLED], "")
    with pytest.raises(UnsafeTarget, match="the context is eu-prod"):
        must_be_safe(target("eu-prod"), [], "us-prod")


OPTIONS = [
    pytest.param((), 13, "--kube-context NAME", id="no context"),
    pytest.param(("--kube-context", "a", "--in-cluster"), 4, "name two clusters", id="both"),
    pytest.param(
        ("--kube-context", "a", "--read-only", "--allow-mesh-writes"),
        4,
        "--allow-mesh-writes: not with --read-only",
        id="writes read-only",
    ),
    pytest.param(
        ("--kube-context", "a", "--profile", "readonly", "--allow-mesh-writes"),
        4,
        "--allow-mesh-writes: not with --profile readonly",
        id="writes with profile readonly",
    ),
    pytest.param(
        ("--kube-context", "a", "--profile", "readonly", "--prove"),
        4,
        "--prove: not with --profile readonly",
        id="a proof with profile readonly",
    ),
    pytest.param(
        ("--kube-context", "a", "--istio-version", "new"),
        4,
        "a version like 1.30",
        id="no version",
    ),
]


@pytest.mark.parametrize(("options", "code", "words"), OPTIONS)
def test_options_that_cannot_be(
    runs: SmallRuns, options: tuple[str, ...], code: int, words: str
) -> None:
    ended = runs.run("--provider", "existing", *options)
    assert words in ended.output
    assert ended.code == ended.report["exit_code"] == code


def test_an_option_of_an_existing_cluster_is_for_no_other(runs: SmallRuns) -> None:
    ended = runs.run("--kube-context", "a")
    assert "--kube-context: only with --provider existing" in ended.output
    assert ended.code == 4


def test_nothing_is_left_where_nothing_could_be_provided(tmp_path: Path) -> None:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("tempfile.tempdir", str(tmp_path))
        refused({"KUBECONFIG": str(tmp_path / "missing")})
        refused({"KUBERNETES_SERVICE_HOST": "a"}, context="", in_cluster=True, account=tmp_path)
    assert list(tmp_path.iterdir()) == []
