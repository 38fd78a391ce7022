"""One small run whose every part is known, for the tests of what is made of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from fixtures.claims import Observation
from fixtures.claims.waiting import Wait
from fixtures.run.stages import BY_NAME
from fixtures.run.state import BrokenStage, Claim, Result
from fixtures.run.timeline import Step
from reports.model import Run, StageRun, Subject

CAUSE = "pod details-v1-5c <app>: expected Ready, got ImagePullBackOff"
PILOT = "docker.io/istio/pilot:1.31.0@sha256:aa11"
INJECTOR = "istio-system/istiod:443/inject, failurePolicy Fail, sideEffects None"
SEEN = (
    Observation("image", "istiod", PILOT),
    Observation("argument", "istio-init -p", "15001"),
    Observation(
        "webhook", "rev.namespace.sidecar-injector.istio.io of istio-sidecar-injector", INJECTOR
    ),
)


def claim(stage: str, name: str, text: str) -> Claim:
    return Claim(
        f"{stage}/{name}",
        text,
        "Kubernetes, Pods",
        "Read the pod's events.",
        "core",
        "",
        False,
        BY_NAME[stage],
        name,
    )


def run() -> Run:
    """A rehearsal with one claim of each verdict."""
    ready = claim("cluster", "every-node-is-ready", "Every node is ready.")
    egress = claim("cluster", "egress", "An egress gateway is there.")
    pods = claim("sample", "six-pods-run", "Six pods run.")
    route = claim("gateway", "each-route[login]", "Each route reaches productpage. [login]")
    broken = BrokenStage(BY_NAME["sample"], CAUSE)
    failed = Result(
        pods, "failed", 1.5, 6, CAUSE, next_steps=("kubectl get pods",), evidence="phase: Pending"
    )
    return Run(
        subject=Subject(
            "1.31.0",
            "1.35.2",
            "embedded",
            "rehearsal",
            "smoke",
            "",
            ("writes",),
            ("coredns",),
            "3.11",
        ),
        stages=(
            StageRun(
                BY_NAME["cluster"],
                (
                    Result(ready, "passed", 0.25, 1, notes=("One node.",), observations=SEEN),
                    Result(egress, "not-claimed", message="this cluster does not declare it"),
                    Result(claim("cluster", "dns", "DNS."), "error", 0.1, message="KeyError: 'a'"),
                ),
                0.5,
                None,
            ),
            StageRun(BY_NAME["sample"], (failed,), 2.0, broken),
            StageRun(
                BY_NAME["gateway"],
                (
                    Result(
                        route,
                        "blocked",
                        message=f"blocked by stage 3 sample: {CAUSE}",
                        blocked_by="sample",
                    ),
                ),
                None,
                None,
            ),
        ),
        complete=True,
        partial=False,
        exit_code=1,
        reason="",
        started=datetime(2026, 11, 23, 21, 0, 0, tzinfo=UTC),
        seconds=12.25,
        notes=("Chosen by auto.",),
        waits=(Wait("pods become ready", 0, 2.0, 120, met=True),),
        began=100.0,
        steps=(
            Step("cluster", 100.0, 0.5),
            Step("sample", 100.5, 2.0, ("cluster",), well=False),
        ),
        diagnostics=("03-sample/bookinfons-events.txt",),
        missing=("gateway/renamed",),
        command="tox -e smoke -- --provider embedded --profile smoke --istio-version 1.31.0",
        suite="0.1.0 (0123456789ab)",
    )


def stopped() -> Run:
    return replace(run(), complete=False, exit_code=2, reason="stopped by SIGTERM")


def good(evidence: str) -> Run:
    whole = run()
    passed = replace(whole.stages[0], results=whole.stages[0].results[:1])
    subject = replace(whole.subject, evidence=evidence)
    return replace(whole, subject=subject, stages=(passed,), exit_code=0, missing=())
