"""What belongs to a run is nobody's global: no module holds anything that changes.

A ContextVar belongs to a context and may be set; a table at the top of a module is read alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("suites", "fixtures", "reports")
MODULES = sorted(path for top in TOPS for path in (ROOT / top).rglob("*.py"))
MUTATORS = {
    *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"),
    *("add", "discard", "update", "setdefault", "popitem", "subtract", "appendleft", "popleft"),
    *("difference_update", "intersection_update", "symmetric_difference_update"),
}
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def bound(nodes: Iterator[ast.AST] | list[ast.stmt]) -> set[str]:
    """The names that these statements bind."""
    found: set[str] = set()
    for top in nodes:
        for node in ast.walk(top):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                found |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.arg):
                found.add(node.arg)
    return found


def at_the_top(code: ast.Module) -> set[str]:
    """The names that a module binds to anything but other modules."""
    plain = [s for s in code.body if not isinstance(s, (*FUNCTIONS, ast.ClassDef))]
    modules = {
        alias.asname or alias.name
        for s in plain
        if isinstance(s, ast.ImportFrom) and s.module
        for alias in s.names
        if (ROOT / s.module.replace(".", "/") / f"{alias.name}.py").exists()
    }
    return bound(plain) - modules


def mutated(function: Function) -> Iterator[tuple[str, int]]:
    """Names whose objects a function changes, and where."""
    for node in ast.walk(function):
        target: ast.AST | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func.value if node.func.attr in MUTATORS else None
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            target = node.value
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript):
            target = node.target.value
        if isinstance(target, ast.Name):
            yield target.id, target.lineno


def changed_globals(source: str) -> list[str]:
    """Where a module changes what stands at a module's top."""
    code = ast.parse(source)
    top = at_the_top(code)
    found = [f"{n.lineno}: global" for n in ast.walk(code) if isinstance(n, ast.Global)]

    def visit(node: ast.AST, local: set[str]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, FUNCTIONS):
                inner = local | bound([child])  # type: ignore[list-item]  # a lambda is none
                found.extend(
                    f"{line}: {which}" for which, line in mutated(child) if which in top - inner
                )
                visit(child, inner)
            else:
                visit(child, local)

    visit(code, set())
    return sorted(set(found))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_module_holds_what_changes(path: Path) -> None:
    assert changed_globals(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("A = []\ndef f(): A.append(1)", ["2: A"], id="appended"),
        pytest.param("A = {}\ndef f(): A['a'] = 1", ["2: A"], id="set"),
        pytest.param("A = {}\ndef f():\n  del A['a']", ["3: A"], id="deleted"),
        pytest.param("A = Counter()\ndef f(): A['a'] += 1", ["2: A"], id="counted"),
        pytest.param("from m import A\nclass C:\n  def f(s): A.add(1)", ["3: A"], id="imported"),
        pytest.param("A = 1\ndef f():\n  global A\n  A = 2", ["3: global"], id="rebound"),
        pytest.param("A = []\ndef f():\n  A = []\n  A.append(1)", [], id="its own"),
        pytest.param("def f(A): A.append(1)", [], id="an argument"),
        pytest.param("A = {'a': 1}\ndef f(): return A['a']", [], id="read"),
    ],
)
def test_what_changes_is_found(source: str, found: list[str]) -> None:
    assert changed_globals(source) == found
