"""The embedded cluster's provider: what it says when the process does not do as it should."""

import sys
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from fixtures.providers import embedded_process
from fixtures.providers.base import HostNotFit, ProvisionError, ProvisioningFailed
from fixtures.providers.embedded_process import Embedded
from tests.embedded.conftest import started

READY = 'print(\'{"ready": true, "node": "127.9.0.2", "features": ["writes"]}\', flush=True); '


def provider(folder: Path, code: str, deaths: Queue[str] | None = None) -> Embedded:
    died = deaths or Queue[str]()
    command = (sys.executable, "-c", f"import sys; {code}")
    return Embedded("1.31.0", "1.35", folder / "log" / "embedded.log", died.put, command=command)


def test_access_says_what_the_process_printed(tmp_path: Path) -> None:
    with provider(tmp_path, READY + "sys.stdin.read()").provide() as access:
        assert (access.node_address, access.evidence) == ("127.9.0.2", "rehearsal")
        assert access.features == {"istioctl", "writes"}


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        pytest.param(
            "print('embedded cluster: no envoy', file=sys.stderr); sys.exit(11)",
            HostNotFit,
            "did not start: no envoy",
            id="host not fit",
        ),
        pytest.param(
            "print('embedded cluster: address taken', file=sys.stderr); sys.exit(10)",
            ProvisioningFailed,
            "did not start: address taken",
            id="failed",
        ),
        pytest.param(
            "raise ExceptionGroup('some', [RuntimeError('our own mistake')])",
            ProvisioningFailed,
            "did not start: RuntimeError: our own mistake",
            id="a group of exceptions",
        ),
        pytest.param("sys.exit(0)", ProvisioningFailed, "ended without a message", id="silent"),
        pytest.param(
            "sys.stdin.read()", ProvisioningFailed, "not ready within 0.3 s", id="never ready"
        ),
    ],
)
def test_a_process_that_does_not_become_ready_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    kind: type[ProvisionError],
    words: str,
) -> None:
    monkeypatch.setattr(embedded_process, "READY_SECONDS", 0.3 if "stdin" in code else 30)
    with pytest.raises(kind, match=words) as raised, provider(tmp_path, code).provide():
        pass
    assert "\n" not in str(raised.value)
    assert ("embedded.log" in str(raised.value)) == (kind is not HostNotFit)


def test_a_death_in_mid_run_is_reported_at_once(tmp_path: Path) -> None:
    deaths = Queue[str]()
    with provider(tmp_path, READY + "sys.exit(3)", deaths).provide():
        assert "ended with exit code 3 during the run" in deaths.get(timeout=10)


def test_an_end_that_we_requested_is_no_death(tmp_path: Path) -> None:
    deaths = Queue[str]()
    with provider(tmp_path, READY + "sys.stdin.read()", deaths).provide():
        pass
    assert deaths.empty()


@pytest.mark.parametrize("version", ["1.31", "v1.31", "1.31.0"])
def test_the_cluster_alone_takes_versions_as_the_run_does(tmp_path: Path, version: str) -> None:
    with started(tmp_path, "--istio-version", version, "--state", "empty") as cluster:
        assert cluster.ready["ready"] is True


def test_another_system_is_directed_to_use_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(HostNotFit, match=r"needs Linux.*use --provider kind"):
        provider(tmp_path, "").provide().__enter__()


def test_the_installation_is_passed_on_and_what_follows_is_handed_over(tmp_path: Path) -> None:
    code = "told = sys.argv[1:]; print(told, file=sys.stderr); "
    code += 'print(\'{"ready": true, "absent": ["gone"], "revision": "canary"}\', flush=True); '
    command = (sys.executable, "-c", f"import sys; {code} sys.stdin.read()")
    log = tmp_path / "embedded.log"
    wanted = Embedded(
        *("1.31.0", "1.35", log, Queue[str]().put, "helm", ("revision=canary", "a=b")),
        command=command,
    )
    for version, words in (("", "'--gateway-api']"), ("1.7.0", "'--gateway-api', '1.7.0']")):
        with replace(wanted, gateway_api=version).provide():
            assert words in log.read_text(encoding="utf-8")
    with wanted.provide() as access:
        assert (set(access.absent), access.revision) == ({"gone"}, "canary")
    reported = log.read_text(encoding="utf-8")
    assert "'--install', 'helm', '--istio-set=revision=canary', '--istio-set=a=b'" in reported
