"""Claims of a user's own beside the suite's: what is taken, where it comes, what is refused."""

import re
from pathlib import Path

import pytest

from fixtures.claims.own_stage import OwnStage
from fixtures.faults.own import OwnFault
from fixtures.run.own_claims import BadClaims, own_claims, own_faults
from fixtures.run.own_stages import faults_of
from fixtures.run.stages import SUITE, Stage
from reports import own_ledger
from tests.small_runs import HEAD, Ended, SmallRuns

pytest_plugins = ["pytester"]

OURS = "@so()\ndef test_a(cluster): inspected_one(1)\n"
IMPORTS = "from fixtures.claims.own_stage import OwnStage\n"
OWN = '@so("The shop is open.")\ndef test_the_shop_is_open(cluster): inspected_one(1)\n'
FAULT = """
from fixtures.faults.own import OwnFault
class Noted:
    def snapshot(self, kube): pass
    def inject(self, kube): print("INJECTED", flush=True)
    def revert(self, kube): pass
FAULTS = [OwnFault(name="shop-shut", text="The shop is shut.", stage={stage!r}, action=Noted(),
                   fails=("shop/checkout/the-shop-is-open",))]
"""


@pytest.fixture
def runs(pytester: pytest.Pytester) -> SmallRuns:
    made = SmallRuns(pytester).begin()
    made.claims("01_cluster", OURS)
    made.claims("02_installation", OURS)
    return made


def shop(runs: SmallRuns, source: str = OWN, module: str = "checkout", name: str = "shop") -> Path:
    folder = runs.pytester.path / name
    folder.mkdir(exist_ok=True)
    (folder / f"test_{module}.py").write_text(HEAD + IMPORTS + source, encoding="utf-8")
    return folder


def run(runs: SmallRuns, *options: str) -> Ended:
    return runs.run("--claims=shop", *options)


def order(ended: Ended) -> list[str]:
    return [claim["id"] for claim in ended.report["claims"]]


def test_own_claims_are_tested_and_reported_beside_ours(runs: SmallRuns) -> None:
    folder = shop(runs)
    (folder / "ledger.txt").write_text("shop/checkout/the-shop-is-open: smoke\n")
    ended = run(runs)
    assert ended.code == 0
    assert ended.verdicts["shop/checkout/the-shop-is-open"] == "passed"
    assert order(ended) == ["cluster/a", "installation/a", "shop/checkout/the-shop-is-open"]
    stage = ended.report["stages"][-1]
    assert (stage["number"], stage["name"]) == (101, "shop/checkout")
    assert not ended.report["partial"]
    assert ended.report["command"].endswith("--claims shop")


def test_a_stage_comes_where_its_module_says(runs: SmallRuns) -> None:
    shop(runs, 'STAGE = OwnStage(after="cluster", title="Checkout")\n' + OWN)
    shop(runs, 'STAGE = OwnStage(after="cluster")\n' + OWN, module="10_orders")
    ended = run(runs)
    assert order(ended) == [
        "cluster/a",
        "shop/orders/the-shop-is-open",
        "shop/checkout/the-shop-is-open",
        "installation/a",
    ]
    assert [s["title"] for s in ended.report["stages"]][1:3] == ["shop/orders", "Checkout"]


def test_a_preparation_of_ones_own_that_fails_blocks_its_claims(runs: SmallRuns) -> None:
    shop(
        runs,
        """
STAGE = OwnStage(fixture="till")
@pytest.fixture(scope="session")
def till(): raise ClaimFailed("the till", expected="open", got="shut")
@so()
def test_a(till): pass
@so()
def test_b(till): pass
""",
    )
    ended = run(runs)
    assert ended.code == 12
    assert ended.message("shop/checkout/b").startswith(
        "blocked by preparation of stage 101 shop/checkout: the till: expected open, got shut"
    )


