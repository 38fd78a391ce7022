"""Small runs whose every part is known, for the tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fixtures.claims import ClaimFailed, Observation
from fixtures.claims.deadlines import POD_READY
from fixtures.claims.waiting import Wait
from fixtures.run.stages import BY_NAME
from fixtures.run.state import BrokenStage, Claim, Mismatch, Result
from fixtures.run.timeline import Step
from fixtures.run.verdicts import unmet
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


REPORT = pytest.TestReport("a test", ("", 0, ""), {}, "failed", None, "call")


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
        pods,
        "failed",
        1.5,
        6,
        CAUSE,
        next_steps=("kubectl --context small get pods",),
        evidence="phase: Pending",
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
            data_plane="sidecar",
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
        left_out=("gateway/extended-only",),
        reach="The embedded cluster ended with the run",
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


def unprepared() -> Run:
    """A run in which nothing failed but the preparation of a stage, which blocks two stages."""
    whole = run()
    mismatch = Mismatch("pod details-v1-5c <app>", "Ready", "ImagePullBackOff", waited=120.0)
    broken = BrokenStage(
        BY_NAME["sample"],
        CAUSE,
        by_preparation=True,
        next_steps=("kubectl --context small describe pod details-v1-5c",),
        evidence="phase: Pending",
        mismatch=mismatch,
    )
    why = f"blocked by {broken}"
    cluster, sample, gateway = whole.stages
    blocked = tuple(
        Result(result.claim, "blocked", message=why, blocked_by="sample")
        for result in (*sample.results, *gateway.results)
    )
    stages = (
        replace(cluster, results=cluster.results[:1]),
        replace(sample, results=blocked[:1], broken=broken, prepared=None),
        replace(gateway, results=blocked[1:]),
    )
    return replace(whole, stages=stages, exit_code=12, missing=())


def of_one_cause() -> Run:
    """A run in which three claims fail of one pod, and injection of the webhooks' registration."""
    whole = run()

    def failed(name: str, subject: str, got: str, *, cause: str = "") -> Result:
        stage, _, rest = name.partition("/")
        parts = Mismatch(subject, "so", got, causes=(cause,) if cause else ())
        return Result(
            claim(stage, rest, f"{rest} is so."),
            "failed",
            1.0,
            1,
            f"{subject}: expected so, got {got}",
            mismatch=parts,
        )

    stuck = "pod istio-system/kiali-1 does not start"
    results = {
        "injection": (
            failed("injection/one-sidecar", "sidecar of pod a", "none"),
            failed("injection/its-image", "sidecar of pod a", "none"),
        ),
        "webhooks": (
            failed("webhooks/registered", "mutating webhooks", "none in any configuration"),
        ),
        "addons": (
            failed("addons/rolled-out[kiali]", "pod kiali-1", "ErrImagePull", cause=stuck),
            failed("addons/services[kiali]", "pod kiali-1", "ImagePullBackOff", cause=stuck),
            failed("addons/healthy[kiali]", "pod kiali-1", "ErrImagePull", cause=stuck),
        ),
    }
    stages = tuple(StageRun(BY_NAME[name], made, 0.5, None) for name, made in results.items())
    return replace(whole, stages=stages, missing=())


def documented() -> Run:
    """The failures that docs/reading-a-failure.md shows."""
    cluster = "Istio 1.31.0, Kubernetes v1.35.0"
    webhooks = ClaimFailed(
        "mutating webhooks of Istio",
        expected="entries named *.sidecar-injector.istio.io",
        got="none in any configuration",
        context=cluster,
    )
    sidecar = ClaimFailed(
        "sidecar of pod bookinfons/details-v1-d857467b6-2pl55",
        expected="one container istio-proxy",
        got="none among details",
    )
    sidecar.waited, sidecar.deadline = 120.2, POD_READY
    get = "kubectl --context staging get mutatingwebhookconfigurations"
    describe = "kubectl --context staging -n bookinfons describe pod details-v1-d857467b6-2pl55"
    registered = failed(
        claim(
            "webhooks",
            "both-injector-configurations-are-registered",
            "Both injector configurations are registered.",
        ),
        webhooks,
        get,
    )
    called = failed(
        claim("webhooks", "the-injector-is-called-for-new-pods", "It is called for new pods."),
        webhooks,
        get,
    )
    injected = failed(
        claim("injection", "every-pod-carries-one-sidecar", "Every pod carries one sidecar."),
        sidecar,
        describe,
    )
    route = claim("gateway", "each-route[login]", "Each route reaches productpage. [login]")
    broken = BrokenStage(BY_NAME["injection"], injected.message)
    blocked = Result(
        route, "blocked", message=f"blocked by {broken}", blocked_by=broken.stage.name
    )
    whole = run()
    return replace(
        whole,
        subject=replace(whole.subject, provider="existing", evidence="conformance"),
        stages=(
            StageRun(BY_NAME["injection"], (injected,), 9.0, broken),
            StageRun(BY_NAME["webhooks"], (registered, called), 0.5, None),
            StageRun(BY_NAME["gateway"], (blocked,), None, None),
        ),
        missing=(),
        reach="",
    )


def failed(of: Claim, error: ClaimFailed, command: str) -> Result:
    """The result of a claim that fails so, as `fixtures.run.verdicts` makes it."""
    error.next_steps = (command,)
    hint = {"webhooks": "Was Istio installed by istioctl without a revision? Helm makes no tag."}
    other = "Look at the namespace's labels, then at the injector's webhooks and istiod's log."
    of = replace(of, hint=hint.get(of.stage.name, other))
    return replace(unmet(of, REPORT, error), inspected=1)
