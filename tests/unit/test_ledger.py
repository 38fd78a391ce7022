"""Nothing is left out in silence: what the ledger requires is tested, or the run fails."""

from pathlib import Path

import pytest

from fixtures.run.ledger import Ledger, NoLedger
from tests.golden import Golden
from tests.small_runs import Ended, SmallRuns

pytest_plugins = ["pytester"]

SO = "@so()\ndef test_{0}(cluster): inspected_one(1)\n"
TWO = "cluster/a: smoke conformance\ncluster/b: smoke conformance\ninstallation/c: conformance\n"


@pytest.fixture
def runs(pytester: pytest.Pytester) -> SmallRuns:
    """A run that must test two claims, or three."""
    made = SmallRuns(pytester).begin()
    made.ledger(TWO)
    made.claims("01_cluster", SO.format("a") + SO.format("b"))
    return made


def lacks(ended: Ended, *names: str) -> bool:
    """Whether the run failed for these claims, and named them wherever somebody looks."""
    assert ended.code == ended.report["exit_code"] == 12
    assert ended.report["missing"] == list(names)
    for file in ("report.html", "junit.xml", "summary.md", "statement.yaml"):
        assert names[0] in (ended.folder / file).read_text()
    return names[0] in ended.report["verdict"] and names[0] in ended.output


def test_a_ledger_is_what_it_was_when_it_is_read_again() -> None:
    held = Ledger({"gateway/each[a: b]": ("smoke", "conformance")})
    assert Ledger.parse(held.text) == held
    assert held.missing("smoke", []) == ("gateway/each[a: b]",)
    assert held.missing("readonly", []) == ()


def test_a_run_that_tests_all_of_it_passes(runs: SmallRuns) -> None:
    ended = runs.run()
    assert (ended.code, ended.report["missing"]) == (0, [])


def test_each_profile_requires_its_own(runs: SmallRuns) -> None:
    assert lacks(runs.run("--profile", "conformance"), "installation/c")


def test_a_module_that_is_deleted(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "")
    assert lacks(runs.run(), "cluster/a", "cluster/b")


def test_a_module_that_is_skipped(runs: SmallRuns) -> None:
    runs.claims("01_cluster", 'pytest.skip("later", allow_module_level=True)\n')
    assert lacks(runs.run(), "cluster/a", "cluster/b")


def test_a_preparation_that_is_skipped(pytester: pytest.Pytester) -> None:
    world = 'def later():\n    pytest.skip("later")\n\n'
    world += '@pytest.fixture(scope="session")\ndef plain_sample(cluster): later()\n'
    runs = SmallRuns(pytester).begin(world=world)
    runs.claims("01_cluster", SO.format("a"))
    runs.claims("03_sample", SO.format("b").replace("(cluster)", "(plain_sample)"))
    ended = runs.run()
    assert (ended.code, ended.verdicts["sample/b"]) == (12, "error")


@pytest.mark.parametrize("option", ["python_functions=test_a", "python_files=test_02*.py"])
def test_a_setting_of_pytest_that_leaves_tests_out(runs: SmallRuns, option: str) -> None:
    assert runs.run("-o", option).code == 12


def test_a_claim_that_is_renamed(runs: SmallRuns) -> None:
    runs.claims("01_cluster", SO.format("a") + SO.format("new"))
    assert lacks(runs.run(), "cluster/b")


def test_a_claim_that_became_extended(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster", SO.format("a") + SO.format("b").replace("so()", 'so(level="extended")')
    )
    assert lacks(runs.run(), "cluster/b")


