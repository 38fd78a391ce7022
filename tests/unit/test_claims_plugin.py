"""What follows from a claim, a broken stage, a missing feature and a fault."""

import pytest

from tests.walks import Walks

pytest_plugins = ["pytester"]


def test_a_claims_id_is_made_of_its_stage_and_its_name(walks: Walks) -> None:
    walks.claims(
        "07_gateway",
        """
@pytest.mark.parametrize("path", ["login", "logout"])
@so("Each path is served.")
def test_each_path_is_served(access, path): examined_one(1)
""",
    )
    ended = walks.walk()
    assert list(ended.verdicts) == [
        "gateway/each-path-is-served[login]",
        "gateway/each-path-is-served[logout]",
    ]
    assert ended.code == 0


def test_stages_are_asked_in_the_order_of_the_walk(walks: Walks) -> None:
    for module in ("10_addons", "02_installation", "01_cluster"):
        walks.claims(module, "@so()\ndef test_a(access): examined_one(1)\n")
    paths = (
        "suites/test_10_addons.py",
        "suites/test_01_cluster.py",
        "suites/test_02_installation.py",
    )
    assert list(walks.walk(paths=paths).verdicts) == ["cluster/a", "installation/a", "addons/a"]


@pytest.mark.parametrize(
    ("module", "source", "words"),
    [
        pytest.param("01_cluster", "def test_bare(): ...", "is no claim", id="no mark"),
        pytest.param("99_beyond", "@so()\ndef test_a(): ...", "in no stage", id="no stage"),
    ],
)
def test_what_is_no_claim_is_refused(walks: Walks, module: str, source: str, words: str) -> None:
    walks.claims(module, source)
    ended = walks.walk()
    assert words in ended.output
    assert words in ended.report["reason"]
    assert ended.code == 4


def test_two_claims_of_one_id_are_refused(walks: Walks) -> None:
    walks.claims("01_cluster", "@so()\ndef test_a(): ...\n")
    walks.claims("01_nodes", "@so()\ndef test_a(): ...\n")
    ended = walks.walk()
    assert ended.code == 4
    assert "two claims are cluster/a" in ended.output


def test_what_a_claim_tells_reaches_the_report(walks: Walks) -> None:
    walks.claims(
        "01_cluster",
        """
@so()
def test_told(cluster):
    examined([1, 2, 3])
    note("The server says v1.35.2.")
""",
    )
    [claim] = walks.walk().report["claims"]
    assert (claim["examined"], claim["notes"]) == (3, ["The server says v1.35.2."])


def test_a_failure_says_what_was_expected_and_where_to_look(walks: Walks) -> None:
    walks.claims(
        "01_cluster",
        """
@so()
def test_ready(cluster):
    examined_one(1)
    raise Unmet("node a", expected="Ready", seen="NotReady", look=("kubectl get nodes",))
""",
    )
    ended = walks.walk()
    [claim] = ended.report["claims"]
    assert claim["message"] == "node a: expected Ready, saw NotReady"
    assert claim["look"] == ["kubectl get nodes"]
    assert "look further: kubectl get nodes" in ended.output
    assert ended.code == 1


def test_our_own_mistake_is_an_error_with_its_trace(walks: Walks) -> None:
    walks.claims("01_cluster", "@so()\ndef test_oops(cluster): {}['pods']\n")
    [claim] = walks.walk().report["claims"]
    assert (claim["verdict"], claim["message"]) == ("error", "KeyError: 'pods'")
    assert "test_oops" in claim["evidence"]


BROKEN_SAMPLE = """
@pytest.fixture(scope="session")
def plain_sample(cluster):
    raise Hopeless("pod a", expected="Ready", seen="ImagePullBackOff")

@pytest.fixture(scope="session")
def injected_sample(plain_sample, control_plane): ...

@pytest.fixture(scope="session")
def gateway(injected_sample): ...
"""


def test_a_broken_stage_fails_its_claims_and_blocks_what_needs_it(
    pytester: pytest.Pytester,
) -> None:
    walks = Walks(pytester).begin(world=BROKEN_SAMPLE)
    so = "@so()\ndef test_{0}({1}): examined_one(1)\n"
    walks.claims("02_installation", so.format("a", "control_plane"))
    walks.claims("03_sample", so.format("a", "plain_sample") + so.format("b", "plain_sample"))
    walks.claims("04_injection", so.format("a", "injected_sample"))
    walks.claims("05_webhooks", so.format("a", "control_plane"))
    walks.claims("07_gateway", so.format("a", "gateway"))
    ended = walks.walk()
    assert ended.verdicts == {
        "installation/a": "passed",
        "sample/a": "failed",
        "sample/b": "failed",
        "injection/a": "blocked",
        "webhooks/a": "passed",
        "gateway/a": "blocked",
    }
    cause = "pod a: expected Ready, saw ImagePullBackOff"
    assert ended.message("sample/a") == ended.message("sample/b") == cause
    assert ended.message("gateway/a") == f"blocked by stage 3 sample: {cause}"
    assert ended.code == 1
    assert ended.report["complete"]


