"""What is read ahead for an audit: what goes wrong of it is told where it is needed."""

from contextlib import closing
from pathlib import Path

import pytest
import yaml

from fixtures.k8s import Kube, Unreachable


def test_a_thread_that_outlives_its_run_finds_no_kubeconfig_and_says_so(tmp_path: Path) -> None:
    body = {
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(body | {"current-context": "a"}))
    with closing(Kube.of_context(path, "a")) as kube:
        path.unlink()
        with pytest.raises(Unreachable, match=r"context a of .* cannot be used"):
            _ = kube.known_namespaces