@pytest.mark.parametrize("tells", [True, False], ids=["told", "untold"])
def test_a_plugin_that_leaves_tests_out(
    pytester: pytest.Pytester,
    tells: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    world = """
def pytest_collection_modifyitems(config, items):
    left = [item for item in items if item.name == "test_b"]
    items[:] = [item for item in items if item not in left]
"""
    world += "    config.hook.pytest_deselected(items=left)\n" if tells else ""
    runs = SmallRuns(pytester).begin(world=world)
    runs.ledger(TWO)
    runs.claims("01_cluster", SO.format("a") + SO.format("b"))
    ended = runs.run()
    assert not ended.report["partial"]
    assert lacks(ended, "cluster/b")


def test_a_folder_that_is_not_collected(pytester: pytest.Pytester) -> None:
    runs = SmallRuns(pytester).begin(world='collect_ignore = ["suites/test_01_nodes.py"]\n')
    runs.ledger(TWO)
    runs.claims("01_cluster", SO.format("a"))
    runs.claims("01_nodes", SO.format("b"))
    assert lacks(runs.run(), "cluster/b")


@pytest.mark.parametrize("options", [(), ("--continue-on-collection-errors",)])
def test_a_module_that_cannot_be_collected(runs: SmallRuns, options: tuple[str, ...]) -> None:
    runs.claims("02_installation", "import nowhere_to_be_found\n")
    ended = runs.run(*options)
    assert ended.code == ended.report["exit_code"] == 2
    assert ended.report["complete"] is False
    assert "test_02_installation.py cannot be collected" in ended.report["reason"]
    assert "nowhere_to_be_found" in ended.report["reason"]


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            '@pytest.mark.skip(reason="later")\n@so()\ndef test_b(cluster): ...\n', id="mark"
        ),
        pytest.param('@so()\ndef test_b(cluster): pytest.skip("later")\n', id="in the test"),
        pytest.param(
            '@so()\ndef test_b(cluster): pytest.xfail("later")\n', id="xfail in the test"
        ),
    ],
)
def test_a_claim_that_is_skipped(runs: SmallRuns, source: str, golden: Golden) -> None:
    runs.claims("01_cluster", SO.format("a") + source)
    ended = runs.run()
    assert ended.code == ended.report["exit_code"] == 12
    assert ended.verdicts["cluster/b"] == "error"
    golden(ended.message("cluster/b"))


def test_a_claim_that_is_expected_to_fail_and_does(runs: SmallRuns) -> None:
    bad = "@pytest.mark.xfail\n@so()\ndef test_b(cluster):\n"
    bad += '    raise ClaimFailed("a", expected="b", got=1)\n'
    runs.claims("01_cluster", SO.format("a") + bad)
    ended = runs.run()
    assert (ended.code, ended.verdicts["cluster/b"]) == (1, "failed")


def test_a_parametrized_claim_without_cases(runs: SmallRuns) -> None:
    none = '@pytest.mark.parametrize("x", [])\n@so()\ndef test_b(cluster, x): inspected_one(1)\n'
    runs.claims("01_cluster", SO.format("a") + none)
    assert runs.run().code in {2, 12}


def test_what_the_user_leaves_out_is_partial_and_not_missing(runs: SmallRuns) -> None:
    ended = runs.run("-k", "test_a")
    assert ended.report["command"] == ""
    assert (ended.code, ended.report["partial"], ended.report["missing"]) == (0, True, [])
    assert "PARTIAL: a selection of claims was tested, not all of them." in ended.report["verdict"]


@pytest.mark.parametrize("path", ["suites/none.py", "suites/test_01_cluster.py::test_none"])
def test_a_path_that_is_none_is_bad_input_and_nothing_else(runs: SmallRuns, path: str) -> None:
    ended = runs.run(paths=(path,))
    assert (ended.code, ended.report["missing"]) == (4, [])


def test_what_is_not_claimed_is_reported_in_the_verdict(runs: SmallRuns) -> None:
    source = SO.format("a") + SO.format("b").replace("so()", 'so(feature="egress-gateway")')
    runs.claims("01_cluster", source)
    ended = runs.run()
    assert ended.code == 0
    assert "The one claim passed, 1 not claimed on" in ended.report["verdict"]


def test_without_a_ledger_nothing_is_tested(runs: SmallRuns) -> None:
    (runs.pytester.path / "suites" / "ledger.txt").unlink()
    ended = runs.run()
    assert ended.code == 4
    assert "ledger.txt cannot be read" in ended.output
    assert "PROVIDED" not in ended.output
    assert "ledger.txt cannot be read" in ended.report["reason"]


def test_a_ledger_that_is_no_text_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "ledger.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NoLedger, match="tox -e docs"):
        Ledger.read(tmp_path)
