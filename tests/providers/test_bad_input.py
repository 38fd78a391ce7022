"""What cannot be is said in one line, with the contract's exit code, and an INCOMPLETE report."""

import errno
import os
from pathlib import Path
from xml.etree import ElementTree as ET

import filelock
import pytest

from fixtures.faults.catalog import CATALOGUE
from fixtures.faults.live import LIVE
from fixtures.istio.releases.versions import PAIRS, RANGES
from fixtures.providers.discover import Engine, NoEngine
from fixtures.run.cluster import chosen
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]

CLAIM = "@so()\ndef test_a(cluster): inspected_one(1)\n"
FAULT, LIVELY = next(iter(CATALOGUE)), next(iter(LIVE))
DEAD = next(name for name in CATALOGUE if name not in LIVE)
BAD = [
    pytest.param(
        ("--provider", "no-such-provider"),
        4,
        "no-such-provider: unknown; there are auto",
        id="provider",
    ),
    pytest.param(
        ("--profile", "full"), 4, "--profile full: unknown; there are smoke", id="profile"
    ),
    pytest.param(
        ("--istio-version", "1.12.9"), 11, "1.12.9 is too old: this suite knows 1.13 to", id="old"
    ),
    pytest.param(("--istio-version", "1.3"), 11, "1.3.0 is too old", id="half an old version"),
    pytest.param(("--istio-version", "latest"), 4, "a version like 1.30 or", id="a word"),
    pytest.param(
        ("--kube-version", "1.20"),
        11,
        f"{PAIRS[0].istio} supports Kubernetes {RANGES[-1].value}, not 1.20; --allow-unsupported",
        id="Kubernetes",
    ),
    pytest.param(("--kube-version", "new"), 4, "--kube-version new: a version", id="no version"),
    pytest.param(
        ("--profile", "smoky"), 4, "smoky: unknown; did you mean smoke? There are", id="near"
    ),
    pytest.param(
        ("--provider", "existng"),
        4,
        "existng: unknown; did you mean existing? There",
        id="near provider",
    ),
    pytest.param(("--inject-fault", FAULT + "x"), 4, f"did you mean {FAULT}", id="near fault"),
    pytest.param(
        ("--inject-fault", FAULT, "--inject-fault", "dns-down"),
        4,
        "one fault a run",
        id="two faults",
    ),
    pytest.param(
        ("--prove", "--only-fault", LIVELY + "x"),
        4,
        f"did you mean {LIVELY}",
        id="near live fault",
    ),
    pytest.param(
        ("--prove", "--only-fault", DEAD),
        4,
        f"{DEAD} is no fault of a live mesh",
        id="a fault of no live mesh",
    ),
    pytest.param(
        ("--require", "ingres-gateway"),
        4,
        "did you mean ingress-gateway",
        id="feature",
    ),
    pytest.param(
        ("--inject-fault", "ztunnel-on-no-node"),
        4,
        "--inject-fault ztunnel-on-no-node: it breaks a mesh of --mesh ambient",
        id="a fault of another mesh",
    ),
    *(
        pytest.param(("--inject-fault", fault, *options), 4, f"{fault}: {words}", id=f"of {id_}")
        for id_, fault, options, words in [
            (
                "a live mesh",
                "server-not-captured",
                ("--mesh", "ambient"),
                "only a live mesh shows it, the embedded cluster does not: tox -e prove",
            ),
            (
                "a newer Istio",
                "injector-takes-any-metrics-port",
                ("--istio-version", "1.30"),
                "it breaks Istio 1.31 or newer, and this is 1.30.",
            ),
            (
                "the plugin",
                "cni-agent-missing",
                (),
                "it breaks a mesh with Istio's CNI plugin, and this is one without",
            ),
            (
                "the other place",
                "sidecar-opted-to-the-new-place",
                (),
                "it breaks classic sidecars, and these are native by default",
            ),
        ]
    ),
    pytest.param(("--mesh", "ambiant"), 4, "did you mean ambient", id="near mesh"),
    pytest.param(
        ("--mesh", "ambient", "--istio-version", "1.23.6"),
        11,
        "--mesh ambient: ambient mode is stable since 1.24, not in Istio 1.23.6",
        id="ambient mode of an old Istio",
    ),
    pytest.param(
        ("--mesh", "ambient", "--provider", "kind", "--istio-set", "profile=demo"),
        4,
        "--istio-set profile=demo: --mesh ambient installs profile ambient",
        id="ambient mode and a profile",
    ),
    pytest.param(
        ("--mesh", "ambient", "--provider", "existing", "--kube-context", "here"),
        4,
        "--mesh: a mesh that is there is tested as it is",
        id="the mode of a mesh that is there",
    ),
    pytest.param(
        ("--kubeconfig", "x"), 4, "--kubeconfig: only with --provider existing", id="kubeconfig"
    ),
    pytest.param(
        ("--provider", "existing", "--in-cluster", "--kubeconfig", "x"),
        4,
        "--kubeconfig and --in-cluster name two clusters",
        id="two clusters",
    ),
    pytest.param(("--patience", "0"), 4, "a number above 0 is needed", id="no patience"),
    pytest.param(("--patience", "long"), 4, "a number above 0 is needed", id="patience in words"),
    pytest.param(
        ("--inject-fault", "bad-luck"), 4, "bad-luck: unknown; see --list-faults", id="fault"
    ),
    pytest.param(
        ("--inject-fault", FAULT, "--provider", "existing"),
        13,
        "only the embedded cluster is broken on purpose, never --provider existing",
        id="a fault for a real cluster",
    ),
    pytest.param(
        ("--node-image", "x"), 4, "--node-image: only with --provider kind", id="a kind option"
    ),
    pytest.param(
        ("--provider", "auto", "--istio-set", "hub=x"),
        4,
        "--istio-set: only with --provider kind or embedded",
        id="a setting for whatever is found",
    ),
    pytest.param(
        ("--provider", "kind", "--istio-set", "hub"), 4, "KEY=VALUE is needed", id="half a setting"
    ),
    pytest.param(
        ("--provider", "kind", "--install", "magic"), 4, "there are istioctl, helm", id="installer"
    ),
    pytest.param(
        ("--provider", "kind", "--istio-dir", "none"), 4, "no such file or folder", id="no folder"
    ),
    pytest.param(
        ("--provider", "embedded", "--istio-dir", "."),
        4,
        "--istio-dir: only with --provider kind or existing",
        id="a release for the embedded cluster",
    ),
    pytest.param(
        ("--provider", "kind", "--gateway-api", "1.7"),
        4,
        "--gateway-api 1.7: neither a version like 1.7.0 nor a file",
        id="half a version of the Gateway API",
    ),
    pytest.param(
        ("--provider", "embedded", "--gateway-api", __file__),
        4,
        "--gateway-api: a file only with --provider kind; give a version",
        id="a file of the Gateway API for the embedded cluster",
    ),
    pytest.param(
        ("--provider", "existing", "--kube-context", "x", "--gateway-api", "1.7.0"),
        4,
        "--gateway-api: only with --provider kind or embedded",
        id="the Gateway API for a cluster that is taken",
    ),
    pytest.param(
        ("--provider", "kind", "--node-image", "kindest/node:v1.34.1", "--kube-version", "1.35"),
        4,
        "kindest/node:v1.34.1: --kube-version says 1.35; leave one out",
        id="an image of another Kubernetes",
    ),
    pytest.param(
        ("--provider", "kind", "--istio-values", "."), 4, "is a folder; name a file", id="no file"
    ),
    pytest.param(
        ("--provider", "kind", "--istio-dir", "conftest.py"),
        4,
        "is a file; name the folder it was unpacked to",
        id="no unpacked release",
    ),
    pytest.param(("suites/test_77_none.py",), 4, "not found", id="path"),
]


