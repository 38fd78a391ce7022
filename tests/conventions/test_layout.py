"""What the code base promises of its own shape."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "fixtures" / "providers" / "embedded"
PACKAGES = ("suites", "fixtures", "reports", "tests")
MODULES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
SUITES = sorted((ROOT / "suites").glob("test_*.py"))
MAY_SLEEP = {
    ROOT / "fixtures" / "claims" / "waiting.py",
    ROOT / "fixtures" / "manifests" / "client.py",  # in a pod: an application that is slow
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


# What stands on running sidecars counts apart, each part with the lines that it may have.
# The data plane had 1,400 of the 12,000 lines before a real Envoy ran beside each application.
# So does what ambient mode shows (issue 15), which claims about ztunnel's own pages stand on.
BESIDE = {
    "workloads/addons": 1_400,
    "workloads/client.py": 250,
    "dataplane": 4_500,
    "ambient": 800,
    "istio/validator.py": 520,
    "istioctl.py": 150,
}


def lines_under(part: Path) -> int:
    files = part.rglob("*.py") if part.is_dir() else [part]
    return sum(len(path.read_text().splitlines()) for path in files)


def test_the_embedded_cluster_never_becomes_a_second_kubernetes() -> None:
    lines = lines_under(EMBEDDED) - sum(lines_under(EMBEDDED / part) for part in BESIDE)
    assert lines <= 10_600, "what serves no claim, no fault and no documented use goes"


@pytest.mark.parametrize(("part", "most"), BESIDE.items())
def test_what_stands_on_sidecars_stays_small(part: str, most: int) -> None:
    assert lines_under(EMBEDDED / part) <= most, "it is no second Istio, and no second Prometheus"


def sleeps(path: Path) -> Iterator[int]:
    """Lines that sleep in this thread."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep":
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (node.lineno for alias in node.names if alias.name == "sleep")


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_one_module_sleeps(path: Path) -> None:
    assert path in MAY_SLEEP or not list(sleeps(path))


@pytest.mark.parametrize("path", SUITES, ids=name)
def test_a_claim_has_no_branch_and_no_loop(path: Path) -> None:
    branches = (ast.If, ast.For, ast.While, ast.Try, ast.IfExp, ast.ListComp, ast.GeneratorExp)
    found = [n.lineno for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, branches)]
    assert found == []


@pytest.mark.parametrize("path", SUITES, ids=name)
def test_a_suite_names_no_provider(path: Path) -> None:
    code = ast.parse(path.read_text())
    names = {n.id for n in ast.walk(code) if isinstance(n, ast.Name)}
    names |= {n.attr for n in ast.walk(code) if isinstance(n, ast.Attribute)}
    names |= {a.arg for n in ast.walk(code) if isinstance(n, ast.FunctionDef) for a in n.args.args}
    assert not names & {"access", "provider", "evidence", "embedded", "kind", "rehearsal", "hooks"}


def test_the_root_conftest_only_loads_plugins() -> None:
    code = ast.parse((ROOT / "conftest.py").read_text())
    assert not [n for n in ast.walk(code) if isinstance(n, ast.FunctionDef)]


def test_the_architecture_repeats_each_import_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (ROOT / "docs" / "architecture.md").read_text()
    contracts = project["tool"]["importlinter"]["contracts"]
    assert [c["name"] for c in contracts if c["name"] not in text] == []


@pytest.mark.parametrize("page", ["claims", "nouns", "versions", "schema"])
def test_a_page_that_is_made_is_what_it_was_made_of(page: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"reports.{page}_page", "--check"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("environment", ["smoke", "faults", "istio1.30-kube1.35"])
def test_tox_shows_each_line_when_it_is_written(environment: str) -> None:
    command = [sys.executable, "-m", "tox", "config", "-e", environment, "-k", "set_env"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "PYTHONUNBUFFERED=1" in done.stdout
