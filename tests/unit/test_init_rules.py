"""istio-init's arguments are read flag by flag, whatever their order and whatever is new."""

from __future__ import annotations

import pytest

from fixtures.istio.init_rules import LONG_NAMES, InitRules
from fixtures.istio.releases.redirection import FLAGS_EXPECTED
from tests.recordings import state_of

ARGUMENTS = [
    "istio-iptables",
    *("-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT"),
    *("-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020"),
]


def test_the_usual_arguments_are_read() -> None:
    rules = InitRules.parse(ARGUMENTS)
    assert rules.program == "istio-iptables"
    assert rules.values == {row.value.name: row.value.value for row in FLAGS_EXPECTED}
    assert rules.others == ()


def test_an_empty_value_does_not_swallow_the_next_flag() -> None:
    assert InitRules.parse(["istio-iptables", "-x", "", "-b", "*"]).values == {"-x": "", "-b": "*"}


def test_order_makes_no_difference() -> None:
    turned = ["istio-iptables", "-d", "15090,15021,15020", "-z", "15006"]
    assert InitRules.parse(turned).values == {"-d": "15090,15021,15020", "-z": "15006"}


@pytest.mark.parametrize("written", [["--envoy-port", "1"], ["--envoy-port=1"], ["-p", "1"]])
def test_a_long_name_means_its_short_one(written: list[str]) -> None:
    assert InitRules.parse(["istio-iptables", *written]).values == {"-p": "1"}


def test_what_is_unknown_is_kept_and_takes_nothing_with_it() -> None:
    rules = InitRules.parse(["istio-iptables", "--log_output_level=default:info", "-I", "*"])
    assert rules.others == ("--log_output_level=default:info", "-I", "*")
    assert rules.values == {}


def test_a_flag_is_reported_as_it_is_typed() -> None:
    rules = InitRules.parse(["istio-iptables", "-x", "", "-u", "1337"])
    assert rules.typed("-u") == "-u 1337"
    assert rules.typed("-x") == "-x (nothing)"
    assert rules.typed("-d") == "no -d"


def test_no_arguments_are_no_rules() -> None:
    assert InitRules.parse([]).program == ""


def test_every_expected_flag_is_one_of_the_model() -> None:
    assert {row.value.name for row in FLAGS_EXPECTED} <= set(LONG_NAMES)


@pytest.mark.parametrize("state", ["4-injected", "classic/injected"])
def test_recorded_pods_are_reported_as_expected(state: str) -> None:
    pods = state_of(state)["v1/pods"]
    inits = [
        c for p in pods for c in p["spec"].get("initContainers", []) if c["name"] == "istio-init"
    ]
    assert len(inits) >= 6
    expected = {row.value.name: row.value.value for row in FLAGS_EXPECTED}
    for container in inits:
        rules = InitRules.parse(container["args"])
        assert rules.values == expected
        assert rules.others == ("--log_output_level=default:info",)
