"""A pytest plugin that plants secrets where a real cluster has them, then fails a claim.

Loaded into a run over the embedded cluster by `test_canary`; what it plants must be found in
nothing that the run leaves or says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, note, record
from fixtures.diagnostics.collect import MANIFEST_COPY
from fixtures.istio.sample import Sample
from fixtures.k8s import Body
from fixtures.run.state import state_of
from fixtures.setup import sample as making

# Each is of a form of its own, so that a leak tells where from.
ENV, NAMED_ENV, ANNOTATION, COPY = "cnry-env-1", "cnry-env-2", "cnry-anno-1", "cnry-copy-1"
ARGUMENT, LOGGED, BEARER, SECRET = "cnry-arg-1", "cnry-log-1", "cnry-bearer-1", "cnry-secret-1"
FAILED, NOTED, SEEN, BROKE = "cnry-fail-1", "cnry-note-1", "cnry-seen-1", "cnry-broke-1"
PLANTED = (
    *(ENV, NAMED_ENV, ANNOTATION, COPY, ARGUMENT, LOGGED, BEARER, SECRET),
    *(FAILED, NOTED, SEEN, BROKE),
)


def planted(body: Body) -> Body:
    """A document of the sample with secrets in it."""
    if body["kind"] != "Deployment":
        return body
    template = body["spec"]["template"]
    container = template["spec"]["containers"][0]
    container["env"] = [
        *container.get("env", ()),
        {"name": "GREETING", "value": ENV},
        {"name": "DB_PASSWORD", "value": NAMED_ENV},
        {"name": "ARGUMENTS", "value": f"--password={ARGUMENT}"},
    ]
    copy = json.dumps({"spec": {"env": [{"name": "A", "value": COPY}]}})
    notes = {"example.com/note": ANNOTATION, MANIFEST_COPY: copy}
    for meta in (body["metadata"], template["metadata"]):
        meta["annotations"] = {**meta.get("annotations", {}), **notes}
    return body


def pytest_configure(config: pytest.Config) -> None:
    """Plant them in the sample, and fail where it is asked for its images."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    documents: Callable[..., Iterable[Body]] = making.documents
    patch.setattr(making, "documents", lambda expected: list(map(planted, documents(expected))))
    state = state_of(config)

    def fail(sample: Sample) -> None:
        secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "canary"}}
        sample.kube.apply([{**secret, "stringData": {"a": SECRET}}], sample.namespace)
        pod = next(pod for pod in sample.pods() if pod.labels["app"] == "details")
        with sample.kube.forward(pod.name, sample.namespace, 9080) as port:
            for agent in (f"password={LOGGED}", f"Authorization: Bearer {BEARER}"):
                port.get("/health", {"User-Agent": agent})
        assert state.access
        kubeconfig = state.access.kubeconfig.read_text()
        print(kubeconfig)  # noqa: T201  # as a careless claim would
        note(f"token: {NOTED}")
        record("image", "details", f"https://user:{SEEN}@registry.example/details")
        raise ClaimFailed(
            f"details, asked with {credentials(kubeconfig)[0]}",
            expected="200",
            got=f"Bearer {FAILED}",
            next_steps=(f"curl --header 'Authorization: Bearer {FAILED}'",),
            evidence=kubeconfig,
        )

    def break_stage(sample: Sample) -> None:
        raise ClaimFailed(f"injection, password={BROKE}", expected="done", got=sample.namespace)

    patch.setattr(Sample, "expect_images", fail)
    patch.setattr(making, "inject", break_stage)


def credentials(kubeconfig: str) -> list[str]:
    """The secrets of a kubeconfig."""
    lines = (line.strip().removeprefix("- ") for line in kubeconfig.splitlines())
    kept = ("token: ", "client-key-data: ", "password: ")
    return [line.partition(": ")[2].strip("'\"") for line in lines if line.startswith(kept)]


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Tell the test what was asked, and with which credentials, before they are gone."""
    answer = yield
    access = state_of(session.config).access
    assert access
    fields = {
        "asked": sorted({f"{one.verb} {one.resource}" for one in access.requests}),
        "credentials": credentials(access.kubeconfig.read_text()),
    }
    Path(os.environ["CANARY"]).write_text(json.dumps(fields))
    return answer
