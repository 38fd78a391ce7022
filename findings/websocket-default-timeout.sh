#!/usr/bin/env bash
# websocket-client 1.9.2: setdefaulttimeout() does not reach WebSocket.connect().
# Seen: after setdefaulttimeout(5), create_connection() opens with a timeout of 5 seconds and
# WebSocket().connect() with none, even with timeout=None, documented there as the default timeout.
# Why it surprises: the kubernetes client (exec, port-forward) connects in the second way, so the
# switch for the whole process has no effect there, and a silent server may be waited for forever.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    websocket-client==1.9.2

"$work/venv/bin/python" - <<'PYTHON'
import base64
import hashlib
import http.server
import os
import sys
import threading

import websocket

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]


class Upgrade(http.server.BaseHTTPRequestHandler):
    """Accept any WebSocket and hold it open until the client leaves."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.rfile.read(1)
        self.close_connection = True

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upgrade)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"ws://127.0.0.1:{server.server_port}/"

websocket.setdefaulttimeout(5)
by_function = websocket.create_connection(url)
by_class = websocket.WebSocket()
by_class.connect(url)
by_class_none = websocket.WebSocket()
by_class_none.connect(url, timeout=None)
opened = (by_function, by_class, by_class_none)
seen = [connection.sock.gettimeout() for connection in opened]
print(f"default timeout:                      {websocket.getdefaulttimeout()}")
print(f"create_connection():                  {seen[0]}")
print(f"WebSocket().connect():                {seen[1]}")
print(f"WebSocket().connect(timeout=None):    {seen[2]}")
for connection in opened:
    connection.shutdown()
sys.exit(seen != [5, None, None])
PYTHON
