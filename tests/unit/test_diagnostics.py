"""What a failed stage leaves: what is collected, when, how much, and what never."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from fixtures.claims.waiting import WaitCancelled
from fixtures.diagnostics import collect as evidence
from fixtures.diagnostics import plugin
from fixtures.diagnostics.collect import CLUSTER_KINDS, KINDS, Evidence
from fixtures.diagnostics.on_failure import calling, on_failure
from fixtures.diagnostics.plugin import Diagnostics
from fixtures.k8s import Body, Kube, Refused, Unreachable
from fixtures.providers.base import Access
from fixtures.run.redaction import HIDDEN
from fixtures.run.settings import Settings
from fixtures.run.stages import BY_NAME
from fixtures.run.state import Claim, Result, RunState
from fixtures.setup.namespaces import OURS, temporary_namespace

Bodies = list[Body]  # inside a cluster the name `list` is its verb
ISTIOD: Body = {
    "metadata": {"name": "istiod-1", "namespace": "istio-system"},
    "spec": {"containers": [{"name": "discovery", "image": "pilot"}]},
}


def pod(name: str, *containers: Body, restarts: int = 0) -> Body:
    statuses = [{"name": c["name"], "restartCount": restarts} for c in containers]
    return {
        "metadata": {"name": name, "namespace": "app", "managedFields": [1]},
        "spec": {"containers": list(containers)},
        "status": {"containerStatuses": statuses},
    }


def event(ago: timedelta, reason: str) -> Body:
    when = (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {"kind": "Pod", "name": "a"}
    return {"lastTimestamp": when, "reason": reason, "type": "Warning", "involvedObject": about}


class Cluster:
    """A cluster that is only said to be there; it notes what it is asked for."""

    def __init__(self, **kinds: list[Body]) -> None:
        self.kinds = kinds
        self.requested: list[str] = []
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.replies: dict[int, str] = {}
        self.refuses: dict[str, Refused] = {}

    def list(
        self, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Bodies:
        self.requested.append(kind)
        if kind in self.refuses:
            raise self.refuses[kind]
        if labels == evidence.ISTIOD:
            return [ISTIOD]
        return self.kinds.get(kind.partition(".")[0], [])

    def events(self, namespace: str) -> Bodies:
        return self.kinds.get("events", [])

    def logs(self, name: str, namespace: str, container: str, **how: Any) -> str:
        self.logged.append((container, how))
        return f"{container} {'before' if how['previous'] else 'now'}\n"

    @contextmanager
    def forward(self, name: str, namespace: str, port: int) -> Iterator[Any]:
        if port not in self.replies:
            raise Unreachable(f"port {port}: refused")
        yield SimpleNamespace(
            get=lambda path: SimpleNamespace(status=200, body=self.replies[port])
        )

    def create(self, kind: str, body: Body) -> None: ...

    def find(self, kind: str, name: str) -> Body | None:
        return None

    def delete(self, kind: str, name: str) -> None:
        self.requested.append(f"delete {name}")


def collected(cluster: Cluster, *, seconds: float = 60) -> dict[str, str]:
    began = datetime.now(UTC) - timedelta(minutes=1)
    found = Evidence(cast("Kube", cluster), began, time.monotonic() + seconds)
    return dict(found.files(("app",)))


def test_secrets_are_no_kind_that_is_read() -> None:
    assert not [kind for kind in (*KINDS, *CLUSTER_KINDS) if "secret" in kind]
    cluster = Cluster(pods=[pod("a", {"name": "app"})])
    collected(cluster)
    assert not [kind for kind in cluster.requested if "secret" in kind]


def test_only_events_since_the_test_began_are_kept() -> None:
    events = [event(timedelta(hours=1), "Old"), event(timedelta(seconds=5), "BackOff")]
    files = collected(Cluster(events=events))
    assert "BackOff Pod/a" in files["app-events.txt"]
    assert "Old" not in files["app-events.txt"]


def test_logs_are_read_since_then_and_previous_ones_of_what_was_restarted() -> None:
    steady = pod("steady", {"name": "app", "image": "a"})
    crashed = pod("crashed", {"name": "app", "image": "a"}, restarts=2)
    cluster = Cluster(pods=[steady, crashed])
    files = collected(cluster)
    assert files["app-crashed-app.previous.log"] == "app before\n"
    assert "app-steady-app.previous.log" not in files
    assert all(60 <= how["since_seconds"] < 90 for _, how in cluster.logged)
    assert all(how["tail"] == evidence.MOST_LINES for _, how in cluster.logged)


def test_values_that_may_be_secret_are_left_out_of_objects() -> None:
    app = {"name": "app", "image": "a", "env": [{"name": "GREETING", "value": "hello"}]}
    ref = {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "held", "key": "password"}}}
    level = {"name": "PILOT_LEVEL", "value": "debug"}
    token = {"name": "XDS_TOKEN", "value": "abc"}
    proxy = {"name": "istio-proxy", "image": "p", "env": [level, token, ref]}
    body = pod("a", app, proxy)
    body["metadata"]["annotations"] = {
        "sidecar.istio.io/status": "{}",
        "example.com/note": "hello",
        evidence.MANIFEST_COPY: "hello",
    }
    body["spec"]["token"] = "abc"
    [read] = yaml.safe_load_all(collected(Cluster(pods=[body]))["app-objects.yaml"])
    shown = read["spec"]["containers"]
    assert shown[0]["env"] == [{"name": "GREETING", "value": HIDDEN}]
    assert shown[1]["env"] == [level, {"name": "XDS_TOKEN", "value": HIDDEN}, ref]
    assert read["metadata"]["annotations"] == {
        "sidecar.istio.io/status": "{}",
        "example.com/note": HIDDEN,
        evidence.MANIFEST_COPY: HIDDEN,
    }
    assert read["spec"]["token"] == HIDDEN
    assert "managedFields" not in read["metadata"]
    assert body["spec"]["containers"][0]["env"][0]["value"] == "hello"  # the object is not changed


def test_what_proxies_were_sent_is_collected_without_certificates() -> None:
    cluster = Cluster(pods=[pod("a", {"name": "istio-proxy", "image": "p"})])
    secrets = {"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump", "key": "abc"}
    started = {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "node": "def"}
    routes = {"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump", "routes": [1]}
    cluster.replies[15000] = json.dumps({"configs": [secrets, started, routes]})
    cluster.replies[15014] = '[{"proxy": "a.app"}]'
    files = collected(cluster)
    assert json.loads(files["app-a-config_dump.json"]) == {"configs": [routes]}
    assert files["istio-system-istiod-1-syncz.json"] == '[{"proxy": "a.app"}]'


@pytest.mark.parametrize("dump", ["", "no JSON", "[]", "{}"])
def test_a_dump_that_cannot_be_read_is_not_shown(dump: str) -> None:
    cluster = Cluster(pods=[pod("a", {"name": "istio-proxy", "image": "p"})])
    cluster.replies[15000] = dump
    assert collected(cluster)["app-a-config_dump.json"] == ""


def test_what_could_not_be_read_is_reported() -> None:
    cluster = Cluster(pods=[pod("a", {"name": "istio-proxy", "image": "p"})])
    cluster.refuses = {
        "services": Refused(403, message="services is forbidden"),
        "jobs.batch": Refused(404, message="no such kind"),
    }
    lacking = collected(cluster)["not-collected.txt"]
    assert "services of app: Refused: services is forbidden" in lacking
    assert "/config_dump of app/a: Unreachable: port 15000: refused" in lacking
    assert "jobs" not in lacking


def test_nothing_is_requested_when_the_time_is_over() -> None:
    cluster = Cluster(pods=[pod("a", {"name": "app", "image": "a"})])
    files = collected(cluster, seconds=-1)
    assert cluster.requested == []
    assert "events of app: no time was left" in files["not-collected.txt"]


@pytest.fixture
def made(tmp_path: Path) -> Diagnostics:
    """The diagnostics of a run that writes here."""
    state = RunState(Settings("embedded", "1.31.0", "1.35", "smoke", tmp_path))
    return Diagnostics(state)


def written(made: Diagnostics) -> dict[str, bytes]:
    assert made.state.settings
    folder = made.state.settings.reports_dir / "diagnostics"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_file_that_is_too_long_keeps_its_end(made: Diagnostics) -> None:
    made._write("a.log", "x" * plugin.MOST_BYTES_OF_A_FILE + "the last line\n")
    [(name, content)] = written(made).items()
    assert name == "a.log"
    assert len(content) == plugin.MOST_BYTES_OF_A_FILE
    assert content.startswith(plugin.CUT.encode())
    assert content.endswith(b"the last line\n")


def test_all_files_together_are_bounded(made: Diagnostics) -> None:
    for number in range(30):
        made._write(f"{number:02}.log", "ü" * plugin.MOST_BYTES_OF_A_FILE)
    files = written(made)
    ours = plugin.MOST_BYTES - plugin.MOST_BYTES_OF_OTHERS
    assert sum(map(len, files.values())) <= ours
    assert sorted(files) == sorted(made.state.diagnosed)
    assert len(files) == ours // plugin.MOST_BYTES_OF_A_FILE


def test_what_others_write_is_bounded_too_and_cleaned(made: Diagnostics) -> None:
    assert made.state.settings
    folder = made.state.settings.reports_dir / "diagnostics"
    (folder / "kind").mkdir(parents=True)
    for number in range(9):
        text = f"{'x' * plugin.MOST_BYTES_OF_A_FILE}\npassword=hunter22 {number}\n"
        (folder / "kind" / f"{number}.log").write_text(text)
    (folder / "kind" / "short").write_text("Bearer abcdefghijkl\n")
    (folder / "kind" / "link.log").symlink_to("/etc/hostname")
    for number in range(30):
        made._write(f"{number:02}.log", "x" * plugin.MOST_BYTES_OF_A_FILE)
    plugin.tidy(folder, made.state)
    files = written(made)
    assert sum(map(len, files.values())) <= plugin.MOST_BYTES == 20 * 1024 * 1024
    assert files["kind/0.log"].endswith(f"password={HIDDEN} 0\n".encode())
    assert not any(
        b"hunter22" in content or b"abcdefghijkl" in content for content in files.values()
    )
    assert "kind/link.log" not in files


def test_what_is_written_is_clean_at_once(made: Diagnostics) -> None:
    made.state.redact.known.add("s3cret-of-the-kubeconfig")
    made._write("a.log", "s3cret-of-the-kubeconfig password=hunter22\n")
    assert written(made)["a.log"] == f"{HIDDEN} password={HIDDEN}\n".encode()


def test_a_preparation_is_looked_at_before_it_undoes_itself(made: Diagnostics) -> None:
    cluster = Cluster(pods=[pod("a", {"name": "app", "image": "a"})])
    kube = cast("Kube", cluster)
    with (
        calling(made.collect_before_removal),
        pytest.raises(RuntimeError),
        temporary_namespace(kube, "app"),
    ):
        raise RuntimeError("no pod became ready")
    assert cluster.requested.index("pods") < cluster.requested.index("delete app")
    assert "preparing-app/app-a-app.log" in written(made)


def test_what_ends_well_or_is_given_up_is_not_looked_at(made: Diagnostics) -> None:
    cluster = Cluster()
    kube = cast("Kube", cluster)
    with calling(made.collect_before_removal):
        with temporary_namespace(kube, "app", labels=OURS):
            pass
        with pytest.raises(WaitCancelled), on_failure(kube, "app"):
            raise WaitCancelled
        with pytest.raises(KeyboardInterrupt), on_failure(kube, "app"):
            raise KeyboardInterrupt
    assert cluster.requested == ["delete app"]


def test_evidence_that_cannot_be_had_hides_no_failure(made: Diagnostics) -> None:
    cluster = Cluster(pods=[{"metadata": {}}])  # nothing that we know
    with (
        calling(made.collect_before_removal),
        pytest.raises(RuntimeError, match="the cause"),
        on_failure(cast("Kube", cluster), "app"),
    ):
        raise RuntimeError("the cause")
    [note] = made.state.notes
    assert note.startswith("Diagnostics in preparing-app are not whole: KeyError")


def test_a_cluster_that_is_gone_hides_no_failure(made: Diagnostics, tmp_path: Path) -> None:
    gone = tmp_path / "none"
    made.state.access = Access(gone, "x", None, "rehearsal", "embedded", "1.31.0", "1.35.2")
    claim = Claim("cluster/a", "So.", "", "", "core", "", False, BY_NAME["cluster"], "a")
    report = SimpleNamespace(user_properties=[("result", Result(claim, "failed"))])
    made.pytest_runtest_logreport(cast("pytest.TestReport", report))
    [note] = made.state.notes
    assert note.startswith("There are no diagnostics of stage 1 cluster: ")


def test_a_stage_that_could_not_be_prepared_is_looked_at_as_one_that_failed(
    made: Diagnostics, tmp_path: Path
) -> None:
    made.state.access = Access(
        tmp_path / "none", "x", None, "rehearsal", "embedded", "1.31.0", "1.35.2"
    )
    stage = BY_NAME["gateway"]
    claim = Claim("gateway/a", "So.", "", "", "core", "", False, stage, "a")
    for blocked_by in ("sample", "gateway"):
        result = Result(claim, "blocked", blocked_by=blocked_by)
        report = SimpleNamespace(user_properties=[("result", result)])
        made.pytest_runtest_logreport(cast("pytest.TestReport", report))
        collected = [note.startswith("There are no diagnostics") for note in made.state.notes]
        assert collected == ([True] if blocked_by == "gateway" else [])


def test_two_preparations_may_fail_at_once(made: Diagnostics) -> None:
    kube = cast("Kube", Cluster(pods=[pod("a", {"name": "app", "image": "a"})]))
    threads = [
        threading.Thread(target=made.collect_before_removal, args=(kube, f"app{n}"))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written(made)) == sorted(made.state.diagnosed)
    assert len({name.partition("/")[0] for name in made.state.diagnosed}) == 8
