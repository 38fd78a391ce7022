"""Scripts that are handed to pods, as modules: nobody but a test loads them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def load(path: Path) -> ModuleType:
    """The script of this file, not run as a program."""
    spec = importlib.util.spec_from_file_location(f"{path.stem}_in_a_pod", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