def test_a_stage_that_is_needed_and_broken_blocks_own_claims(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster", "@so(blocking=True)\ndef test_a(cluster): expect('x', expected=1, got=2)"
    )
    shop(runs)
    assert run(runs).verdicts["shop/checkout/the-shop-is-open"] == "blocked"


def test_a_claim_that_its_ledger_lists_and_that_is_lost_fails_the_run(runs: SmallRuns) -> None:
    folder = shop(runs)
    (folder / "ledger.txt").write_text("shop/checkout/the-till-is-open: smoke\n")
    ended = run(runs)
    assert (ended.code, ended.report["missing"]) == (12, ["shop/checkout/the-till-is-open"])


def test_a_folder_without_a_ledger_is_told(runs: SmallRuns) -> None:
    shop(runs)
    assert (
        "shop has no ledger: a claim of it that is lost is not missed."
        in (run(runs).report["notes"])
    )


def test_what_writes_is_left_out_of_a_run_that_reads(runs: SmallRuns) -> None:
    shop(runs, "STAGE = OwnStage(writes=True)\n" + OWN)
    shop(runs, module="orders")
    ended = run(runs, "--profile", "readonly")
    assert "shop/orders/the-shop-is-open" in ended.verdicts
    assert ended.report["left_out"] == ["shop/checkout/the-shop-is-open"]


def test_a_run_of_own_claims_alone_is_partial(runs: SmallRuns) -> None:
    shop(runs)
    ended = runs.run("--claims=shop", paths=("suites", "shop"))
    assert order(ended) == ["shop/checkout/the-shop-is-open"]
    assert ended.report["partial"]


def test_two_modules_of_one_name_stay_apart(runs: SmallRuns) -> None:
    shop(runs)
    shop(runs, name="bank")
    ended = run(runs, "--claims=bank")
    assert order(ended)[2:] == [
        "shop/checkout/the-shop-is-open",
        "bank/checkout/the-shop-is-open",
    ]
    assert "101 shop/checkout" in ended.output
    assert "102 bank/checkout" in ended.output


