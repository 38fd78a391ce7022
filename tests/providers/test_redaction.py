"""What a kubeconfig holds for its user's eyes alone is kept out of everything that is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.run.redaction import HIDDEN, Redactor

SECRET = "s3cr3t-of-the-user"  # the canary, no password


def oidc(key: str) -> dict[str, Any]:
    return {"auth-provider": {"name": "oidc", "config": {key: SECRET, "client-id": "kubernetes"}}}


def plugin(**more: Any) -> dict[str, Any]:
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "login", **more}}


USERS = [
    pytest.param({"token": SECRET}, id="token"),
    pytest.param({"password": SECRET, "username": "admin"}, id="password"),
    *(
        pytest.param(oidc(key), id=key)
        for key in ("client-secret", "refresh-token", "id-token", "access-token")
    ),
    pytest.param(plugin(env=[{"name": "AZURE_CLIENT_SECRET", "value": SECRET}]), id="exec env"),
    pytest.param(plugin(env=[{"name": "SESSION", "value": SECRET}]), id="exec env, any name"),
    pytest.param(plugin(args=[f"--oidc-client-secret={SECRET}"]), id="exec argument"),
    pytest.param(plugin(args=["get-token", "--password", SECRET]), id="exec, next argument"),
]


def learned(tmp_path: Path, user: dict[str, Any]) -> Redactor:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump({"users": [{"name": "u", "user": user}]}))
    redactor = Redactor()
    redactor.learn(path)
    return redactor


@pytest.mark.parametrize("user", USERS)
def test_a_credential_is_hidden_wherever_it_turns_up(tmp_path: Path, user: dict[str, Any]) -> None:
    assert learned(tmp_path, user).text(f"seen: {SECRET}.") == f"seen: {HIDDEN}."


def test_the_content_of_a_token_file_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    redactor = learned(tmp_path, {"tokenFile": str(tmp_path / "token")})
    assert redactor.text(f"seen: {SECRET}") == f"seen: {HIDDEN}"


def test_words_that_everybody_may_read_stay(tmp_path: Path) -> None:
    env = {"AWS_PROFILE": "production", "AWS_REGION": "eu-central-1", "CONFIG": "/etc/login.yaml"}
    user = plugin(
        env=[{"name": name, "value": value} for name, value in env.items()],
        args=["get-token", "--auth-type=workload", "--server-id", "6dae42f8-aaaa-bbbb"],
        installHint="see https://example.com/login",
    )
    text = " ".join([*env.values(), "workload 6dae42f8-aaaa-bbbb https://example.com/login"])
    assert learned(tmp_path, user).text(text) == text


def test_a_kubeconfig_with_garbage_in_it_is_no_reason_to_end(tmp_path: Path) -> None:
    redactor = learned(tmp_path, {"client-key-data": "not base64!", "tokenFile": "/none"})
    assert redactor.text("not base64!") == HIDDEN
