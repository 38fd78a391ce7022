"""Fakes of docker, kind, kubectl, istioctl and helm: they record, and refuse the unexpected.

One script under five names. What each may be asked, and what it then does, is the table `ANSWERS`;
a test puts other rows before it. Nothing here knows what the provider does.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = r"""#!PYTHON -IS
import json, os, re, signal, sys, time
from pathlib import Path
home = Path("HOME")
tool, words = Path(sys.argv[0]).name, sys.argv[1:]
line = " ".join([tool, *words])
with (home / "calls").open("a") as calls: calls.write(line + "\n")
clusters = home / "clusters.json"
there = json.loads(clusters.read_text())
for pattern, how in json.loads((home / "answers.json").read_text()):
    found = re.fullmatch(pattern, line)
    if not found: continue
    if "once" in how:
        used = home / how["once"]
        if used.exists(): continue
        used.touch()
    named = found.groupdict().get("name", "")
    if how.get("make"):
        config = json.loads(Path(found["config"]).read_text())
        there[named] = config["nodes"][0]["extraMounts"][0]["hostPath"]
        clusters.write_text(json.dumps(there))
        Path(found["kubeconfig"]).write_text(how["kubeconfig"])
    if how.get("drop"):
        there.pop(named, None)
        clusters.write_text(json.dumps(there))
    if how.get("list"): print("\n".join(there))
    if how.get("mounts"):
        if named not in there: sys.exit("Error: No such object")
        print(json.dumps([dict(Destination="/seatrial", Source=there[named])]))
    print(how.get("says", ""), flush=True)
    if how.get("hang"):
        (home / "hanging").write_text(str(os.getpid()))
        time.sleep(600)
    if how.get("kill"): os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(how.get("code", 0))
with (home / "unexpected").open("a") as unexpected: unexpected.write(line + "\n")
sys.exit(97)
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
"""
NAME = r"(?P<name>seatrial-[a-z0-9.-]+?)"
CREATE = (
    rf"kind create cluster --name={NAME} --kubeconfig=(?P<kubeconfig>\S+) --image=kindest/\S+ "
    r"--config (?P<config>\S+)"
)
INSTALL = r"istioctl install --kubeconfig=\S+ --context=kind-\S+ .*"
KUBE = r"kubectl --kubeconfig=\S+ --context=kind-\S+ "
MADE = {"make": True, "kubeconfig": KUBECONFIG}
INFO = {"NCPU": 8, "MemTotal": 2**34, "Architecture": os.uname().machine, "DockerRootDir": "/"}
Row = tuple[str, dict[str, Any]]
ANSWERS: list[Row] = [
    (r"docker info --format \{\{\.ServerVersion\}\}", {"says": "28.1.0"}),
    (r"docker info --format=\{\{json \.\}\}", {"says": json.dumps(INFO)}),
    (r"docker image inspect --format=\{\{\.Id\}\} \S+", {"says": "sha256:1"}),
    (rf"docker inspect --format=\{{\{{json \.Mounts\}}\}} {NAME}-control-plane", {"mounts": True}),
    (r"kind version", {"says": "kind v0.33.0 go1.26 linux/amd64"}),
    (r"kind get clusters", {"list": True}),
    (CREATE, MADE),
    (rf"kind delete cluster --name={NAME} --kubeconfig=\S+", {"drop": True}),
    (rf"kind load image-archive \S+ --name={NAME}", {}),
    (r"kubectl version --client", {"says": "Client Version: v1.34.1"}),
    (KUBE + r"wait --for=condition=Ready nodes --all --timeout=180s", {}),
    (KUBE + r"delete namespace --ignore-not-found .*", {}),
    (r"istioctl version --remote=false", {"says": "client version: 1.29.6"}),
    (INSTALL, {"says": "Installation complete"}),
]


@dataclass(frozen=True)
class FakeTools:
    """The folder of the fake tools, and how they were called."""

    home: Path

    @property
    def istio(self) -> Path:
        """A release with a fake istioctl."""
        return self.home / "istio"

    def answer(self, *rows: Row) -> None:
        """Put rows before the others."""
        message = self.home / "answers.json"
        before = json.loads(message.read_text()) if message.exists() else ANSWERS
        message.write_text(json.dumps([*rows, *before]))

    def have(self, clusters: dict[str, str]) -> None:
        """Let there be clusters, with what is mounted into them."""
        (self.home / "clusters.json").write_text(json.dumps(clusters))

    @property
    def clusters(self) -> dict[str, str]:
        """The clusters there are."""
        there: dict[str, str] = json.loads((self.home / "clusters.json").read_text())
        return there

    def calls(self, beginning: str = "") -> list[str]:
        """The command lines, in their order."""
        path = self.home / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(beginning)]

    @property
    def unexpected(self) -> str:
        """What was asked that no row answers."""
        path = self.home / "unexpected"
        return path.read_text() if path.exists() else ""

    def await_hanging(self) -> None:
        """Wait until one of them hangs, as configured."""
        pause = threading.Event()
        for _ in range(600):
            if self._hanging.exists() and self._hanging.read_text():
                return
            pause.wait(0.05)
        raise AssertionError("none of them ever hung")

    @property
    def hung_is_gone(self) -> bool:
        """Whether what hung is no more; whoever inherited it may not have noticed yet."""
        status = Path(f"/proc/{self._hanging.read_text()}/status")
        return not status.exists() or "State:\tZ" in status.read_text()

    @property
    def _hanging(self) -> Path:
        return self.home / "hanging"


def fake_tools(home: Path) -> FakeTools:
    """Put the fake tools into a folder of their own."""
    (home / "bin").mkdir(parents=True)
    (home / "istio" / "bin").mkdir(parents=True)
    script = home / "script"
    script.write_text(SCRIPT.replace("PYTHON", sys.executable).replace("HOME", str(home)))
    script.chmod(0o755)
    for name in ("docker", "kind", "kubectl"):
        shutil.copy(script, home / "bin" / name)
    shutil.copy(script, home / "istio" / "bin" / "istioctl")
    made = FakeTools(home)
    made.answer()
    made.have({})
    return made
