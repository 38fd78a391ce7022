"""The finalizers that keep pods from going, over an API that is only a list."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from fixtures.faults.actions import Finalizers
from fixtures.k8s import Kube


def test_what_is_about_to_go_gets_no_finalizer() -> None:
    patched: list[str] = []
    pods: list[dict[str, Any]] = [
        {"metadata": {"name": "stays"}},
        {"metadata": {"name": "goes", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ]
    kube = SimpleNamespace(
        list=lambda *_, **__: pods, patch=lambda _, name, *__: patched.append(name)
    )
    Finalizers("pods", "app", "app", "example/held").inject(cast("Kube", kube))
    assert patched == ["stays"]
