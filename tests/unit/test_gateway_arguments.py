"""The arguments of a gateway's proxy: what is expected by the values, and what is found."""

from __future__ import annotations

import pytest

from fixtures.istio.gateway_arguments import NAMES, expected, value_of
from fixtures.istio.releases.gateway import ARGUMENTS

BY_NAME = {row.id: row.value for row in ARGUMENTS}
ARGS = (
    *("proxy", "router", "--domain", "$(POD_NAMESPACE).svc.cluster.local"),
    *("--proxyLogLevel=warning", "--proxyComponentLogLevel=misc:error"),
    "--log_output_level=default:info",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_charts_own_arguments_are_as_expected(name: str) -> None:
    assert value_of(BY_NAME[name], ARGS) == expected(BY_NAME[name], {})


def test_what_the_values_set_is_expected() -> None:
    values = {"global": {"proxy": {"clusterDomain": "corp.local", "logLevel": "debug"}}}
    assert expected(BY_NAME["domain"], values) == "$(POD_NAMESPACE).svc.corp.local"
    assert expected(BY_NAME["proxy-log-level"], values) == "debug"
    assert expected(BY_NAME["log-level"], values) == "default:info"


@pytest.mark.parametrize(
    ("args", "found"),
    [(("--domain=x",), "x"), (("--domain", "x"), "x"), (("--domain",), ""), ((), "")],
)
def test_a_flag_with_or_without_an_equals_sign(args: tuple[str, ...], found: str) -> None:
    assert value_of(BY_NAME["domain"], args) == found
