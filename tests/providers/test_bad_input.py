"""What cannot be is said in one line, with the contract's exit code, and an INCOMPLETE report."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fixtures.faults.catalog import CATALOGUE
from fixtures.providers.discover import Engine, NoEngine
from fixtures.run.cluster import chosen
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]

FAULT = next(iter(CATALOGUE))
BAD = [
    pytest.param(
        ("--provider", "minikube"), 4, "minikube: unknown; there are auto", id="provider"
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
        "1.31.0 supports Kubernetes 1.32 to 1.36, not 1.20; --allow-unsupported",
        id="Kubernetes",
    ),
    pytest.param(("--kube-version", "new"), 4, "--kube-version new: a version", id="no version"),
    pytest.param(("--patience", "0"), 4, "a number above 0 is needed", id="no patience"),
    pytest.param(("--patience", "long"), 4, "a number above 0 is needed", id="patience in words"),
    pytest.param(("--inject-fault", "bad-luck"), 4, "bad-luck; see --list-faults", id="fault"),
    pytest.param(("--inject-fault", "dns-dwon"), 4, "did you mean dns-down", id="misspelt fault"),
    pytest.param(
        ("--prove", "--only-fault", "dns-dwon"),
        4,
        "did you mean dns-down",
        id="misspelt for proof",
    ),
    pytest.param(
        ("--prove", "--only-fault", "kubernetes-too-old"),
        4,
        "kubernetes-too-old cannot be injected into a live mesh",
        id="a fault that a live mesh cannot have",
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


def test_bad_input_takes_the_place_of_an_older_good_report(runs: SmallRuns) -> None:
    assert runs.run().report["complete"] is True
    assert runs.run("--provider", "minikube").report["complete"] is False


def test_a_reports_folder_that_cannot_be_written_is_named(runs: SmallRuns, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = runs.run("--reports-dir", str(tmp_path / "file" / "below"))
    assert ended.code == 4
    assert f"--reports-dir {tmp_path}/file/below: cannot be written" in ended.output
    assert "Traceback" not in ended.output


def test_xdist_is_refused(runs: SmallRuns) -> None:
    pytest.importorskip("xdist")
    ended = runs.run("-n", "2")
    assert (ended.code, ended.report["complete"]) == (4, False)


def test_what_does_not_fit_is_walked_over_where_that_is_allowed(runs: SmallRuns) -> None:
    ended = runs.run("--kube-version", "1.20", "--allow-unsupported")
    assert ended.code == 0
    assert ended.report["subject"]["istio"] == "1.31.0"


def test_half_a_version_takes_the_newest_of_that_minor(runs: SmallRuns) -> None:
    assert runs.run("--istio-version", "1.30").report["subject"]["istio"] == "1.30.3"


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
    assert all(name in ended.output for name in CATALOGUE)


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
