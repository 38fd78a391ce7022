#!/usr/bin/env bash
# kubernetes 37.0.2: what an untrusted certificate raises depends on Configuration.retries.
# Seen: with None (the default) and 0, it is urllib3's MaxRetryError; with False it is ApiException
# with status 0, and the first line of its text is "(0)": the cause stands in `reason`.
# Why it surprises: the client means to turn TLS errors into ApiException, but where retries are
# counted urllib3 has wrapped them before. Who catches one of the two types misses the other.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    kubernetes==37.0.2 urllib3==2.8.0 trustme==1.2.1

"$work/venv/bin/python" - <<'PYTHON'
import http.server
import os
import ssl
import sys
import threading

import trustme

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

from kubernetes import client


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # the client hangs up in the handshake: that is what is shown here


server = Quiet(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()


def raised(retries):
    configuration = client.Configuration()
    configuration.host = f"https://127.0.0.1:{server.server_port}"
    configuration.retries = retries
    try:
        client.VersionApi(client.ApiClient(configuration)).get_code(_request_timeout=5)
    except Exception as e:
        return e
    sys.exit("the certificate was accepted")


seen = []
for retries in (None, 0, False):
    error = raised(retries)
    first = str(error).splitlines()[0]
    kind = f"{type(error).__module__}.{type(error).__name__}"
    print(f"retries={retries}: {kind}, first line: {first}")
    seen.append(type(error).__name__)
print(f"its status: {error.status}, its reason: {error.reason}")
expected = ["MaxRetryError", "MaxRetryError", "ApiException"]
as_described = seen == expected and error.status == 0 and first == "(0)"
sys.exit(not (as_described and "CERTIFICATE_VERIFY_FAILED" in error.reason))
PYTHON
