"""`python -m tests.record --kube-context X --way NAME`: a run of the suite that is written down.

The whole suite runs over a cluster that exists, with whatever options follow. What its claims read
goes into tests/recordings/<istio>-<kubernetes>-<way>: every object after each claim, and every
answer that is no object. Secrets, and the names of machines and people, are replaced. How the
judge is held to it is in `tests.judge`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.k8s import Body, Kube, Refused
from fixtures.k8s.forward import Forward
from fixtures.providers.base import OWNER, Access
from fixtures.run.state import state_of
from fixtures.traffic import client, http
from fixtures.traffic.certificate import Certificate
from tests.recordings import FOLDER, answers, pack

# What no claim reads, and what changes by itself all the time.
NOT_KEPT = {"events", "leases.coordination.k8s.io", "events.events.k8s.io"}
# What tells nothing of a cluster but whose machine it is.
MACHINE = {"machineID": "0" * 32, "systemUUID": "0" * 32, "bootID": "0" * 32}
# Of what the suite needs to know of a cluster, what a recording must say.
KNOWN = (
    *("istio_version", "kube_version", "features", "absent", "revision", "hub", "node_address"),
    "read_only",
)
PROXY, SIDECAR = "istio-proxy", ["proxy", "sidecar"]
# Renewed every few seconds.
LEADER = "control-plane.alpha.kubernetes.io/leader"
TEMPLATES = "# left out: the release's own templates\n"


class Recorder:
    """A plugin of pytest that keeps what the claims of a run read."""

    def __init__(self) -> None:
        self.access: Access | None = None
        self.claim = ""
        self.marks = 0
        self.answers: dict[str, dict[str, answers.Answer]] = {}
        self.states: dict[str, str] = {}  # text to name
        self.after: dict[str, str] = {}  # claim to state
        self._kube: Kube | None = None
        self._nodes: list[str] = []

    # When

    def pytest_seatrial_cluster_answers(self, access: Access) -> None:
        """Take the cluster that the run has."""
        self.access = access
        self._kube = Kube.connect(access)
        self._nodes = [body["metadata"]["name"] for body in self._kube.list("nodes")]

    @pytest.hookimpl(tryfirst=True, wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Know which claim reads; its preparation is part of it."""
        found = [claim for claim in state_of(item.config).claims if claim.nodeid == item.nodeid]
        self.claim, self.marks = (found[0].id if found else ""), 0
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Keep every object as it is when a claim has been tested."""
        try:
            return (yield)
        finally:
            text = json.dumps(self._state(), separators=(",", ":"), ensure_ascii=False)
            self.after[self.claim] = self.states.setdefault(text, f"{len(self.states):02}")

    def keep(self, question: str, answer: answers.Answer) -> None:
        """Keep an answer to the claim that is being tested; the last one counts.

        What the API server says of itself is the same for all of them.
        """
        claim = "" if question.startswith(answers.raw("")) else self.claim
        self.answers.setdefault(claim, {})[question] = answer

    def new_mark(self) -> str:
        """The mark of the next request."""
        self.marks += 1
        return answers.mark(self.claim, self.marks)

    # What

    def _state(self) -> dict[str, list[Body]]:
        """Every object of every kind that can be listed, without what is nobody's business."""
        kube, found = self._kube, {}
        assert kube
        groups = kube.raw("/apis")["groups"]
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        for version in versions:
            path = f"/apis/{version}" if "/" in version else f"/api/{version}"
            for one in kube.raw(path)["resources"]:
                name, group = one["name"], version.rpartition("/")[0]
                kind = f"{name}.{group}" if group else name
                if "list" not in one["verbs"] or "/" in name or kind in NOT_KEPT:
                    continue
                try:
                    bodies = kube.list(kind)
                except Refused:
                    continue
                of = {"apiVersion": version, "kind": one["kind"]}
                found[f"{version}/{name}"] = [cleaned({**of, **body}) for body in bodies]
        return found

    def files(self, report: Mapping[str, Any]) -> dict[str, str]:
        """The files of the recording, with names replaced."""
        verdicts = {
            claim["id"]: {
                **{key: claim[key] for key in ("verdict", "examined", "message")},
                "state": self.after.get(claim["id"], ""),
            }
            for claim in report["claims"]
        }
        files = {f"states/{name}.json": text for text, name in self.states.items()}
        files["answers.json"] = json.dumps(self.answers, indent=0, ensure_ascii=False)
        files["claims.json"] = json.dumps(verdicts, indent=0, ensure_ascii=False)
        return {path: self._renamed(text) for path, text in files.items()}

    def _renamed(self, text: str) -> str:
        """The text with neutral names: of nodes, and of the run's namespaces and host."""
        assert self.access
        names = self.access.namespaces
        for number, node in enumerate(self._nodes, 1):
            text = text.replace(node, f"node-{number}")
        for name, neutral in (
            (names.outside, "bookinfons-outside"),
            (names.labelled, "bookinfons-labelled"),
            (names.sample, "bookinfons"),
            (names.host, "bookinfo.example"),
        ):
            text = text.replace(name, neutral) if len(name) > len("*") else text
        return text

    def sidecars(self) -> str:
        """Of which kind the sidecars were that the run saw: native, classic, or none."""
        found = {
            place
            for text in self.states
            for pod in json.loads(text)["v1/pods"]
            for place in ("initContainers", "containers")
            for container in pod["spec"].get(place) or ()
            if container["name"] == PROXY and container.get("args", [])[:2] == SIDECAR
        }
        return "native" if "initContainers" in found else "classic" if found else "none"

    def known(self) -> dict[str, Any]:
        """What the suite knew of the cluster."""
        assert self.access
        host = "*" if self.access.namespaces.host == "*" else "bookinfo.example"
        found = {name: getattr(self.access, name) for name in KNOWN}
        return {
            key: sorted(value) if isinstance(value, frozenset) else value
            for key, value in {**found, "host": host}.items()
        }


