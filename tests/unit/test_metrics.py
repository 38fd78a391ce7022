"""metrics.prom: what it says, that both formats read it, and that it stays small."""

from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from fixtures.claims import Observation
from fixtures.run.state import Result
from reports.metrics import MOST_BYTES, PREFIX, TEXTS, as_prometheus, samples_of
from reports.model import Run, StageRun
from reports.past import Past, Streak
from tests.small_runs import SmallRuns
from tests.unit.runs import claim, good, run, stopped

pytest_plugins = ["pytester"]

Key = tuple[str, tuple[tuple[str, str], ...]]
EARLIER = "2026-11-20T21:00:00+00:00"
SECONDS_OF_EARLIER = 1795208400.0


def read(made: Run, parser: Any = text_format) -> dict[Key, float]:
    """The samples as a reader of one of the formats takes them."""
    return of(as_prometheus(made), parser)


def of(text: str, parser: Any) -> dict[Key, float]:
    families = list(parser(text))
    assert all(family.type == "gauge" for family in families)
    return {
        (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def one(made: Run, name: str, **labels: str) -> float | None:
    """The value of the only sample of this name with these labels."""
    found = [
        value
        for (its, held), value in read(made).items()
        if its == name and labels.items() <= dict(held).items()
    ]
    assert len(found) <= 1
    return found[0] if found else None


def odd() -> Run:
    """A run whose texts hold what either format must escape."""
    whole = run()
    first = replace(
        whole.stages[0].results[0], claim=claim("cluster", 'a "b" \\n\nc\\', "It is so.")
    )
    return replace(whole, stages=(replace(whole.stages[0], results=(first,)),))


@pytest.mark.parametrize("made", [run(), stopped(), good("conformance"), odd()])
def test_both_formats_read_the_same(made: Run) -> None:
    assert read(made, text_format) == read(made, openmetrics)
    assert as_prometheus(made).endswith("# EOF\n")


def test_what_is_written_is_what_is_meant() -> None:
    assert len(read(run())) == len(samples_of(run()))


def test_every_sample_says_whose_it_is() -> None:
    made = replace(run(), subject=replace(run().subject, cluster="staging"))
    for _, labels in read(made):
        assert {"cluster": "staging", "profile": "smoke", "evidence": "rehearsal"}.items() <= dict(
            labels
        ).items()


@pytest.mark.parametrize(
    ("made", "name", "value"),
    [
        (good("conformance"), "run_good", 1),
        (replace(good("conformance"), partial=True), "run_good", 0),
        (replace(good("conformance"), partial=True), "run_partial", 1),
        (run(), "run_good", 0),
        (run(), "run_complete", 1),
        (stopped(), "run_complete", 0),
        (run(), "run_exit_code", 1),
        (run(), "run_duration_seconds", 12.25),
        (run(), "run_start_timestamp_seconds", run().started.timestamp()),
        (run(), "last_good_run_timestamp_seconds", None),
        (
            good("conformance"),
            "last_good_run_timestamp_seconds",
            good("conformance").started.timestamp(),
        ),
        (
            replace(run(), past=Past(EARLIER)),
            "last_good_run_timestamp_seconds",
            SECONDS_OF_EARLIER,
        ),
        (run(), "samples_left_out", 0),
    ],
)
def test_the_run(made: Run, name: str, value: float | None) -> None:
    assert one(made, name) == value


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("cluster/every-node-is-ready", "passed"),
        ("cluster/egress", "not-claimed"),
        ("cluster/dns", "error"),
        ("sample/six-pods-run", "failed"),
        ("gateway/each-route[login]", "blocked"),
    ],
)
def test_each_claim_has_its_verdict(name: str, verdict: str) -> None:
    assert one(run(), "claim_verdict", claim=name, verdict=verdict) == 1


def test_a_claim_that_was_not_tested_did_not_fail() -> None:
    failed = run().stages[1].results[0]
    untested = replace(failed, verdict="error", tested=False)
    made = replace(stopped(), stages=(replace(run().stages[1], results=(untested,)),))
    assert one(made, "claim_verdict", verdict="not-tested") == 1
    assert one(made, "claim_failing_runs") is None


def test_a_claim_that_fails_again_is_counted() -> None:
    past = Past(streaks={"sample/six-pods-run": Streak(EARLIER, 2)})
    made = replace(run(), past=past)
    of_it = {"claim": "sample/six-pods-run"}
    assert one(made, "claim_failing_runs", **of_it) == 3
    assert one(made, "claim_failing_since_timestamp_seconds", **of_it) == SECONDS_OF_EARLIER
    assert one(made, "claim_failing_runs", claim="cluster/dns") == 1


