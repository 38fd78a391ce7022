"""The door to the API, against a server that answers as configured."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
import urllib3
import websocket
import yaml

from fixtures.claims.deadlines import timeout
from fixtures.claims.waiting import wait_policy
from fixtures.k8s import Body, Kube, Refused, Unreachable, wire
from fixtures.providers.base import Access
from fixtures.providers.request_log import ApiRequest

NOT_FOUND = {
    "kind": "Status",
    "reason": "NotFound",
    "message": 'pods "x" not found',
    "details": {"causes": [{"field": "spec.x", "message": "is required"}]},
}
TOO_MANY = {"kind": "Status", "reason": "TooManyRequests", "message": "too many requests"}
EXPIRED = {"kind": "Status", "reason": "Expired", "message": "the resourceVersion is too old"}
PODS = "/api/v1/namespaces/n/pods"
APPS = {
    "preferredVersion": {"version": "v1"},
    "versions": [{"version": "v1beta1"}, {"version": "v1"}],
}
CORE_RESOURCES = {
    "resources": [
        {"name": "pods", "kind": "Pod", "namespaced": True},
        {"name": "pods/log", "kind": "Pod", "namespaced": True},
        {"name": "namespaces", "kind": "Namespace", "namespaced": False},
    ]
}


class Server:
    """Answers each path from a list, its last answer for ever; remembers what it was asked."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self.answers = answers
        self.requested: list[tuple[str, str, Any, str]] = []

    def next(self, handler: BaseHTTPRequestHandler) -> tuple[int, Any, dict[str, str]]:
        path = urlsplit(handler.path).path
        length = int(handler.headers.get("Content-Length", 0))
        body = json.loads(handler.rfile.read(length)) if length else None
        kind = handler.headers.get("Content-Type", "")
        self.requested.append((handler.command, handler.path, body, kind))
        known = self.answers.get(path, [(404, NOT_FOUND)])
        answer = known.pop(0) if len(known) > 1 else known[0]
        code, message, *headers = answer if isinstance(answer, tuple) else (200, answer)
        return code, message, headers[0] if headers else {}


