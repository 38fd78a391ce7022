#!/usr/bin/env bash
# tox 4.67.15 (python-discovery 1.9.6): base_python does not know "python3>=3.8".
# Seen: with ">=3.8", "python>=3.8" and "python3", tox finds an interpreter and runs; with
# "python3>=3.8" it reports that no interpreter matches.
# Why it surprises: both halves are understood alone, and the message speaks of a specification
# that is not met, where the whole text was taken for the name of a program.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    tox==4.67.15 python-discovery==1.9.6

seen=()
for spec in '>=3.8' 'python>=3.8' 'python3' 'python3>=3.8'; do
    cat >"$work/tox.ini" <<INI
[tox]
no_package = true

[testenv:check]
base_python = $spec
skip_install = true
commands = python --version
INI
    code=0
    "$work/venv/bin/tox" run --colored no --conf "$work/tox.ini" --workdir "$work/tox" --recreate \
        -e check >"$work/output" 2>&1 || code=$?
    echo "base_python = $spec: exit code $code"
    grep -E 'could not find python interpreter' "$work/output" || true
    seen+=("$code")
done
test "${seen[*]}" = "0 0 0 1"
grep -q 'could not find python interpreter matching any of the specs python3>=3.8' "$work/output"
