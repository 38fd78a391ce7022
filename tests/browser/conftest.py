"""A browser, and the report of one small run that has every verdict."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium, found
from tests.small_runs import SmallRuns

CLUSTER = """
import time
from fixtures.claims import Call, record, record_call
from fixtures.claims.deadlines import timeout
from fixtures.run.timeline import Step
from fixtures.claims.waiting import eventually
from fixtures.run.state import state_of

@so("The cluster results.")
def test_the_cluster_answers(cluster, pytestconfig):
    inspected_one(1)
    record("node", "kind-control-plane", "kubelet v1.35.0, containerd://2.1.1, linux/amd64")
    record("version", "istiod", "1.31.0-abc-Clean")
    proxy = "docker.io/istio/proxyv2:1.31.0@sha256:" + "0" * 64
    record("image", "istio-proxy of reviews-v1", proxy)
    for number in range(3):
        plain, mutual = {"tls": "plain text"}, {"tls": "mutual TLS"}
        record_call(Call("client", "istio-ingressgateway", "200", True, "replies", **plain))
        record_call(Call("istio-ingressgateway", "productpage", "200", True, "log", **mutual))
    record_call(Call("productpage", "reviews", "503", False, "page", version="v1"))
    print("something said on the way")
    long = Step("The sample without the mesh: made ready and more", time.monotonic(), 0.5)
    state_of(pytestconfig).timeline.steps.append(long)

@so("A <b>name</b> & more.", level="extended")
def test_a_name_is_shown_as_it_is(cluster):
    inspected_one(1)
    note("a note with <script>alert(1)</script> in it")

@so("The pod is ready.")
def test_the_pod_is_ready(cluster):
    def probe():
        raise ClaimFailed("pod a/b", expected="ready", got="Pending", context="kubelet v1.35.0",
                    next_steps=["kubectl -n a describe pod b"],
                    evidence="app container b: not running",
                    brief="b 0/1, pulling image")
    eventually(probe, within=timeout("pods become ready", 0.6))

@so("The log is long.")
def test_the_log_is_long(cluster):
    lines = "\\n".join(f"log line {n}" for n in range(60))
    raise ClaimFailed("the log", expected="short", got="long", evidence=lines)

@so("There are add-ons.", feature="addons")
def test_there_are_addons(cluster):
    inspected_one(1)

@so("This breaks.")
def test_this_breaks(cluster):
    raise KeyError("a")
"""
INSTALLATION = """
@so("istiod is rolled out.", blocking=True)
def test_istiod_is_rolled_out(control_plane):
    raise ClaimFailed("roll-out of Deployment istio-system/istiod", expected="a complete rollout",
                got="0 available",
                next_steps=["kubectl -n istio-system describe deployment istiod"])
"""
WEBHOOKS = """
@so("The injector results.", asks_istiod=True)
def test_the_injector_answers(control_plane):
    inspected_one(1)

@so("The validator results.", asks_istiod=True)
def test_the_validator_answers(control_plane):
    inspected_one(1)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; ended with the module, for what else runs here has event loops of its own."""
    if not found():
        pytest.skip("needs Chromium: apt-get install chromium")
    with chromium() as browser:
        yield browser


_made: dict[str, Path] = {}


@pytest.fixture
def report(pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with every verdict; made once."""
    if "report" not in _made:
        runs = SmallRuns(pytester).begin()
        runs.claims("01_cluster", CLUSTER)
        runs.claims("02_installation", INSTALLATION)
        runs.claims("05_webhooks", WEBHOOKS)
        ended = runs.run("--profile", "conformance")
        folder = tmp_path_factory.mktemp("report")
        shutil.copytree(ended.folder, folder, dirs_exist_ok=True)
        _made["report"] = folder / "report.html"
    return _made["report"]