def test_a_fixture_of_ones_own_is_used(runs: SmallRuns) -> None:
    folder = shop(runs, "@so()\ndef test_a(till): inspected_one(till)\n")
    text = "import pytest\n@pytest.fixture(scope='session')\ndef till(cluster): return cluster\n"
    (folder / "conftest.py").write_text(text)
    assert run(runs).verdicts["shop/checkout/a"] == "passed"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nothing_there", "cannot be imported: ModuleNotFoundError: No module named 'noth"),
        ("def x(:", "test_checkout.py cannot be imported: SyntaxError: invalid syntax"),
        ("1 / 0", "test_checkout.py cannot be imported: ZeroDivisionError: division by zero ("),
        ("@claim()\ndef test_a(): pass", "cannot be imported: TypeError: claim() missing 1"),
        ("import sys; sys.exit()", "a module of claims ends Python while it is imported"),
        ("pytest.skip('x', allow_module_level=True)", "test_checkout.py makes no claim"),
        ("x = 1", "test_checkout.py makes no claim"),
        ("def test_a(): pass", "test_checkout.py::test_a is no claim: mark it with @claim"),
        ("@so('')\ndef test_a(): pass", "::test_a: its claim's text is no sentence: ''"),
        ("@so(7)\ndef test_a(): pass", "::test_a: its claim's text is no sentence: 7"),
        (
            "@so()\ndef test_a(): pass\nclass TestX:\n  @so()\n  def test_a(self): pass",
            "two claims are shop/checkout/a: ",
        ),
        ("@so()\ndef test_a(clustr): pass", "fixture clustr: unknown; did you mean cluster? See"),
        ("STAGE = 7\n" + OWN, "STAGE must be an OwnStage (fixtures.claims.own_stage)"),
        ("STAGE = OwnStage(befor='x')", "cannot be imported: TypeError: OwnStage.__init__() got"),
        ("STAGE = OwnStage(after=7)\n" + OWN, "STAGE: after = 7: a text is needed"),
        ("STAGE = OwnStage(after='clustr')\n" + OWN, "STAGE: clustr: unknown; did you mean clus"),
        ("STAGE = OwnStage(needs='cluster')\n" + OWN, "needs = 'cluster': a list of names is"),
        ("STAGE = OwnStage(needs=7)\n" + OWN, "needs = 7: a list of names is needed"),
        ("STAGE = OwnStage(fixture='cluster')\n" + OWN, "fixture cluster prepares stage cluster"),
        ("STAGE = OwnStage(fixture='till')\n" + OWN, "does not take till, which prepares its st"),
        (
            "STAGE = OwnStage(fixture='t')\n@pytest.fixture\ndef t(): 0\n@so()\ndef test_a(t): 0",
            't prepares its stage, which needs scope="session"',
        ),
        (
            "@pytest.fixture(scope='session')\ndef cluster(): pass\n" + OWN,
            "fixture cluster is Seatrial's; rename yours",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_in_a_line(runs: SmallRuns, source: str, said: str) -> None:
    shop(runs, source)
    ended = run(runs)
    assert ended.code == 4
    [line] = re.findall("ERROR: (.*)", ended.output)
    assert said in line
    assert str(runs.pytester.path / "shop") in line or "test_checkout.py" in line
    assert "Traceback" not in ended.output
    assert "PROVIDED" not in ended.output


def test_a_conftest_that_cannot_be_imported_is_told_in_a_line(runs: SmallRuns) -> None:
    (shop(runs) / "conftest.py").write_text("import nothing_there")
    ended = run(runs)
    assert ended.code == 4
    assert "No module named 'nothing_there' (conftest.py, line 1)" in ended.output


def test_two_modules_of_one_stage_are_refused(runs: SmallRuns) -> None:
    shop(runs)
    shop(runs, module="10_checkout")
    ended = run(runs)
    assert ended.code == 4
    assert "there is a stage shop/checkout already; rename the file" in ended.output


def test_words_in_any_language_are_kept(runs: SmallRuns) -> None:
    shop(runs, '@so("Größe ☂.")\ndef test_größe(cluster): inspected_one(1)', name="geschäft")
    ended = runs.run("--claims=geschäft")
    assert ended.verdicts["geschäft/checkout/größe"] == "passed"


# Folders


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "test_x.py").write_text("")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["none"], "--claims none: there is no such folder"),
        (["file"], "--claims file: is no folder"),
        (["empty"], r"--claims empty: no test_\*.py is in it"),
        (["gateway"], "gateway is a stage of Seatrial's; rename it"),
        (["a b"], "ids begin with its name: letters and digits"),
        (["a/shop", "b/shop"], "/a/shop and .*/b/shop have one name; rename one of them"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(
    tmp_path: Path, given: list[str], said: str
) -> None:
    made(tmp_path, "gateway", "a b", "a/shop", "b/shop")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadClaims, match=said):
        own_claims(given, tmp_path)


def test_a_folder_is_taken_once_by_the_name_that_it_is_called(tmp_path: Path) -> None:
    made(tmp_path, "shop-2")
    (tmp_path / "shop").symlink_to(tmp_path / "shop-2")
    [found] = own_claims(["shop", "./shop/", "shop-2"], tmp_path)
    assert (found.name, found.path) == ("shop", tmp_path / "shop-2")


@pytest.mark.parametrize(
    ("text", "said"),
    [(b"gateway/x: smoke\n", "gateway/x is none of its claims"), (b"\xff", "cannot be read")],
)
def test_a_ledger_that_cannot_be_used_is_refused(runs: SmallRuns, text: bytes, said: str) -> None:
    (shop(runs) / "ledger.txt").write_bytes(text)
    ended = run(runs)
    assert (ended.code, said in ended.output) == (4, True)