@pytest.mark.parametrize(("options", "code", "words"), BAD)
def test_bad_input_is_one_line_and_an_incomplete_report(
    runs: SmallRuns, options: tuple[str, ...], code: int, words: str
) -> None:
    ended = runs.run(*options)
    [line] = [
        line for line in ended.output.splitlines() if words in line and "report" not in line
    ][:1]
    assert line
    assert "Traceback" not in ended.output
    assert "PROVIDED" not in ended.output
    assert ended.code == ended.report["exit_code"] == code
    assert ended.report["complete"] is False
    assert "INCOMPLETE" in (ended.folder / "report.html").read_text()
    assert "INCOMPLETE" in (ended.folder / "summary.md").read_text()
    assert int(ET.parse(ended.folder / "junit.xml").getroot().get("errors", "0")) > 0


def test_bad_input_leaves_an_earlier_complete_report(runs: SmallRuns) -> None:
    before = runs.run().report
    assert before["complete"] is True
    ended = runs.run("--provider", "no-such-provider")
    assert ended.code == 4
    assert ended.report == before


def test_a_mistyped_option_leaves_an_earlier_complete_report(runs: SmallRuns) -> None:
    before = runs.run().report
    ended = runs.run("--profil", "smoke", "--kubecontext", "a")
    assert ended.code == 4
    assert ended.report == before


