#!/usr/bin/env bash
# pytest 9.2.0: the value of an option that a conftest.py declares is first taken for a path.
# Seen: with "--data DIR" as two words pytest imports DIR/conftest.py, before the option is known
# and although nothing is collected there; with "--data=DIR" it does not.
# Why it surprises: both spellings mean the same to argparse, and the run that follows collects
# nothing there; an error in that file ends it all the same.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0

mkdir "$work/project" "$work/project/tests" "$work/project/data"
cd "$work/project"
cat >conftest.py <<'PY'
def pytest_addoption(parser):
    parser.addoption("--data")
PY
cat >tests/test_option.py <<'PY'
def test_option(pytestconfig):
    assert pytestconfig.getoption("--data") == "data"
PY
echo 'print("data/conftest.py was imported")' >data/conftest.py

"$work/venv/bin/pytest" -q -s -p no:cacheprovider tests --data data >"$work/two-words"
"$work/venv/bin/pytest" -q -s -p no:cacheprovider tests --data=data >"$work/one-word"
for form in two-words one-word; do
    echo "$form: $(grep -c 'was imported' "$work/$form" || true) imports, $(tail -n 1 "$work/$form")"
done
grep -q '^1 passed' "$work/two-words"
grep -q '^1 passed' "$work/one-word"
grep -q 'data/conftest.py was imported' "$work/two-words"
! grep -q 'data/conftest.py was imported' "$work/one-word"