def test_a_ledger_of_ones_own_is_written(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shop(runs, "@so(level='extended')\ndef test_a(cluster): pass\n" + OWN)
    assert own_ledger.main([str(folder)]) == 0
    assert "2 claims" in capsys.readouterr().out
    assert (folder / "ledger.txt").read_text().splitlines()[1:] == [
        "shop/checkout/a: conformance",
        "shop/checkout/the-shop-is-open: smoke conformance readonly",
    ]
    assert run(runs).code == 0


def test_a_mistake_in_ones_own_code_is_told_by_its_line(runs: SmallRuns) -> None:
    shop(runs, OWN.replace("inspected_one(1)", '{}["key"]'))
    ended = run(runs)
    [message] = [c["message"] for c in ended.report["claims"] if c["verdict"] == "error"]
    assert message.startswith("KeyError: 'key' (test_checkout.py, line ")


# Faults


def test_a_fault_of_ones_own_is_injected_in_its_stage(runs: SmallRuns) -> None:
    (shop(runs) / "faults.py").write_text(FAULT.format(stage="cluster"))
    ended = run(runs, "--inject-fault", "shop-shut")
    assert "The fault shop-shut was injected: The shop is shut." in ended.report["notes"]


def test_a_fault_of_a_stage_that_is_not_tested_is_refused(runs: SmallRuns) -> None:
    (shop(runs) / "faults.py").write_text(FAULT.format(stage="gateway"))
    ended = run(runs, "--inject-fault", "shop-shut")
    said = (
        "--inject-fault shop-shut: it is injected in stage 7 gateway, of which nothing is tested"
    )
    assert (ended.code, said in ended.output) == (4, True), ended.output


def test_a_fault_of_claims_that_nobody_makes_is_refused(runs: SmallRuns) -> None:
    text = FAULT.format(stage="cluster").replace("the-shop-is-open", "the-shop-is-opn")
    (shop(runs) / "faults.py").write_text(text)
    ended = run(runs)
    said = "fault shop-shut fails shop/checkout/the-shop-is-opn: unknown; did you mean shop/check"
    assert (ended.code, said in ended.output) == (4, True), ended.output


def test_own_faults_are_listed(runs: SmallRuns) -> None:
    (shop(runs) / "faults.py").write_text(FAULT.format(stage="shop/checkout"))
    assert "stage shop/checkout  The shop is shut." in run(runs, "--list-faults").output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_there", "faults.py cannot be imported: ModuleNotFoundError: No module"),
        ("FAULTS = 7", "FAULTS must be a list of OwnFault"),
        ("", "FAULTS must be a list of OwnFault"),
        (FAULT.format(stage="checkout"), "stage checkout: unknown; did you mean shop/checkout?"),
        (FAULT.format(stage="cluster") + "FAULTS *= 2", "there is a fault shop-shut already"),
    ],
)
def test_faults_that_cannot_be_used_are_refused(runs: SmallRuns, text: str, said: str) -> None:
    (shop(runs) / "faults.py").write_text(text)
    ended = run(runs)
    assert (ended.code, said in ended.output) == (4, True), ended.output
    assert "Traceback" not in ended.output


def test_a_fault_of_ones_own_has_the_numbers_of_its_stages() -> None:
    stage = Stage(101, "shop/checkout", "Checkout", behind=7)
    own = OwnFault(
        name="shut",
        text="",
        stage="shop/checkout",
        action=None,  # type: ignore[arg-type]  # it is not injected here
        fails=["shop/*"],
        blocks=["traffic"],
        live=True,
    )
    found = faults_of([own], SUITE.with_own([stage]))["shut"]
    assert (found.stage, found.blocks, found.live is not None) == (101, (8,), True)
    assert [one.name for one in SUITE.with_own([stage])][6:8] == ["gateway", "shop/checkout"]
    assert OwnStage().needs == ("cluster",)


def test_a_misspelt_fault_of_ones_own_names_the_nearest(runs: SmallRuns) -> None:
    (shop(runs) / "faults.py").write_text(FAULT.format(stage="cluster"))
    ended = run(runs, "--inject-fault", "shop-shat")
    assert (ended.code, "did you mean shop-shut" in ended.output) == (4, True)
    assert own_faults(()) == ()
