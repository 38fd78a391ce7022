"""What others apply or run as it stands: accepted by the API server with strict validation."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.diagnostics.plugin import MOST_BYTES
from fixtures.faults.fault import has_cni
from fixtures.istio.releases.rows import minor
from fixtures.istio.releases.versions import PAIRS, RANGES
from fixtures.providers.kind.versions import NODE_IMAGES
from fixtures.run.options import PROFILES
from tests.embedded.small import in_a_loop
from tests.embedded.test_api_http import Client, a_server

Body = dict[str, Any]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
MANIFESTS = sorted(
    [
        DEPLOY / "cronjob.yaml",
        DEPLOY / "fleet" / "fleet.yaml",
        *(ROOT / "docs" / "rbac").glob("*.yaml"),
    ]
)
STRICT = "dryRun=All&fieldValidation=Strict"
# Standing namespaces whose roles the manifests bring.
NAMESPACES = ("seatrial", "istio-system", "kube-system", "default")


def read(path: Path) -> list[Body]:
    return list(yaml.safe_load_all(path.read_text()))


async def refusal(client: Client, body: Body) -> str:
    """What the API server has against an object; empty if nothing."""
    info = client.api.registry.of_kind(body["apiVersion"], body["kind"])
    assert info, body["kind"]
    prefix = f"/apis/{body['apiVersion']}" if info.group else "/api/v1"
    place = f"/namespaces/{body['metadata']['namespace']}" if info.namespaced else ""
    answer = await client.request(f"{prefix}{place}/{info.plural}?{STRICT}", "POST", body)
    return "" if answer.code == 201 else str(answer.body["message"])


async def stand(client: Client) -> None:
    known = {body["metadata"]["name"] for body in client.api.list("namespaces")}
    for name in set(NAMESPACES) - known:
        await client.api.create("namespaces", {"metadata": {"name": name}})


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
@in_a_loop
async def test_manifests_are_valid(path: Path) -> None:
    async with a_server() as client:
        await stand(client)
        wrong = {
            f"{body['kind']} {body['metadata']['name']}": await refusal(client, body)
            for body in read(path)
            if body["metadata"]["name"] not in NAMESPACES or body["kind"] != "Namespace"
        }
        assert {what: why for what, why in wrong.items() if why} == {}


@in_a_loop
async def test_a_mistake_in_a_manifest_would_be_noticed() -> None:
    async with a_server() as client:
        await stand(client)
        [job] = [body for body in read(DEPLOY / "cronjob.yaml") if body["kind"] == "CronJob"]
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        pod["serviceAcountName"] = pod.pop("serviceAccountName")
        assert 'unknown field "spec.jobTemplate.spec' in await refusal(client, job)


@in_a_loop
async def test_the_sonobuoy_plugin_is_a_valid_pod() -> None:
    [plugin] = read(DEPLOY / "sonobuoy-plugin.yaml")
    assert set(plugin) == {"sonobuoy-config", "podSpec", "spec"}
    config = plugin["sonobuoy-config"]
    assert (config["driver"], config["result-format"]) == ("Job", "junit")
    container = plugin["spec"]
    # Sonobuoy adds the volume of this name, and a container that collects from it.
    assert {"name": "results", "mountPath": "/tmp/sonobuoy/results"} in container["volumeMounts"]
    assert "${results}/done" in container["args"][0]
    spec = plugin["podSpec"] | {
        "containers": [container],
        "volumes": [*plugin["podSpec"]["volumes"], {"name": "results", "emptyDir": {}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "seatrial"}}
    async with a_server() as client:
        await stand(client)
        account = {"metadata": {"name": spec["serviceAccountName"]}}
        await client.api.create("serviceaccounts", account, "seatrial")
        assert await refusal(client, pod | {"spec": spec}) == ""


def test_the_cron_job_uses_what_the_role_makes() -> None:
    claim, options, job = read(DEPLOY / "cronjob.yaml")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    role = read(ROOT / "docs" / "rbac" / f"{options['data']['PROFILE']}.yaml")
    accounts = [d["metadata"] for d in role if d["kind"] == "ServiceAccount"]
    assert {"name": pod["serviceAccountName"], "namespace": "seatrial"} in accounts
    assert container["envFrom"] == [
        {"configMapRef": {"name": options["metadata"]["name"]}},
        {"secretRef": {"name": "seatrial-tells", "optional": True}},
    ]
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    assert volumes["reports"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert options["data"]["PROFILE"] in PROFILES


def prune(reports: Path, keep: int) -> subprocess.CompletedProcess[str]:
    """Run what the cron job's first container runs, on a folder of this machine."""
    [job] = [body for body in read(DEPLOY / "cronjob.yaml") if body["kind"] == "CronJob"]
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["initContainers"]
    [script] = container["args"]
    assert "cd /reports " in script
    return subprocess.run(
        [*container["command"], script.replace("/reports ", f"{shlex.quote(str(reports))} ")],
        env={"PATH": os.environ["PATH"], "KEEP": str(keep)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def a_volume(folder: Path, runs: int) -> Path:
    """A volume with so many reports, the first one the oldest, and what a file system has."""
    for n in range(runs):
        report = folder / f"seatrial-{n}-x" / "report.json"
        (report.parent / "diagnostics").mkdir(parents=True)
        report.write_text("{}")
        os.utime(report, (n, n))
    (folder / "lost+found").mkdir()
    return folder


@pytest.mark.parametrize(("runs", "kept"), [(0, []), (2, [0, 1]), (3, [1, 2]), (9, [7, 8])])
def test_the_cron_job_keeps_the_last_reports(tmp_path: Path, runs: int, kept: list[int]) -> None:
    done = prune(a_volume(tmp_path, runs), keep=3)  # the third one is written by the run itself
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    left = {path.name for path in tmp_path.iterdir()} - {"lost+found"}
    assert left == {f"seatrial-{n}-x" for n in kept}
    assert (tmp_path / "lost+found").is_dir()


def test_a_volume_that_cannot_be_pruned_stops_no_run(tmp_path: Path) -> None:
    assert prune(tmp_path / "none", keep=3).returncode == 0


def test_the_reports_that_the_cron_job_keeps_fit_its_volume() -> None:
    claim, options, _ = read(DEPLOY / "cronjob.yaml")
    size = claim["spec"]["resources"]["requests"]["storage"]
    assert size.endswith("Gi")
    most = MOST_BYTES + 2 * 1024**2  # of diagnostics, and the other files
    assert int(options["data"]["KEEP"]) * most <= int(size.removesuffix("Gi")) * 1024**3


def test_the_image_holds_all_that_a_run_needs() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    steps = [shlex.split(line)[1:-1] for line in lines if line.startswith("COPY ")]
    copied = {name for names in steps if "--from=packages" not in names for name in names}
    assert copied == {"pyproject.toml", "conftest.py", "fixtures", "reports", "suites"}
    assert all((ROOT / name).exists() for name in copied)


def environments() -> set[str]:
    """The matrix of tox.ini."""
    [line] = [
        x for x in (ROOT / "tox.ini").read_text().splitlines() if x.startswith("[testenv:istio")
    ]
    parts = line.removeprefix("[testenv:istio1.{").removesuffix("}]").split("}-kube1.{")
    istios, kubes = (part.split(",") for part in parts)
    return {f"istio1.{istio}-kube1.{kube}" for istio, kube in product(istios, kubes)}


def test_the_matrix_of_tox_has_the_pairs_of_the_table() -> None:
    fitting = {
        f"istio{row.id}-kube1.{kube}"
        for row in RANGES
        for kube in range(10, 60)
        if f"1.{kube}" in row.value
    }
    assert fitting <= environments()
    assert {e.partition("-")[0] for e in environments()} == {e.partition("-")[0] for e in fitting}


def test_the_label_of_pairs_names_every_pair_of_the_table() -> None:
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(ROOT / "tox.ini")
    _, _, named = ini["tox"]["labels"].replace("\\\n", "").partition("poses =")
    wanted = {f"istio{minor(p.istio)}-kube{p.kube}" for p in PAIRS}
    assert {name.strip() for name in named.split(",")} == wanted


def test_the_nightly_run_takes_every_pair_and_keeps_its_reports() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    assert "schedule" in workflow[True]  # YAML reads the key `on` so
    job = workflow["jobs"]["run"]
    pairs = job["strategy"]["matrix"]["pair"]
    made = [p for p in PAIRS if p.kube in NODE_IMAGES]  # kind has no older nodes
    assert set(pairs) == {f"istio{minor(p.istio)}-kube{p.kube}" for p in made}
    assert set(pairs) <= environments()
    steps = job["steps"]
    assert all(("uses" in step) != ("run" in step) for step in steps)
    assert all("@" in step["uses"] for step in steps if "uses" in step)
    entries = [step for step in steps if "GITHUB_STEP_SUMMARY" in step.get("run", "")]
    kept = [step for step in steps if "upload-artifact" in step.get("uses", "")]
    assert [step["if"] for step in (*entries, *kept)] == ["always()", "always()"]
    [taken] = [step for step in steps if "cache/restore" in step.get("uses", "")]
    [left] = [step for step in steps if "cache/save" in step.get("uses", "")]
    assert left["if"] == "always()"  # a red night is what the next one must know of
    assert (taken["with"]["path"], taken["with"]["key"]) == tuple(left["with"].values())
    assert {"report.html", "junit.xml", "summary.md"} <= {
        Path(line).name for line in kept[0]["with"]["path"].split()
    }


def summary(tmp_path: Path, code: int | None) -> str:
    """What the nightly job shows of a run that ended with this exit code."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    [step] = [s for s in workflow["jobs"]["run"]["steps"] if s.get("name") == "Show the summary"]
    assert set(step["env"]) == {"REPORT"}
    if code is not None:
        (tmp_path / "report.json").write_text(json.dumps({"exit_code": code}))
        (tmp_path / "summary.md").write_text("# Seatrial: the verdict\n")
    shown = tmp_path / "shown.md"
    subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],  # as GitHub runs it
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "REPORT": str(tmp_path),
            "GITHUB_STEP_SUMMARY": str(shown),
        },
        check=True,
        timeout=30,
    )
    return shown.read_text()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "> **A claim failed**"),
        (12, "> **A required claim was not tested**"),
        (10, "> **No claim failed: provisioning did**"),
        (11, "> **No claim failed: this host is not fit**"),
        (13, "> **No claim failed: the target was refused as unsafe**"),
        (2, "> **No verdict: the run did not come to its end** (exit code 2)"),
    ],
)
def test_the_nightly_summary_says_whose_fault_it_is(tmp_path: Path, code: int, words: str) -> None:
    shown = summary(tmp_path, code)
    assert shown.startswith(words)
    assert shown.endswith("\n\n# Seatrial: the verdict\n")


def test_the_nightly_summary_of_a_good_run_is_its_own(tmp_path: Path) -> None:
    assert summary(tmp_path, 0) == "\n# Seatrial: the verdict\n"


def test_the_nightly_summary_says_that_a_run_did_not_begin(tmp_path: Path) -> None:
    assert summary(tmp_path, None).startswith("There is no report: the run did not begin")


def test_the_nightly_faults_are_injected_with_cni_and_without() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    job = workflow["jobs"]["faults"]
    pairs = [shlex.split(mesh) for mesh in job["strategy"]["matrix"]["mesh"]]
    entries = [options[:4] for options in pairs if "--istio-version" in options]
    known = {(minor(p.istio), p.kube) for p in PAIRS}
    assert {(istio, kube) for _, istio, _, kube in entries} <= known
    newest = [options for options in pairs if "--istio-version" not in options]
    assert {has_cni(options) for options in newest} == {True, False}
    assert {"--before-run" in options for options in newest} == {True, False}
    [reported] = [s["run"] for s in job["steps"] if s.get("name") == "Break the mesh"]
    assert "$MESH" in reported