def cleaned(body: Body) -> Body:
    """An object without secrets, names of people, and what is long and says nothing."""
    meta = body["metadata"]
    for key in ("managedFields", "resourceVersion"):
        meta.pop(key, None)
    meta.get("annotations", {}).pop(LEADER, None)
    if OWNER in meta.get("labels", {}):
        meta["labels"][OWNER] = "somebody"
    if body["kind"] == "Secret":
        body["data"] = dict.fromkeys(body.get("data") or {}, "<redacted>")
    if body["kind"] == "ConfigMap":
        data = body.get("data") or {}
        data.update({key: "<redacted>" for key in data if key.startswith("jws-kubeconfig-")})
        if "sidecar-injector" in meta["name"] and "config" in data:
            data["config"] = TEMPLATES
    if body["kind"] == "CustomResourceDefinition":
        for version in body["spec"]["versions"]:
            version.pop("schema", None)
    if body["kind"] == "Node":
        body["status"]["nodeInfo"] |= {**MACHINE, "kernelVersion": "6.1.0"}
        for condition in body["status"]["conditions"]:
            condition.pop("lastHeartbeatTime", None)
    return body


@contextmanager
def written_down(recorder: Recorder) -> Iterator[None]:
    """Have every answer that is no object kept: the only place that knows the suite's clients."""
    raw, logs, create = Kube.raw, Kube.logs, Kube.create
    get, served, fetch = Forward.get, Certificate.served, http.fetch

    def kept(question: str, request: Any) -> Any:
        return answers.requested(request, lambda answer: recorder.keep(question, answer))

    def create_(kube: Kube, kind: str, body: Body, *where: Any, **how: Any) -> Any:
        if not how.get("dry_run"):
            return create(kube, kind, body, *where, **how)
        return kept(answers.dry_run(kind, body), lambda: create(kube, kind, body, *where, **how))

    def logs_(kube: Kube, pod: str, namespace: str, container: str = "", **how: Any) -> Any:
        question = answers.log(pod, namespace, container)
        return kept(question, lambda: logs(kube, pod, namespace, container, **how))

    def get_(forward: Forward, path: str, *how: Any, **more: Any) -> Any:
        place = forward.pod, forward.namespace, forward.port
        return kept(answers.pod_port(*place, path), lambda: get(forward, path, *how, **more))

    def served_(door: Any, *, name: str, authorities: str, timely: bool = True) -> Any:
        def request() -> Certificate:
            return served(door, name=name, authorities=authorities, timely=timely)

        return kept(answers.handshake(name, authorities, timely=timely), request)

    def fetch_(base: str, request: http.GET, *how: Any, **more: Any) -> Any:
        question = answers.from_outside(request.path)
        return kept(question, lambda: fetch(base, request, *how, **more))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kube, "raw", lambda kube, p: kept(answers.raw(p), lambda: raw(kube, p)))
        patch.setattr(Kube, "create", create_)
        patch.setattr(Kube, "logs", logs_)
        patch.setattr(Forward, "get", get_)
        patch.setattr(Certificate, "served", staticmethod(served_))
        patch.setattr("fixtures.traffic.gateway_access.fetch", fetch_)
        patch.setattr(client, "_new_mark", recorder.new_mark)
        yield


def main(arguments: list[str] | None = None) -> int:
    """Run the suite over a cluster, and write the recording; the run's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.record",
        description=__doc__,
        epilog="All else goes to the run: see `pytest suites --help`; suites by file, too.",
    )
    parser.add_argument("--kube-context", required=True, help="the cluster, by its context")
    parser.add_argument("--kubeconfig", type=Path, help="the file that names it")
    parser.add_argument("--way", help="how Istio was installed, for the name: helm, revision, ...")
    parser.add_argument("--say", help="the same in a sentence, for about.json")
    parser.add_argument("--broken", help="what is broken in it on purpose, for about.json")
    parser.add_argument("--into", type=Path, default=FOLDER, help="where recordings lie")
    given, more = parser.parse_known_args(arguments)
    if given.way and not re.fullmatch(r"[a-z0-9-]+", given.way):
        parser.error(f"--way {given.way}: small letters, digits and hyphens only")
    if given.kubeconfig:
        os.environ["KUBECONFIG"] = str(given.kubeconfig.resolve())
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder, written_down(recorder):
        suites = [] if any(one.startswith("suites/") for one in more) else ["suites"]
        entries = [*suites, "--provider=existing", f"--kube-context={given.kube_context}"]
        # Its modules are loaded before the run, which can then not rewrite their asserts.
        quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning", f"--reports-dir={folder}"]
        code = pytest.main([*entries, *quiet, *more], plugins=[recorder])
        report = json.loads((Path(folder) / "report.json").read_text())
    if not recorder.after:
        sys.stderr.write("nothing was tested, so nothing is recorded\n")
        return int(code) or 1
    known = recorder.known()
    way = given.way or recorder.sidecars()
    name = f"{known['istio_version']}-{known['kube_version'].removeprefix('v')}-{way}"
    about = {
        "istio": known["istio_version"],
        "kubernetes": known["kube_version"].removeprefix("v"),
        "way": given.say or way,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "made": "python -m tests.record",
        "options": more,
        "known": known,
    }
    if given.broken:
        about["broken"] = given.broken
    pack(given.into / name, about, recorder.files(report))
    sys.stdout.write(f"recorded in {given.into / name}\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
