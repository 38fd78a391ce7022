"""What follows from a claim, a broken stage, a missing feature and a fault."""

import pytest

from tests.golden import Golden
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]


def test_a_claims_id_is_made_of_its_stage_and_its_name(runs: SmallRuns) -> None:
    runs.claims(
        "07_gateway",
        """
@pytest.mark.parametrize("path", ["login", "logout"])
@so("Each path is served.")
def test_each_path_is_served(access, path): inspected_one(1)
""",
    )
    ended = runs.run()
    assert list(ended.verdicts) == [
        "gateway/each-path-is-served[login]",
        "gateway/each-path-is-served[logout]",
    ]
    assert ended.code == 0


def test_stages_are_tested_in_the_order_of_the_run(runs: SmallRuns) -> None:
    for module in ("10_addons", "02_installation", "01_cluster"):
        runs.claims(module, "@so()\ndef test_a(access): inspected_one(1)\n")
    paths = (
        "suites/test_10_addons.py",
        "suites/test_01_cluster.py",
        "suites/test_02_installation.py",
    )
    assert list(runs.run(paths=paths).verdicts) == ["cluster/a", "installation/a", "addons/a"]


@pytest.mark.parametrize(
    ("module", "source", "words"),
    [
        pytest.param("01_cluster", "def test_bare(): ...", "is no claim", id="no mark"),
        pytest.param("99_beyond", "@so()\ndef test_a(): ...", "in no stage", id="no stage"),
    ],
)
def test_what_is_no_claim_is_refused(
    runs: SmallRuns, module: str, source: str, words: str
) -> None:
    runs.claims(module, source)
    ended = runs.run()
    assert words in ended.output
    assert words in ended.report["reason"]
    assert ended.code == 4