def test_a_stage_asked_alone_is_blocked_by_what_breaks_on_its_way(
    pytester: pytest.Pytester,
) -> None:
    walks = Walks(pytester).begin(world=BROKEN_SAMPLE)
    walks.claims("07_gateway", "@so()\ndef test_a(gateway): examined_one(1)\n")
    ended = walks.walk(paths=("suites/test_07_gateway.py",))
    assert ended.verdicts == {"gateway/a": "blocked"}
    assert ended.code == 1


def test_a_gate_that_fails_blocks_the_stages_that_need_it(walks: Walks) -> None:
    walks.claims(
        "01_cluster",
        """
@so(gate=True)
def test_answers(cluster): raise Unmet("server", expected="an answer", seen="none")
@so()
def test_other(cluster): examined_one(1)
""",
    )
    walks.claims("02_installation", "@so()\ndef test_a(access): examined_one(1)\n")
    ended = walks.walk()
    assert list(ended.verdicts.values()) == ["failed", "passed", "blocked"]
    assert ended.message("installation/a").startswith(
        "blocked by stage 1 cluster: server: expected"
    )


def test_what_the_cluster_does_not_declare_is_not_claimed(walks: Walks) -> None:
    walks.claims(
        "01_cluster",
        """
@so(feature="egress-gateway")
def test_absent(cluster): examined_one(1)
@so(feature="ingress")
def test_there(cluster): examined_one(1)
""",
    )
    ended = walks.walk()
    assert list(ended.verdicts.values()) == ["not-claimed", "passed"]
    assert "egress-gateway" in ended.message("cluster/absent")
    assert ended.code == 0


def test_smoke_asks_core_claims_and_is_still_the_whole_walk(walks: Walks) -> None:
    source = "@so()\ndef test_a(cluster): examined_one(1)\n"
    source += '@so(level="extended")\ndef test_b(cluster): examined_one(1)\n'
    walks.claims("01_cluster", source)
    smoke = walks.walk("--profile", "smoke")
    assert list(smoke.verdicts) == ["cluster/a"]
    assert not smoke.report["partial"]
    assert list(walks.walk("--profile", "conformance").verdicts) == ["cluster/a", "cluster/b"]


def test_what_cannot_be_undone_is_an_error(pytester: pytest.Pytester) -> None:
    world = """
@pytest.fixture
def borrowed():
    yield
    raise RuntimeError("still there")
"""
    walks = Walks(pytester).begin(world=world)
    walks.claims("01_cluster", "@so()\ndef test_a(borrowed): examined_one(1)\n")
    ended = walks.walk()
    assert ended.message("cluster/a") == "it could not be undone: RuntimeError: still there"
    assert ended.code == 1


FAULTS = """
from fixtures.faults.catalog import Fault
import fixtures.run.claims_plugin as plugin

class Way:
    def strike(self, kube): struck.append(1)
    def mend(self, kube): ...

class Broken(Way):
    def strike(self, kube): raise OSError("no way")

struck = []

@pytest.fixture(scope="session")
def plain_sample(cluster):
    return len(struck)

@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    claims = session.config.pluginmanager.get_plugin("seatrial-claims")
    claims.fault = Fault("broken-on-purpose", "It is broken.", 3, {way}(), red=(), before={before})
"""


@pytest.mark.parametrize("before", [True, False])
def test_a_fault_strikes_once_before_or_after_its_stage_is_ready(
    pytester: pytest.Pytester,
    before: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    walks = Walks(pytester).begin(world=FAULTS.format(way="Way", before=before))
    source = "@so()\ndef test_{0}(plain_sample):\n    examined_one(1)\n"
    source += "    import sys; assert plain_sample == {1} \n"
    walks.claims("03_sample", source.format("a", int(before)) + source.format("b", int(before)))
    ended = walks.walk()
    assert set(ended.verdicts.values()) == {"passed"}
    assert ended.report["notes"] == ["The fault broken-on-purpose struck: It is broken."]


def test_a_fault_that_cannot_be_made_ends_the_walk(pytester: pytest.Pytester) -> None:
    walks = Walks(pytester).begin(world=FAULTS.format(way="Broken", before=False))
    walks.claims("03_sample", "@so()\ndef test_a(plain_sample): examined_one(1)\n")
    ended = walks.walk()
    assert ended.code == 10
    assert "broken-on-purpose could not be made: OSError: no way" in ended.report["reason"]