@contextmanager
def serving(
    answers: dict[str, list[Any]], certificate: trustme.LeafCert | None = None
) -> Iterator[tuple[Server, int]]:
    reported = Server(answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            code, body, headers = reported.next(self)
            if body is ConnectionResetError:
                self.close_connection = True
                self.connection.close()
                return
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(code)
            for header, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815  # their names

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield reported, httpd.server_address[1]
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def access(folder: Path, port: int, authority: Path | None = None) -> Access:
    file = folder / "kubeconfig"
    server = {"server": f"http://127.0.0.1:{port}"}
    if authority:
        server = {
            "server": f"https://127.0.0.1:{port}",
            "certificate-authority": str(authority),
        }
    config = {
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "elsewhere",
    }
    file.write_text(yaml.safe_dump(config))
    return Access(file, "here", None, "rehearsal", "test", "1.31.0", "1.35")


@contextmanager
def connected(folder: Path, answers: dict[str, list[Any]]) -> Iterator[tuple[Kube, Server]]:
    with serving(answers) as (server, port):
        kube = Kube.connect(access(folder, port))
        try:
            yield kube, server
        finally:
            kube.close()


def test_a_refusal_keeps_the_servers_words(tmp_path: Path) -> None:
    with connected(tmp_path, {}) as (kube, _):
        with pytest.raises(Refused) as caught:
            kube.get("pods", "x", "n")
        error = caught.value
        assert (error.code, error.reason, str(error)) == (404, "NotFound", 'pods "x" not found')
        assert error.causes == ("spec.x: is required",)
        assert kube.find("pods", "x", "n") is None


def test_a_refusal_that_is_no_status_keeps_its_text(tmp_path: Path) -> None:
    with connected(tmp_path, {"/readyz": [(500, "etcd failed\n")]}) as (kube, _):
        with pytest.raises(Refused, match="etcd failed") as caught:
            kube.raw("/readyz")
        assert caught.value.code == 500


@pytest.mark.parametrize(
    "passing", [(503, "busy"), (429, "slow down"), (0, ConnectionResetError)], ids=str
)
def test_a_read_is_requested_again_while_that_may_help(tmp_path: Path, passing: object) -> None:
    with connected(tmp_path, {"/version": [passing, passing, {"gitVersion": "v1"}]}) as (kube, s):
        assert kube.raw("/version") == {"gitVersion": "v1"}
        assert len(s.requested) == 3
        assert kube.requests.counted == {ApiRequest("get", "/version", ""): 1}


@pytest.mark.parametrize("lost", [(503, "busy"), (500, "oh"), (0, ConnectionResetError)], ids=str)
def test_a_write_that_may_have_been_done_is_not_sent_again(tmp_path: Path, lost: object) -> None:
    with connected(tmp_path, {PODS: [lost]}) as (kube, server):
        with pytest.raises((Refused, Unreachable)):
            kube.create("pods", {"kind": "Pod"}, "n")
        assert [method for method, *_ in server.requested] == ["POST"]


@pytest.mark.parametrize("verb", ["create", "apply", "replace", "patch", "delete"])
def test_a_write_is_sent_again_while_the_server_has_too_many(tmp_path: Path, verb: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}}
    busy = [(429, TOO_MANY), (429, TOO_MANY), {}]
    answers: dict[str, list[Any]] = {"/api/v1": [CORE_RESOURCES], PODS: busy, f"{PODS}/p": busy}
    with connected(tmp_path, answers) as (kube, server):
        writes: dict[str, Callable[[], object]] = {
            "create": lambda: kube.create("pods", pod, "n"),
            "apply": lambda: kube.apply([pod], "n"),
            "replace": lambda: kube.replace("pods", pod),
            "patch": lambda: kube.patch("pods", "p", "n", {}),
            "delete": lambda: kube.delete("pods", "p", "n"),
        }
        writes[verb]()
        assert len([one for one in server.requested if one[1].startswith(PODS)]) == 3


def test_a_server_that_has_too_many_for_ever_is_reported_with_its_words(tmp_path: Path) -> None:
    with wait_policy(factor=0.01), connected(tmp_path, {PODS: [(429, TOO_MANY)]}) as (kube, _):
        with pytest.raises(Refused, match="too many requests") as caught:
            kube.create("pods", {"kind": "Pod"}, "n")
        assert caught.value.code == 429


def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    busy = (429, TOO_MANY, {"Retry-After": "1"})
    with connected(tmp_path, {"/version": [busy, {"a": 1}]}) as (kube, _):
        began = time.monotonic()
        assert kube.raw("/version") == {"a": 1}
        assert time.monotonic() - began >= 1