def test_a_certificate_ends_when_the_first_of_its_name_does() -> None:
    whole = run()
    first = whole.stages[0].results[0]
    seen = tuple(Observation("certificate", "istiod", f"until 2027-0{n}-01") for n in (3, 2))
    stage = replace(whole.stages[0], results=(replace(first, observations=seen),))
    made = replace(whole, stages=(stage,))
    name = "certificate_expiry_timestamp_seconds"
    assert one(made, name, certificate="istiod") == 1801440000.0  # 2027-02-01


def test_a_run_of_a_thousand_claims_stays_small_and_says_what_it_left_out() -> None:
    results = tuple(
        Result(
            claim("cluster", f"a-claim-with-quite-a-long-name-{n}[{'ü' * 20}]", "So."),
            "failed" if n == 999 else "passed",
            message="no" if n == 999 else "",
        )
        for n in range(1000)
    )
    made = replace(run(), stages=(StageRun(run().stages[0].stage, results, 1.0, None),))
    text = as_prometheus(made)
    assert len(text.encode()) <= MOST_BYTES
    assert one(made, "samples_left_out") == 3 * 1000 + 2 - sum(
        name.startswith("claim_") for name, _ in read(made)
    )
    assert one(made, "claim_failing_runs") is None or one(made, "claim_verdict", verdict="failed")
    assert one(made, "claim_verdict", verdict="failed") == 1
    assert read(made, openmetrics) == read(made)


def test_a_run_of_two_hundred_claims_is_told_whole() -> None:
    results = tuple(
        Result(claim("cluster", f"a-claim-of-{n}", "So."), "passed", 0.1234, 3) for n in range(200)
    )
    made = replace(run(), stages=(StageRun(run().stages[0].stage, results, 1.0, None),))
    assert one(made, "samples_left_out") == 0


def everything() -> Run:
    """A run of which everything is known that there is a gauge for."""
    past = Past(EARLIER, {"sample/six-pods-run": Streak(EARLIER, 2)})
    whole = replace(run(), past=past)
    first = whole.stages[0].results[0]
    seen = (
        Observation("certificate", "istiod", "until 2027-02-01"),
        Observation("version", "istiod", "1.31.0"),
    )
    stage = replace(whole.stages[0], results=(replace(first, observations=seen),))
    return replace(whole, stages=(stage, *whole.stages[1:]))


def test_each_name_has_a_sample_somewhere() -> None:
    """A text for what is never written would be a promise that nobody keeps."""
    assert {name for name, _ in read(everything())} == set(TEXTS)


# Whole runs


COPYING = """
import shutil

@so()
def test_a(cluster):
    inspected_one(1)
    shutil.copy("reports/out/metrics.prom", "seen.prom")
"""
PASSING = "@so()\ndef test_a(cluster): inspected_one(1)\n"
FAILING = "@so()\ndef test_a(cluster):\n    raise ClaimFailed('a', expected='b', got='c')\n"


def value(runs: SmallRuns, name: str) -> float | None:
    text = (runs.folder / "metrics.prom").read_text()
    return next((value for (its, _), value in of(text, openmetrics).items() if its == name), None)


def test_the_last_good_run_is_carried_over(runs: SmallRuns) -> None:
    runs.claims("01_cluster", PASSING)
    runs.run()
    good = value(runs, "last_good_run_timestamp_seconds")
    assert good == value(runs, "run_start_timestamp_seconds")
    runs.claims("01_cluster", FAILING)
    for failing in (1, 2):
        runs.run()
        assert value(runs, "last_good_run_timestamp_seconds") == good
        assert value(runs, "claim_failing_runs") == failing
        assert value(runs, "run_good") == 0


def test_a_run_of_another_profile_is_not_of_the_same_subject(runs: SmallRuns) -> None:
    runs.claims("01_cluster", PASSING)
    runs.run()
    runs.claims("01_cluster", FAILING)
    runs.run("--profile", "conformance")
    assert value(runs, "last_good_run_timestamp_seconds") is None


def test_during_a_run_the_last_ones_gauges_stand(runs: SmallRuns) -> None:
    runs.claims("01_cluster", COPYING)
    runs.run()
    seen = runs.folder.parents[1] / "seen.prom"
    assert "seatrial_run_complete{" in seen.read_text()
    assert value(runs, "run_complete") == 1
    before = (runs.folder / "metrics.prom").read_text()
    runs.run()
    assert seen.read_text() == before
