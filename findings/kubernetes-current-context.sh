#!/usr/bin/env bash
# kubernetes 37.0.2: of several files in KUBECONFIG, the last one gives the current context.
# Seen: two files with a current-context and a user of the same name each; the client takes the
# context of the second file, but the user of the first.
# Why it surprises: Kubernetes documents that the first file to set a value wins, and names
# current-context as an example. So kubectl and a Python program may talk to two clusters.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    kubernetes==37.0.2

for name in first second; do
    cat >"$work/$name" <<YAML
apiVersion: v1
kind: Config
current-context: $name
clusters: [{name: $name, cluster: {server: "https://$name.example"}}]
contexts: [{name: $name, context: {cluster: $name, user: both}}]
users: [{name: both, user: {token: token-of-$name}}]
YAML
done

KUBECONFIG="$work/first:$work/second" "$work/venv/bin/python" - <<'PYTHON'
import sys

from kubernetes import client, config

loaded = client.Configuration()
config.load_kube_config(client_configuration=loaded)
_, current = config.list_kube_config_contexts()
token = loaded.get_api_key_with_prefix("BearerToken").removeprefix("Bearer ")
print("KUBECONFIG:      first:second")
print(f"current context: {current['name']} ({loaded.host})")
print(f"user's token:    {token}")
seen = (current["name"], loaded.host, token)
sys.exit(seen != ("second", "https://second.example", "token-of-first"))
PYTHON