def test_nobody_waits_for_a_retry_after_beyond_the_deadline(tmp_path: Path) -> None:
    busy = (429, TOO_MANY, {"Retry-After": "3600"})
    with connected(tmp_path, {"/version": [busy]}) as (kube, server):
        with pytest.raises(Refused) as caught:
            kube.raw("/version")
        assert caught.value.retry_after == 3600
        assert len(server.requested) == 1


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with serving({}) as (_, port):
        pass
    kube = Kube.connect(access(tmp_path, port))
    with (
        wait_policy(factor=0.01),
        pytest.raises(Unreachable, match=rf"http://127.0.0.1:{port} does not answer: .*refused"),
    ):
        kube.raw("/version")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_server_that_restarts_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A connection that was refused carried nothing: even a write may be sent again."""
    down = [ConnectionRefusedError(111, "Connection refused")] * 2
    with connected(tmp_path, {"/version": [{"a": 1}], PODS: [{"a": 1}]}) as (kube, server):
        call = kube._wire.client.call_api

        def refused_at_first(*args: Any, **how: Any) -> Any:
            if down:
                raise urllib3.exceptions.HTTPError("lost") from down.pop()
            return call(*args, **how)

        monkeypatch.setattr(kube._wire.client, "call_api", refused_at_first)
        found = kube.raw("/version") if method == "GET" else kube.create("pods", {}, "n")
        assert found == {"a": 1}
        assert len(server.requested) == 1


def test_a_server_that_is_gone_is_awaited_once(tmp_path: Path) -> None:
    with serving({}) as (_, port):
        pass
    kube = Kube.connect(access(tmp_path, port))
    waits: list[float] = []
    for _ in range(2):
        began = time.monotonic()
        with wait_policy(factor=0.1), pytest.raises(Unreachable):
            kube.raw("/version")
        waits.append(time.monotonic() - began)
    assert waits[1] < 0.1 < waits[0]


def test_a_certificate_of_another_authority_is_named(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    with serving({}, certificate=authority.issue_cert("127.0.0.1")) as (_, port):
        stranger.cert_pem.write_to_path(tmp_path / "ca.pem")
        kube = Kube.connect(access(tmp_path, port, authority=tmp_path / "ca.pem"))
        words = "authority did not sign .*belong to this cluster"
        with pytest.raises(Unreachable, match=words):
            kube.raw("/version")
        with kube.forward("p", "n", 80) as pod, pytest.raises(Unreachable, match=words):
            pod.get("/")


def test_speech_that_is_no_tls_is_reported_in_the_librarys_words(tmp_path: Path) -> None:
    with serving({}) as (_, port):
        there = access(tmp_path, port)
        text = there.kubeconfig.read_text().replace("http://", "https://")
        there.kubeconfig.write_text(text)
        with pytest.raises(Unreachable, match=r"does not answer: .*SSL"):
            Kube.connect(there).raw("/version")


# Lists


def page(*names: str, more: str = "") -> Body:
    return {"metadata": {"continue": more}, "items": [{"metadata": {"name": n}} for n in names]}


def listed(kube: Kube) -> list[str]:
    return [body["metadata"]["name"] for body in kube.list("pods", "n", labels="a=b")]


def queries(server: Server) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(path).query) for _, path, *_ in server.requested]


def test_a_list_is_read_page_by_page(tmp_path: Path) -> None:
    pages = [page("a", "b", more="t1"), page("c", more="t2"), page("d")]
    with connected(tmp_path, {PODS: pages}) as (kube, server):
        assert listed(kube) == ["a", "b", "c", "d"]
        first = {"limit": ["500"], "labelSelector": ["a=b"]}
        later = [first | {"continue": [token]} for token in ("t1", "t2")]
        assert queries(server) == [first, *later]


def test_the_next_page_is_on_its_way_while_one_is_used_and_never_a_second_one(
    tmp_path: Path,
) -> None:
    pages = [
        {"metadata": {"continue": "second"}, "items": [{"metadata": {"name": "a"}}]},
        {"metadata": {"continue": "third"}, "items": [{"metadata": {"name": "b"}}]},
        {"metadata": {}, "items": [{"metadata": {"name": "c"}}]},
    ]
    requested: list[int] = []
    with connected(tmp_path, {PODS: list(pages)}) as (kube, server):
        came = threading.Condition()
        answer = server.next

        def told(handler: BaseHTTPRequestHandler) -> tuple[int, Any, dict[str, str]]:
            with came:
                found = answer(handler)
                came.notify_all()
            return found

        server.next = told  # type: ignore[method-assign]  # to hear of each request

        def use(_: Body) -> None:
            with came:
                at_least = min(len(pages), len(requested) + 2)
                assert came.wait_for(lambda: len(server.requested) >= at_least, 5)
                requested.append(len(server.requested))

        kube.read("pods", dict, use, namespace="n")
    assert requested == [2, 3, 3]


def test_a_list_that_expired_between_two_pages_is_begun_anew(tmp_path: Path) -> None:
    pages = [page("old", more="t1"), (410, EXPIRED), page("a", more="t2"), page("b")]
    with connected(tmp_path, {PODS: pages}) as (kube, server):
        assert listed(kube) == ["a", "b"]
        assert all(query["limit"] == ["500"] for query in queries(server))


def test_a_list_that_always_expires_is_refused(tmp_path: Path) -> None:
    pages = [page("old", more="t"), (410, EXPIRED)] * 10
    with connected(tmp_path, {PODS: pages}) as (kube, server):
        with pytest.raises(Refused, match="too old"):
            listed(kube)
        assert len(server.requested) == 6


# What belongs to a run


def test_all_clients_of_a_cluster_count_into_one_log(tmp_path: Path) -> None:
    with serving({"/version": [{}]}) as (_, port):
        there = access(tmp_path, port)
        clients = [Kube.connect(there), Kube.connect(there)]
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda kube: kube.raw("/version"), clients * 20))
    assert there.requests.counted == {ApiRequest("get", "/version", ""): 40}
    assert not access(tmp_path, port).requests.counted


def test_a_client_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    before = dict(os.environ), websocket.getdefaulttimeout()
    Kube.connect(access(tmp_path, 1)).close()
    assert (dict(os.environ), websocket.getdefaulttimeout()) == before


def test_a_port_forward_that_nobody_answers_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "CONNECT", timeout("a connection opens", 0.1))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        kube = Kube.connect(access(tmp_path, silent.getsockname()[1]))
        with (
            kube.forward("p", "n", 80) as port,
            pytest.raises(Unreachable, match=r"port 80 of pod n/p: .* does not answer: .*timed"),
        ):
            port.get("/")


def test_a_port_forward_is_requested_again_while_the_server_has_too_many(tmp_path: Path) -> None:
    path = f"{PODS}/p/portforward"
    with connected(tmp_path, {path: [(429, TOO_MANY), (404, NOT_FOUND)]}) as (kube, server):
        with kube.forward("p", "n", 80) as port, pytest.raises(Refused, match="not found"):
            port.get("/")
        assert [urlsplit(one[1]).path for one in server.requested] == [path, path]


def test_a_context_that_is_not_there_is_refused(tmp_path: Path) -> None:
    wrong = access(tmp_path, 1)
    with pytest.raises(Unreachable, match="nowhere"):
        Kube.connect(Access(wrong.kubeconfig, "nowhere", None, "rehearsal", "t", "1", "1"))


def test_selectors_are_passed_on_and_events_come_oldest_first(tmp_path: Path) -> None:
    events = [{"lastTimestamp": "2"}, {"lastTimestamp": "1"}]
    answers = {"/api/v1/namespaces/n/events": [{"items": events}]}
    with connected(tmp_path, answers) as (kube, server):
        assert [e["lastTimestamp"] for e in kube.events("n", "pod-1")] == ["1", "2"]
        query = parse_qs(urlsplit(server.requested[0][1]).query)
        assert query == {"fieldSelector": ["involvedObject.name=pod-1"], "limit": ["500"]}


def test_a_group_is_looked_up_once_and_its_preferred_version_taken(tmp_path: Path) -> None:
    answers: dict[str, list[Any]] = {
        "/apis/apps": [APPS],
        "/apis/apps/v1/deployments": [{"items": []}],
    }
    with connected(tmp_path, answers) as (kube, server):
        assert kube.list("deployments.apps") == kube.list("deployments.apps") == []
        assert [path for _, path, *_ in server.requested].count("/apis/apps") == 1


def test_a_kind_that_the_preferred_version_lacks_is_taken_in_one_that_has_it(
    tmp_path: Path,
) -> None:
    versions = [{"version": "v1"}, {"version": "v1alpha2"}]
    answers: dict[str, list[Any]] = {
        "/apis/gw": [{"preferredVersion": versions[0], "versions": versions}],
        "/apis/gw/v1": [{"resources": [{"name": "gateways", "kind": "Gateway"}]}],
        "/apis/gw/v1alpha2": [{"resources": [{"name": "tcproutes", "kind": "TCPRoute"}]}],
        "/apis/gw/v1/gateways": [{"items": []}],
        "/apis/gw/v1alpha2/tcproutes": [{"items": []}],
    }
    with connected(tmp_path, answers) as (kube, _):
        assert kube.list("gateways.gw") == kube.list("tcproutes.gw") == []


def test_apply_puts_each_object_where_its_kind_lives(tmp_path: Path) -> None:
    answers: dict[str, list[Any]] = {
        "/api/v1": [CORE_RESOURCES],
        "/api/v1/namespaces/n": [{}],
        "/api/v1/namespaces/n/pods/p": [{}],
    }
    documents = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
    ]
    with connected(tmp_path, answers) as (kube, server):
        kube.apply(documents, "n")
        method, path, body, kind = server.requested[-1]
        assert (method, urlsplit(path).path) == ("PATCH", "/api/v1/namespaces/n/pods/p")
        assert parse_qs(urlsplit(path).query) == {"fieldManager": ["seatrial"], "force": ["true"]}
        assert kind == "application/apply-patch+yaml"
        assert body == documents[1]


def test_a_kind_that_is_not_served_is_refused(tmp_path: Path) -> None:
    with (
        connected(tmp_path, {"/api/v1": [CORE_RESOURCES]}) as (kube, server),
        pytest.raises(Refused, match="no Gateway in v1"),
    ):
        kube.apply([{"apiVersion": "v1", "kind": "Gateway", "metadata": {"name": "g"}}])
    assert len(server.requested) == 2  # asked once more: it might have been added since


@pytest.mark.parametrize(
    ("style", "kind"),
    [
        ("merge", "application/merge-patch+json"),
        ("json", "application/json-patch+json"),
        ("strategic", "application/strategic-merge-patch+json"),
    ],
)
def test_a_patch_says_of_which_form_it_is(tmp_path: Path, style: Any, kind: str) -> None:
    answers: dict[str, list[Any]] = {"/api/v1/namespaces/n/pods/p": [{"ok": True}]}
    patch: Any = [{"op": "remove", "path": "/x"}] if style == "json" else {"x": None}
    with connected(tmp_path, answers) as (kube, server):
        assert kube.patch("pods", "p", "n", patch, style=style) == {"ok": True}
        assert server.requested[-1][2:] == (patch, kind)


def test_delete_passes_over_what_is_gone_already(tmp_path: Path) -> None:
    with connected(tmp_path, {}) as (kube, server):
        kube.delete("pods", "x", "n", grace=0)
        assert server.requested[-1][2]["gracePeriodSeconds"] == 0
        with pytest.raises(Refused):
            kube.delete("pods", "x", "n", missing_ok=False)


def test_logs_are_text_however_they_look(tmp_path: Path) -> None:
    answers: dict[str, list[Any]] = {"/api/v1/namespaces/n/pods/p/log": ['{"level":"info"}\n']}
    with connected(tmp_path, answers) as (kube, server):
        assert kube.logs("p", "n", "c", tail=5) == '{"level":"info"}\n'
        query = parse_qs(urlsplit(server.requested[-1][1]).query)
        assert query == {"container": ["c"], "tailLines": ["5"]}


def test_hooks_are_refused_where_there_are_none(tmp_path: Path) -> None:
    with connected(tmp_path, {}) as (kube, server):
        with pytest.raises(Refused, match="no hooks"):
            kube.hook("anything", on=True)
        assert server.requested == []


def test_a_companys_proxy_is_not_requested_a_server_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "example.com")
    with connected(tmp_path, {"/version": [{"gitVersion": "v1"}]}) as (kube, _):
        assert kube.raw("/version") == {"gitVersion": "v1"}


def test_a_group_that_is_not_served_is_refused_by_name(tmp_path: Path) -> None:
    document = {"apiVersion": "nope/v1", "kind": "X", "metadata": {"name": "x"}}
    with (
        connected(tmp_path, {}) as (kube, _),
        pytest.raises(Refused, match="no X in nope/v1"),
    ):
        kube.apply([document])
