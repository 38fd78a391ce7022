"""The fleet's Job, the chart and the image that they share: who sees what, and what it may do."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.embedded.small import in_a_loop
from tests.embedded.test_api_http import a_server
from tests.embedded.test_deploy import DEPLOY, read, refusal, stand

Body = dict[str, Any]
CHART, FLEET = DEPLOY / "chart", DEPLOY / "fleet"
ONLY_FLEET = ("--set", "cronjob.enabled=false", "--set", "fleet.enabled=true")

needs_helm = pytest.mark.skipif(shutil.which("helm") is None, reason="no helm on the PATH")
needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="no kubectl on the PATH"
)


def made(*command: str) -> list[Body]:
    """The objects that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [body for body in yaml.safe_load_all(done.stdout) if body]


def rendered(*values: str) -> list[Body]:
    return made("helm", "template", "seatrial", str(CHART), "--namespace", "seatrial", *values)


def by_name(bodies: Sequence[Body]) -> dict[tuple[str, str], Body]:
    return {(body["kind"], body["metadata"]["name"]): body for body in bodies}


def pods_of(bodies: Sequence[Body]) -> Iterator[Body]:
    """The pods that cron jobs make."""
    for body in bodies:
        if body["kind"] == "CronJob":
            yield body["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def base() -> Body:
    [job] = [body for body in read(FLEET / "fleet.yaml") if body["kind"] == "CronJob"]
    spec: Body = job["spec"]["jobTemplate"]["spec"]
    return spec


def everything_that_runs() -> Iterator[tuple[Body, Body]]:
    """Each pod that is deployed anywhere, with each of its containers."""
    for path in (DEPLOY / "cronjob.yaml", FLEET / "fleet.yaml"):
        for pod in pods_of(read(path)):
            yield from ((pod, one) for one in (*pod.get("initContainers", ()), *pod["containers"]))
    [plugin] = read(DEPLOY / "sonobuoy-plugin.yaml")
    yield plugin["podSpec"], plugin["spec"]


def test_all_that_runs_is_nobody_on_a_read_only_file_system_of_one_image() -> None:
    ran = list(everything_that_runs())
    assert len(ran) == 4
    assert {container["image"] for _, container in ran} == {"registry.example/seatrial:0.1.0"}
    for pod, container in ran:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 65532
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "limits" in container["resources"]


def test_a_container_of_the_fleet_sees_one_secret_and_no_token() -> None:
    pod = base()["template"]["spec"]
    [container] = pod["containers"]
    [mount] = [m for m in container["volumeMounts"] if m["name"] == "kubeconfigs"]
    assert (mount["subPathExpr"], mount["readOnly"]) == ("$(JOB_COMPLETION_INDEX)", True)
    assert pod["automountServiceAccountToken"] is False
    assert [body["kind"] for body in read(FLEET / "fleet.yaml") if "Role" in body["kind"]] == []


def test_one_bad_cluster_fails_alone() -> None:
    job = base()
    assert (job["completionMode"], job["backoffLimitPerIndex"]) == ("Indexed", 0)
    assert "maxFailedIndexes" not in job  # which would end the others


def test_the_page_waits_for_as_long_as_an_audit_may_take() -> None:
    pod = base()["template"]["spec"]
    environment = {e["name"]: e.get("value", "") for e in pod["containers"][0]["env"]}
    assert int(environment["DEADLINE"]) + 90 < pod["activeDeadlineSeconds"]


def ran_at(tmp_path: Path, index: int, *, clusters: str = "east\nwest\n", keep: int = 3) -> str:
    """What an index of the Job starts; its paths are moved to a folder of this machine."""
    for name in ("results", "fleet", "bin"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "fleet" / "clusters.txt").write_text(clusters)
    for name in ("timeout", "python"):
        tool = tmp_path / "bin" / name
        tool.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    [container] = base()["template"]["spec"]["containers"]
    script, *arguments = container["args"]
    for name in ("results", "fleet"):
        script = script.replace(f"/{name}/", f"{tmp_path}/{name}/")
    script = script.replace("cd /results ", f"cd {tmp_path}/results ")
    environment = {e["name"]: e.get("value", "") for e in container["env"]}
    environment |= {"JOB": "fleet-29301234", "JOB_COMPLETION_INDEX": str(index)}
    environment |= {"KEEP": str(keep), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*container["command"], script, *arguments, "--patience", "2"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""
    return done.stdout.replace(str(tmp_path), "")


def test_an_index_audits_the_cluster_of_its_line(tmp_path: Path) -> None:
    said = ran_at(tmp_path, 1)
    assert said.startswith("timeout --kill-after=30 900 python -m fixtures.run suites ")
    assert "--kube-context west --allow-context west --reports-dir /results/29301234/west" in said
    assert said.endswith("--patience 2\n")


def test_the_index_behind_the_last_makes_the_page(tmp_path: Path) -> None:
    said = ran_at(tmp_path, 2)
    page = "python -m reports fleet /results/29301234 --clusters /fleet/clusters.txt --wait 990\n"
    assert said == page


def test_old_nights_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for number in range(5):
        page = tmp_path / "results" / str(number) / "fleet.json"
        page.parent.mkdir(parents=True)
        page.write_text("{}")
        os.utime(page, (number, number))
    (tmp_path / "results" / "lost+found").mkdir()
    ran_at(tmp_path, 2)
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"3", "4", "lost+found"}


def test_the_image_says_what_is_in_it() -> None:
    lines = (DEPLOY / "Containerfile").read_text()
    assert '"cyclonedx-bom==' in lines
    assert "/opt/seatrial/sbom.cdx.json" in lines
    assert "USER 65532:65532" in lines


@needs_helm
def test_the_chart_installs_the_cron_job_of_today() -> None:
    assert by_name(rendered()) == by_name(read(DEPLOY / "cronjob.yaml"))


@needs_helm
def test_the_base_of_kustomize_is_what_the_chart_makes_of_no_cluster() -> None:
    assert by_name(rendered(*ONLY_FLEET)) == by_name(
        [body for body in read(FLEET / "fleet.yaml") if body]
    )


@needs_kubectl
@in_a_loop
async def test_the_kustomization_is_valid() -> None:
    bodies = made("kubectl", "kustomize", str(FLEET))
    assert len(bodies) == 4
    async with a_server() as client:
        await stand(client)
        assert [await refusal(client, body) for body in bodies] == [""] * 4


@needs_helm
@needs_kubectl
def test_helm_and_kustomize_make_the_same_of_two_clusters() -> None:
    helm = rendered(*ONLY_FLEET, "--set", "fleet.clusters={east,west}")
    assert by_name(helm) == by_name(made("kubectl", "kustomize", str(FLEET)))


@needs_helm
@pytest.mark.parametrize(("most", "jobs"), [(50, [4]), (2, [2, 2]), (1, [1, 1, 2])])
def test_every_cluster_has_one_index_and_the_page_one(most: int, jobs: list[int]) -> None:
    names = ("east", "north", "west")
    made = rendered(
        *ONLY_FLEET,
        "--set",
        f"fleet.clusters={{{','.join(names)}}}",
        "--set",
        f"fleet.most={most}",
    )
    specs = [b["spec"]["jobTemplate"]["spec"] for b in made if b["kind"] == "CronJob"]
    assert [spec["completions"] for spec in specs] == jobs
    line: list[str] = by_name(made)["ConfigMap", "fleet"]["data"]["clusters.txt"].split()
    for spec in specs:
        pod = spec["template"]["spec"]
        first = next(int(e["value"]) for e in pod["containers"][0]["env"] if e["name"] == "FIRST")
        for source in pod["volumes"][0]["projected"]["sources"]:
            [item] = source["secret"]["items"]
            index = int(item["path"].partition("/")[0])
            assert source["secret"]["name"] == f"kubeconfig-{line[first + index]}"
    assert tuple(line) == names


@needs_helm
def test_a_value_that_cannot_be_is_refused() -> None:
    for wrong in (
        "fleet.clusters={a b}",
        "fleet.atOnce=0",
        "fleet.nights=3",
        "fleet.clusters={a,a}",
    ):
        command = ("helm", "template", str(CHART), "--set", wrong)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode != 0, wrong
        assert "fleet" in done.stderr
