"""The command that a report names to run the same again: whatever changes the run stands in it."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.istio.releases.versions import PAIRS
from fixtures.run import options
from fixtures.run.settings import Settings
from reports.command import command_of
from tests.option_parser import option_parser

KIND, EXISTING = "--provider kind", "--provider existing --kube-context mine"
# What is typed of each option, and with which others.
REPEATED = {
    "--provider": "--provider embedded",
    "--istio-version": f"{KIND} --istio-version {PAIRS[1].istio}",
    "--kube-version": f"{KIND} --kube-version {PAIRS[0].kube}",
    "--allow-unsupported": f"{KIND} --kube-version 1.20 --allow-unsupported",
    "--profile": f"{KIND} --profile conformance",
    "--claims": f"{KIND} --claims mine",
    "--require-all": f"{KIND} --require-all",
    "--require": f"{KIND} --require addons --require egress-gateway",
    "--mesh": f"{KIND} --mesh ambient",
    "--kube-context": EXISTING,
    "--in-cluster": "--provider existing --in-cluster",
    "--allow-context": f"{EXISTING} --allow-context mine",
    "--allow-mesh-writes": f"{EXISTING} --allow-mesh-writes",
    "--read-only": f"{KIND} --read-only",
    "--no-config": f"{KIND} --no-config",
    "--istio-dir": f"{EXISTING} --istio-dir release",
    "--node-image": f"{KIND} --node-image kindest/node:own",
    "--image-archive": f"{KIND} --image-archive one.tar --image-archive two.tar",
    "--install": f"{KIND} --install helm",
    "--istio-set": f"{KIND} --istio-set a=b --istio-set c=d",
    "--gateway-api": f"{KIND} --gateway-api 1.4.0",
    "--istio-values": f"{KIND} --istio-values values.yaml",
    "--inject-fault": "--provider embedded --inject-fault gateway-object-deleted",
}
# Why an option is not repeated; each of them leaves what is tested as it is.
LEFT_OUT = {
    "--config": "read before the others; tested below",
    "--keep": "what is left at the end",
    "--patience": "of this machine",
    "--reports-dir": "of this machine",
    "--list-claims": "tests nothing",
    "--list-faults": "tests nothing",
    "--kubeconfig": "of this machine; the context is named",
    "--kind-bin": "of this machine; node image and versions are named",
    "--prove": "comes after the run, and breaks a mesh: nobody shall do so by pasting a line",
    "--allow-break": "the same; that the mesh's own namespace was written to is named",
    "--only-fault": "the same",
    "--history": "what earlier runs are known by",
    "--cluster": "what it is called",
    "--push-gateway": "whom the run tells",
    "--notify": "the same; a secret",
    "--notify-as": "the same",
}
FOLDERS, FILES = ("mine", "release"), ("one.tar", "two.tar", "values.yaml", "bundle.yaml")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with what the options name."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    for name in (*FILES, "mine/test_x.py"):
        (tmp_path / name).touch()
    return tmp_path


def read(words: str, here: Path) -> Settings:
    return options.read(option_parser().parse_args(shlex.split(words)), here)


def repeated(settings: Settings) -> str:
    return command_of(settings).removeprefix("tox -e smoke -- ")


def test_each_option_is_repeated_or_left_out_for_a_reason() -> None:
    declared = {name for action in option_parser()._actions for name in action.option_strings}
    assert declared - {"-h", "--help"} == {*REPEATED, *LEFT_OUT}
    assert not REPEATED.keys() & LEFT_OUT.keys()


@pytest.mark.parametrize(
    ("option", "typed"),
    [
        *REPEATED.items(),
        ("--gateway-api", f"{KIND} --gateway-api bundle.yaml"),
        ("--mesh", "--provider embedded --mesh sidecar"),
    ],
)
def test_the_command_runs_the_same_again(option: str, typed: str, here: Path) -> None:
    settings = read(typed, here)
    assert option in shlex.split(command_of(settings))
    again = read(repeated(settings), here)
    # Whether the version was typed: it is in each command.
    said = replace(settings.kind, istio_said=again.kind.istio_said)
    assert again == replace(settings, kind=said)


def test_the_file_of_options_is_named(here: Path) -> None:
    settings = replace(read(KIND, here), config=here / "seatrial.toml")
    assert "--config seatrial.toml" in repeated(settings)


def test_a_cluster_that_is_taken_is_tested_as_it_is(here: Path) -> None:
    assert "--mesh" not in repeated(read(EXISTING, here))