def test_a_folder_that_another_run_writes_to_is_refused(runs: SmallRuns) -> None:
    runs.claims("01_cluster", CLAIM)
    before = runs.run().report
    with filelock.FileLock(runs.folder / ".lock"):
        ended = runs.run()
    assert ended.code == 4
    assert f"--reports-dir {runs.folder}: another run writes its report there" in ended.output
    assert "Traceback" not in ended.output
    assert "PROVIDED" not in ended.output
    assert ended.report == before
    assert runs.run().code == 0


@pytest.mark.parametrize(
    ("when", "words"),
    [
        pytest.param("INCOMPLETE", "cannot be written (No space left", id="at the beginning"),
        pytest.param("It is so", "the report cannot be written (No space left", id="at the end"),
    ],
)
def test_a_full_disk_is_one_line_and_the_hosts_fault(
    runs: SmallRuns, monkeypatch: pytest.MonkeyPatch, when: str, words: str
) -> None:
    runs.claims("01_cluster", CLAIM)
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name.startswith(".") and when in data.decode():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    ended = runs.run()
    assert ended.code == 11
    [line] = [line for line in ended.output.splitlines() if words in line]
    assert str(ended.folder) in line
    assert "make room, or name another folder" in line
    assert "Traceback" not in ended.output
    assert "assed (" not in ended.output
    assert " claim passed" not in ended.output
    assert not list(ended.folder.glob(".*.part"))


def test_a_disk_that_is_full_at_the_beginning_leaves_an_earlier_report(
    runs: SmallRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runs.run().report

    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    ended = runs.run()
    assert ended.code == 11
    assert ended.report == before


def test_a_reports_folder_that_cannot_be_written_is_named(runs: SmallRuns, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = runs.run("--reports-dir", str(tmp_path / "file" / "below"))
    assert ended.code == 4
    assert f"--reports-dir {tmp_path}/file/below: cannot be written" in ended.output
    assert "Traceback" not in ended.output


def test_xdist_is_refused(runs: SmallRuns) -> None:
    ended = runs.run("-n", "2")
    assert "run it without pytest-xdist" in ended.output
    assert (ended.code, ended.report["complete"]) == (4, False)


def test_what_does_not_fit_is_tested_where_that_is_allowed(runs: SmallRuns) -> None:
    ended = runs.run("--kube-version", "1.20", "--allow-unsupported")
    assert ended.code == 0
    assert ended.report["subject"]["istio"] == PAIRS[0].istio


def test_half_a_version_takes_the_newest_of_that_minor(runs: SmallRuns) -> None:
    assert runs.run("--istio-version", "1.27").report["subject"]["istio"] == "1.27.9"


def test_auto_says_what_it_takes_and_why(runs: SmallRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    ended = runs.run("--provider", "auto")
    assert "PROVIDER embedded was chosen by auto: no container engine answers" in ended.output
    assert ended.report["subject"]["provider"] == "embedded"
    assert ended.code == 0


def test_claims_are_listed_without_a_cluster_or_a_report(runs: SmallRuns) -> None:
    ended = runs.run("--list-claims")
    assert "cluster/a  core  " in ended.output
    assert "PROVIDED" not in ended.output
    assert ended.code == 0
    assert not ended.folder.exists()


def test_faults_are_listed(runs: SmallRuns) -> None:
    ended = runs.run("--list-faults")
    assert ended.code == 0
    lines = {line.split()[0]: line for line in ended.output.splitlines() if " stage " in line}
    assert set(lines) == set(CATALOGUE)
    assert lines["server-not-captured"].endswith(". [--mesh ambient] [--prove only]")
    assert lines["ztunnel-on-no-node"].endswith(". [--mesh ambient]")
    assert lines[FAULT].endswith(CATALOGUE[FAULT].text)


@pytest.mark.parametrize(
    ("found", "fault", "provider", "words"),
    [
        pytest.param(Engine("docker", "28.1.0"), "", "kind", "docker 28.1.0 answers", id="engine"),
        pytest.param(NoEngine("none there"), "", "embedded", "none there", id="no engine"),
        pytest.param(
            Engine("docker", "28.1.0"), "a-fault", "embedded", "a-fault is asked for", id="a fault"
        ),
    ],
)
def test_auto_takes_a_real_cluster_where_it_can_be_had(
    found: Engine | NoEngine, fault: str, provider: str, words: str
) -> None:
    taken, why = chosen(found, fault)
    assert taken == provider
    assert words in why


def test_a_near_match_of_an_unknown_option_is_named(runs: SmallRuns) -> None:
    ended = runs.run("--provder", "kind", "--reports-dir", "elsewhere")
    assert ended.code == 4
    assert "--provder: unknown; did you mean --provider" in ended.output
    assert "--reports-dir: unknown" not in ended.output
