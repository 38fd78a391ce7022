"""junit.xml as Jenkins and GitHub read it: in its schema, and never green for what is not so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from fixtures.run.state import Verdict
from reports.junit import as_junit
from reports.model import EXIT_WORDS, Run
from tests.small_runs import SmallRuns
from tests.unit.runs import good, run, stopped

pytest_plugins = ["pytester"]

SCHEMA = xmlschema.XMLSchema(Path(__file__).parent / "junit.xsd")
HOSTILE = "]]> <failure/> & \x00\x1b[31m \ud800 \U0001f6a2 " + "x" * 10_000


def red(text: str) -> int:
    """How many cases a reader of JUnit shows as failed."""
    return sum(
        case.find("failure") is not None or case.find("error") is not None
        for case in ET.fromstring(text).iter("testcase")
    )


def with_verdict(verdict: Verdict, exit_code: int) -> Run:
    """A run of one claim that got this verdict."""
    whole = good("conformance")
    result = replace(whole.results[0], verdict=verdict, message="because")
    stage = replace(whole.stages[0], results=(result,))
    return replace(whole, stages=(stage,), exit_code=exit_code)


def hostile() -> Run:
    whole = run()
    results = tuple(
        replace(a, message=HOSTILE, notes=(HOSTILE,), next_steps=(HOSTILE,))
        for a in whole.stages[0].results
    )
    return replace(whole, stages=(replace(whole.stages[0], results=results),), reason=HOSTILE)


@pytest.mark.parametrize(
    "made",
    [run, stopped, hostile, lambda: good("conformance"), lambda: replace(stopped(), stages=())],
    ids=["failed", "stopped", "hostile", "good", "nothing tested"],
)
def test_it_keeps_the_schema(made: Callable[[], Run]) -> None:
    SCHEMA.validate(as_junit(made()))


def test_the_schema_refuses_a_suite_that_does_not_say_its_failures() -> None:
    text = as_junit(run()).replace(' failures="1" errors="0"', "", 1)
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        SCHEMA.validate(text)


def test_the_counts_are_those_of_the_cases() -> None:
    top = ET.fromstring(as_junit(stopped()))
    for suite in top:
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(count) == str(len(suite.findall(f"testcase/{tag}")))
    for count in ("tests", "failures", "errors"):
        assert top.get(count) == str(sum(int(suite.get(count, "")) for suite in top))


@pytest.mark.parametrize("verdict", ["failed", "blocked", "error"])
def test_no_bad_verdict_is_green(verdict: Verdict) -> None:
    assert red(as_junit(with_verdict(verdict, 12))) == 1


def test_a_stage_is_a_suite_and_the_message_is_in_the_body() -> None:
    top = ET.fromstring(as_junit(run()))
    failure = top.find("testsuite[@name='03 sample']/testcase/failure")
    assert failure is not None
    assert failure.text is not None
    assert run().results[3].message in failure.text


@pytest.mark.parametrize("code", sorted(set(EXIT_WORDS) - {0}))
def test_a_run_with_an_exit_code_is_not_green(code: int) -> None:
    text = as_junit(replace(good("conformance"), exit_code=code))
    SCHEMA.validate(text)
    assert red(text) == 1
    assert EXIT_WORDS[code] in text


def test_not_claimed_is_skipped_and_the_run_green() -> None:
    text = as_junit(with_verdict("not-claimed", 0))
    assert red(text) == 0
    assert ET.fromstring(text).find(".//skipped") is not None


def test_a_missing_claim_is_a_case_of_its_own() -> None:
    text = as_junit(replace(good("conformance"), exit_code=12, missing=("gateway/a", "gateway/b")))
    assert red(text) == 2
    assert "gateway/b is required by the ledger" in text


def test_that_of_a_real_run_keeps_the_schema(runs: SmallRuns) -> None:
    source = "@so()\ndef test_a(cluster): inspected_one(1)\n"
    source += '@so()\ndef test_b(cluster): raise ClaimFailed("a", expected="b", got="c")\n'
    runs.claims("01_cluster", source)
    text = (runs.run().folder / "junit.xml").read_text()
    SCHEMA.validate(text)
    assert red(text) == 1