def test_two_claims_of_one_id_are_refused(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(): ...\n")
    runs.claims("01_nodes", "@so()\ndef test_a(): ...\n")
    ended = runs.run()
    assert ended.code == 4
    assert "two claims are cluster/a" in ended.output


def test_what_a_claim_reports_reaches_the_report(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster",
        """
@so()
def test_reported(cluster):
    inspected([1, 2, 3])
    note("The server says v1.35.2.")
""",
    )
    [claim] = runs.run().report["claims"]
    assert (claim["examined"], claim["notes"]) == (3, ["The server says v1.35.2."])


def test_a_failure_says_what_was_expected_and_where_to_look(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster",
        """
@so()
def test_ready(cluster):
    inspected_one(1)
    next_steps = ("kubectl get nodes",)
    raise ClaimFailed("node a", expected="Ready", got="NotReady", next_steps=next_steps)
""",
    )
    ended = runs.run()
    [claim] = ended.report["claims"]
    assert claim["message"] == "node a: expected Ready, got NotReady"
    assert claim["look"] == ["kubectl --context x get nodes"]
    assert "next: kubectl --context x get nodes" in ended.output
    assert ended.code == 1


def test_our_own_mistake_is_an_error_with_its_trace(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "@so()\ndef test_oops(cluster): {}['pods']\n")
    [claim] = runs.run().report["claims"]
    assert (claim["verdict"], claim["message"]) == ("error", "KeyError: 'pods'")
    assert "test_oops" in claim["evidence"]


BROKEN_SAMPLE = """
@pytest.fixture(scope="session")
def plain_sample(cluster):
    raise Unrecoverable("pod a", expected="Ready", got="ImagePullBackOff")

@pytest.fixture(scope="session")
def injected_sample(plain_sample, control_plane): ...

@pytest.fixture(scope="session")
def gateway(injected_sample): ...
"""


def test_a_preparation_that_fails_blocks_its_claims_and_what_needs_it(
    pytester: pytest.Pytester,
) -> None:
    runs = SmallRuns(pytester).begin(world=BROKEN_SAMPLE)
    so = "@so()\ndef test_{0}({1}): inspected_one(1)\n"
    runs.claims("02_installation", so.format("a", "control_plane"))
    runs.claims("03_sample", so.format("a", "plain_sample") + so.format("b", "plain_sample"))
    runs.claims("04_injection", so.format("a", "injected_sample"))
    runs.claims("05_webhooks", so.format("a", "control_plane"))
    runs.claims("07_gateway", so.format("a", "gateway"))
    ended = runs.run()
    assert ended.verdicts == {
        "installation/a": "passed",
        "sample/a": "blocked",
        "sample/b": "blocked",
        "injection/a": "blocked",
        "webhooks/a": "passed",
        "gateway/a": "blocked",
    }
    cause = "pod a: expected Ready, got ImagePullBackOff"
    blocked = f"blocked by preparation of stage 3 sample: {cause}"
    assert {ended.message(claim) for claim in ("sample/a", "sample/b", "gateway/a")} == {blocked}
    assert ended.code == 12
    assert ended.report["complete"]


def test_a_stage_tested_alone_is_blocked_by_what_breaks_on_its_way(
    pytester: pytest.Pytester,
) -> None:
    runs = SmallRuns(pytester).begin(world=BROKEN_SAMPLE)
    runs.claims("07_gateway", "@so()\ndef test_a(gateway): inspected_one(1)\n")
    ended = runs.run(paths=("suites/test_07_gateway.py",))
    assert ended.verdicts == {"gateway/a": "blocked"}
    assert ended.code == 12


def test_a_gate_that_fails_blocks_the_stages_that_need_it(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster",
        """
@so(blocking=True)
def test_answers(cluster): raise ClaimFailed("server", expected="an answer", got="none")
@so()
def test_other(cluster): inspected_one(1)
""",
    )
    runs.claims("02_installation", "@so()\ndef test_a(access): inspected_one(1)\n")
    ended = runs.run()
    assert list(ended.verdicts.values()) == ["failed", "passed", "blocked"]
    assert ended.message("installation/a").startswith(
        "blocked by stage 1 cluster: server: expected"
    )


AUDITED = """
from dataclasses import replace

class Audited(Pretended):
    @contextmanager
    def provide(self):
        skipped = dict.fromkeys(("sample", "injection"), "it would write")
        with super().provide() as access:
            yield replace(access, skipped_stages=skipped)

Pretended = Audited
"""


def test_who_only_reads_the_api_is_tested_although_no_istiod_runs(
    pytester: pytest.Pytester,
) -> None:
    """Of a stage that reads another one's, a claim that fails blocks what asks istiod."""
    runs = SmallRuns(pytester).begin(world=AUDITED)
    runs.claims(
        "02_installation",
        """
@so(blocking=True)
def test_runs(control_plane): raise ClaimFailed("istiod", expected="1 pod", got="none")
""",
    )
    for module in ("05_webhooks", "11_workloads"):
        runs.claims(
            module,
            """
@so()
def test_read(control_plane): inspected_one(1)
@so(asks_istiod=True)
def test_asked(control_plane): inspected_one(1)
@so(asks_istiod=True, feature="writes")
def test_written(control_plane): inspected_one(1)
""",
        )
    skipped = {"read": "passed", "asked": "blocked", "written": "not-claimed"}
    ended = runs.run()
    assert ended.verdicts == {
        "installation/runs": "failed",
        **{f"webhooks/{name}": verdict for name, verdict in skipped.items()},
        **{f"workloads/{name}": verdict for name, verdict in skipped.items()},
    }
    [failure] = ended.report["failures"]
    assert failure["blocked"] == ["webhooks/asked", "workloads/asked"]


def test_where_the_sample_is_injected_workloads_need_a_running_istiod(runs: SmallRuns) -> None:
    runs.claims(
        "02_installation",
        """
@so(blocking=True)
def test_runs(control_plane): raise ClaimFailed("istiod", expected="1 pod", got="none")
""",
    )
    runs.claims("11_workloads", "@so()\ndef test_read(control_plane): inspected_one(1)\n")
    assert runs.run().verdicts["workloads/read"] == "blocked"


def test_what_the_cluster_does_not_declare_is_not_claimed(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster",
        """
@so(feature="egress-gateway")
def test_absent(cluster): inspected_one(1)
@so(feature="ingress")
def test_there(cluster): inspected_one(1)
""",
    )
    ended = runs.run()
    assert list(ended.verdicts.values()) == ["not-claimed", "passed"]
    why = ended.message("cluster/absent")
    assert "egress-gateway" in why
    assert f"Not claimed (1):\n     1  {why}" in ended.output
    assert ended.code == 0


def test_a_required_feature_that_is_absent_fails_what_needs_it(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster",
        """
@so(feature="egress-gateway")
def test_absent(cluster): inspected_one(1)
@so(feature="ingress")
def test_there(cluster): inspected_one(1)
@so(feature="default-tag")
def test_not_required(cluster): inspected_one(1)
""",
    )
    ended = runs.run("--require", "egress-gateway", "--require", "ingress")
    assert ended.verdicts == {
        "cluster/absent": "failed",
        "cluster/there": "passed",
        "cluster/not-required": "not-claimed",
    }
    assert "--require egress-gateway" in ended.message("cluster/absent")
    assert ended.code == 1


def test_smoke_tests_core_claims_and_is_still_the_whole_run(runs: SmallRuns) -> None:
    source = "@so()\ndef test_a(cluster): inspected_one(1)\n"
    source += '@so(level="extended")\ndef test_b(cluster): inspected_one(1)\n'
    runs.claims("01_cluster", source)
    smoke = runs.run("--profile", "smoke")
    assert list(smoke.verdicts) == ["cluster/a"]
    assert not smoke.report["partial"]
    assert list(runs.run("--profile", "conformance").verdicts) == ["cluster/a", "cluster/b"]


def test_what_cannot_be_undone_is_an_error(pytester: pytest.Pytester, golden: Golden) -> None:
    world = """
@pytest.fixture
def borrowed():
    yield
    raise RuntimeError("still there")
"""
    runs = SmallRuns(pytester).begin(world=world)
    runs.claims("01_cluster", "@so()\ndef test_a(borrowed): inspected_one(1)\n")
    ended = runs.run()
    golden(ended.message("cluster/a"))
    assert ended.code == 1


FAULTS = """
from fixtures.faults.catalog import Fault
from fixtures.run.injecting import Injecting

class FaultAction:
    def inject(self, kube): injected.append(1)
    def revert(self, kube): ...

class BrokenAction(FaultAction):
    def inject(self, kube): raise OSError("no way")

injected = []

@pytest.fixture(scope="session")
def plain_sample(cluster):
    return len(injected)

@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    gating = session.config.pluginmanager.get_plugin("seatrial-gating")
    fault = Fault("broken-on-purpose", "It is broken.", 3, {action}(), fails=(), before={before})
    gating.injecting = type("OnPurpose", (Injecting,), {{"fault": fault}})(gating.state)
"""


@pytest.mark.parametrize("before", [True, False])
def test_a_fault_strikes_once_before_or_after_its_stage_is_ready(
    pytester: pytest.Pytester,
    before: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    runs = SmallRuns(pytester).begin(world=FAULTS.format(action="FaultAction", before=before))
    source = "@so()\ndef test_{0}(plain_sample):\n    inspected_one(1)\n"
    source += "    import sys; assert plain_sample == {1} \n"
    runs.claims("03_sample", source.format("a", int(before)) + source.format("b", int(before)))
    ended = runs.run()
    assert set(ended.verdicts.values()) == {"passed"}
    assert ended.report["notes"] == ["The fault broken-on-purpose was injected: It is broken."]


def test_a_fault_that_cannot_be_made_ends_the_run(pytester: pytest.Pytester) -> None:
    runs = SmallRuns(pytester).begin(world=FAULTS.format(action="BrokenAction", before=False))
    runs.claims("03_sample", "@so()\ndef test_a(plain_sample): inspected_one(1)\n")
    ended = runs.run()
    assert ended.code == 10
    assert "broken-on-purpose could not be injected: OSError: no way" in ended.report["reason"]
