"""A web server on this machine for tests: it takes what is sent to it, and serves one thing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests  # noqa: F401  # a run in this process forgets what it loaded, which breaks it

GIVES_UP = 30


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What it answers, and what it received.

    Attributes:
        silent: it takes requests and does not answer until it ends.
        serves: what it answers with, as it is at each request, and of which type that is.
    """

    url: str = ""
    status: int = 200
    silent: bool = False
    serves: Callable[[], bytes] = bytes
    content_type: str = "text/plain"
    received: list[Received] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiving(**how: Any) -> Iterator[Receiver]:
    """Have one, on a free port; `how` are fields of a Receiver."""
    receiver = Receiver(**how)

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.command, self.path, headers, body))
            if receiver.silent:
                receiver.ended.wait(GIVES_UP)
            self.send_response(receiver.status)
            content = receiver.serves()
            self.send_header("location", "/elsewhere")
            self.send_header("content-type", receiver.content_type)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_GET = _take  # noqa: N815  # as http.server names them

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Who asked may be gone by the time it is answered."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        receiver.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
