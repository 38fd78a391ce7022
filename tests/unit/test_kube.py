"""The door to the API, against a server that says what it is told to."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
import yaml
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from fixtures.k8s import Asked, Kube, Refused, Unreachable
from fixtures.providers.base import Access

NOT_FOUND = {
    "kind": "Status",
    "reason": "NotFound",
    "message": 'pods "x" not found',
    "details": {"causes": [{"field": "spec.x", "message": "is required"}]},
}
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
        self.asked: list[tuple[str, str, Any, str]] = []

    def next(self, handler: BaseHTTPRequestHandler) -> tuple[int, Any]:
        path = urlsplit(handler.path).path
        length = int(handler.headers.get("Content-Length", 0))
        body = json.loads(handler.rfile.read(length)) if length else None
        kind = handler.headers.get("Content-Type", "")
        self.asked.append((handler.command, handler.path, body, kind))
        known = self.answers.get(path, [(404, NOT_FOUND)])
        answer = known.pop(0) if len(known) > 1 else known[0]
        return answer if isinstance(answer, tuple) else (200, answer)


@contextmanager
def serving(answers: dict[str, list[Any]]) -> Iterator[tuple[Server, int]]:
    told = Server(answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            code, body = told.next(self)
            if body is ConnectionResetError:
                self.close_connection = True
                self.connection.close()
                return
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815  # their names

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield told, httpd.server_address[1]
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def access(folder: Path, port: int) -> Access:
    file = folder / "kubeconfig"
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
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
def test_a_read_is_asked_again_while_that_may_help(tmp_path: Path, passing: object) -> None:
    with connected(tmp_path, {"/version": [passing, passing, {"gitVersion": "v1"}]}) as (kube, s):
        assert kube.raw("/version") == {"gitVersion": "v1"}
        assert len(s.asked) == 3
        assert kube.asked == {Asked("get", "/version", ""): 1}


def test_a_write_is_never_sent_twice(tmp_path: Path) -> None:
    pods = "/api/v1/namespaces/n/pods"
    with connected(tmp_path, {pods: [(503, "busy")]}) as (kube, server):
        with pytest.raises(Refused):
            kube.create("pods", {"kind": "Pod"}, "n")
        assert [method for method, *_ in server.asked] == ["POST"]


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with serving({}) as (_, port):
        pass
    kube = Kube.connect(access(tmp_path, port))
    with pytest.raises(Unreachable, match=rf"http://127.0.0.1:{port} does not answer"):
        kube.raw("/version")


def test_an_error_of_tls_keeps_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        lost = ApiException(status=0, reason="SSLError\nwrong version number")
        lost.__context__ = urllib3.exceptions.SSLError(ssl.SSLError(1, "wrong version number"))
        raise lost

    monkeypatch.setattr(ApiClient, "call_api", broken)
    kube = Kube.connect(access(tmp_path, 1))
    with pytest.raises(Unreachable, match=r"does not answer: .*wrong version number") as caught:
        kube.raw("/version")
    assert "(0)" not in str(caught.value)


def test_a_context_that_is_not_there_is_refused(tmp_path: Path) -> None:
    wrong = access(tmp_path, 1)
    with pytest.raises(Unreachable, match="nowhere"):
        Kube.connect(Access(wrong.kubeconfig, "nowhere", None, "rehearsal", "t", "1", "1"))


def test_selectors_are_passed_on_and_events_come_oldest_first(tmp_path: Path) -> None:
    events = [{"lastTimestamp": "2"}, {"lastTimestamp": "1"}]
    answers = {"/api/v1/namespaces/n/events": [{"items": events}]}
    with connected(tmp_path, answers) as (kube, server):
        assert [e["lastTimestamp"] for e in kube.events("n", "pod-1")] == ["1", "2"]
        query = parse_qs(urlsplit(server.asked[0][1]).query)
        assert query == {"fieldSelector": ["involvedObject.name=pod-1"]}


def test_a_group_is_looked_up_once_and_its_preferred_version_taken(tmp_path: Path) -> None:
    answers: dict[str, list[Any]] = {
        "/apis/apps": [APPS],
        "/apis/apps/v1/deployments": [{"items": []}],
    }
    with connected(tmp_path, answers) as (kube, server):
        assert kube.list("deployments.apps") == kube.list("deployments.apps") == []
        assert [path for _, path, *_ in server.asked].count("/apis/apps") == 1


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
        method, path, body, kind = server.asked[-1]
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
    assert len(server.asked) == 2  # asked once more: it might have been added since


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
        assert server.asked[-1][2:] == (patch, kind)


def test_delete_passes_over_what_is_gone_already(tmp_path: Path) -> None:
    with connected(tmp_path, {}) as (kube, server):
        kube.delete("pods", "x", "n", grace=0)
        assert server.asked[-1][2]["gracePeriodSeconds"] == 0
        with pytest.raises(Refused):
            kube.delete("pods", "x", "n", missing_ok=False)


def test_logs_are_text_however_they_look(tmp_path: Path) -> None:
    answers: dict[str, list[Any]] = {"/api/v1/namespaces/n/pods/p/log": ['{"level":"info"}\n']}
    with connected(tmp_path, answers) as (kube, server):
        assert kube.logs("p", "n", "c", tail=5) == '{"level":"info"}\n'
        query = parse_qs(urlsplit(server.asked[-1][1]).query)
        assert query == {"container": ["c"], "tailLines": ["5"]}


def test_hooks_are_refused_where_there_are_none(tmp_path: Path) -> None:
    with connected(tmp_path, {}) as (kube, server):
        with pytest.raises(Refused, match="no hooks"):
            kube.hook("anything", on=True)
        assert server.asked == []


def test_a_companys_proxy_is_not_asked_for_a_server_on_this_machine(
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
