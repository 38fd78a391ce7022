#!/usr/bin/env bash
# websocket-client 1.9.2: the option http_no_proxy counts only beside http_proxy_host.
# Seen: with a proxy in the variable http_proxy and http_no_proxy=["127.0.0.1"] in the call, the
# proxy is asked all the same. The variable no_proxy is obeyed, and so is the option once the
# proxy is named in the call, too.
# Why it surprises: the option is documented without a condition; nothing tells that it is ignored.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    websocket-client==1.9.2

"$work/venv/bin/python" - <<'PYTHON'
import http.server
import os
import sys
import threading

import websocket

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answer every request with 403, and note that it came here."""

    asked: list[str]

    def do_GET(self):
        self.asked.append(self.server.role)
        self.send_error(403)

    do_CONNECT = do_GET

    def log_message(self, *_):
        pass


asked = []
Refusing.asked = asked


def serve(role):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.role = role
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


target, proxy = serve("target"), serve("proxy")


def reached(**options):
    asked.clear()
    try:
        websocket.create_connection(f"ws://127.0.0.1:{target}/", timeout=5, **options)
    except websocket.WebSocketException:
        pass  # both answer 403: which of the two was asked is what counts
    return " ".join(asked)


past = ["127.0.0.1"]
os.environ["http_proxy"] = f"http://127.0.0.1:{proxy}"
seen = {
    "proxy by variable, no exception": reached(),
    "proxy by variable, exception by option": reached(http_no_proxy=past),
    "proxy by option, exception by option": reached(
        http_proxy_host="127.0.0.1", http_proxy_port=proxy, http_no_proxy=past
    ),
}
os.environ["no_proxy"] = "127.0.0.1"
seen["proxy by variable, exception by variable"] = reached()
for how, who in seen.items():
    print(f"{how + ':':42} {who} was asked")
sys.exit(list(seen.values()) != ["proxy", "proxy", "target", "target"])
PYTHON
