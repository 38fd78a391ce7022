"""The script that takes a captured pod's rules away: what it tells the kernel, never sent here.

Whether a pod really loses them is proven on a live mesh (`server-loses-its-rules`).
"""

from __future__ import annotations

import ast
import struct
from types import ModuleType

import pytest

from fixtures.faults.catalog.ambient_traffic import FLUSH, _flushes
from tests.unit.scripts import load


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load(FLUSH)


# Sizes of struct ipt_entry and ip6t_entry, and where xt_standard_target and xt_error_target end.
@pytest.mark.parametrize(
    ("family", "size", "accepts", "error"),
    [
        pytest.param(0, 112, 152, 176, id="IPv4"),
        pytest.param(1, 168, 208, 232, id="IPv6"),
    ],
)
def test_a_rule_is_laid_out_as_the_kernel_reads_it(
    script: ModuleType, family: int, size: int, accepts: int, error: int
) -> None:
    matches = script.TABLES[family][-1]
    rules = {script.ACCEPT: accepts, script.ERROR: error}
    for target, length in rules.items():
        rule = script.entry(matches, target)
        assert len(rule) == length
        assert struct.unpack_from("=HH", rule, matches) == (size, length)
        assert rule[size:] == target
        assert not any(rule[:matches])  # zero everywhere: it matches every packet


def test_it_runs_under_the_python_of_the_sample() -> None:
    ast.parse(FLUSH.read_text("utf-8"), feature_version=(3, 7))


def test_it_runs_beside_the_application_by_an_image_that_is_there() -> None:
    client = {"name": "client", "image": "hub/examples-bookinfo-productpage-v1:1.20.3"}
    pod = _flushes({"spec": {"template": {"spec": {"containers": [client]}}}})["spec"]["template"]
    first, vpn = pod["spec"]["containers"]
    assert first == client
    assert vpn["image"] == client["image"]
    assert vpn["command"] == ["python3", "-c", FLUSH.read_text("utf-8")]
    assert "NET_ADMIN" in vpn["securityContext"]["capabilities"]["add"]
