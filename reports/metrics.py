"""metrics.prom: the run as gauges for Prometheus.

The file is in the text format and valid OpenMetrics at once: it holds gauges only, no timestamps,
no suffix that one of the two knows otherwise, and ends with `# EOF`, which the older format takes
for a comment. So node_exporter's textfile collector, a Pushgateway and whatever reads OpenMetrics
take the same file. What is a timestamp or a version is so by Prometheus' own custom: days that are
left and ages are computed where they are shown, when they are shown. How it is sent is the
business of `reports.delivery`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reports.model import Run

if TYPE_CHECKING:
    from prometheus_client.core import CollectorRegistry, Metric

NAME = "metrics.prom"
# What a run may cost those who keep it; what is least needed is left out.
MOST_BYTES = 200_000
# What stands above the samples and below them.
HEADS = 8_000
PREFIX = "seatrial_"
UNTIL = "until "
# By name without the prefix: what it is, and its unit where it has one.
TEXTS = {
    "run_info": "The versions of the run, as labels; its value is 1.",
    "run_good": "Whether all required claims were tested and passed, in a run of all claims.",
    "run_complete": "Whether the run came to its end.",
    "run_partial": "Whether the user narrowed the run to some claims.",
    "run_exit_code": "The exit code of the run; docs/reading-a-failure.md lists them.",
    "run_start_timestamp_seconds": "When the run began.",
    "run_duration_seconds": "How long the run took.",
    "last_good_run_timestamp_seconds": "When the last good run began; absent where none is known.",
    "samples_left_out": "How many samples were left out of a run that has too many.",
    "component_info": "The version of a component of the mesh, as a label; its value is 1.",
    "certificate_expiry_timestamp_seconds": "The day on which a certificate ends.",
    "stage_claims": "How many claims of a stage got a verdict.",
    "stage_preparation_seconds": "How long the preparation of a stage took.",
    "claim_verdict": "The verdict of a claim, as a label; its value is 1.",
    "claim_failing_runs": "In how many runs in a row a claim failed, this one included.",
    "claim_failing_since_timestamp_seconds": "When the first of these runs began.",
    "claim_duration_seconds": "How long a claim took, without the preparation of its stage.",
    "claim_inspected": "How many objects a claim inspected.",
}


@dataclass(frozen=True)
class Sample:
    """One value under a name of `TEXTS`."""

    name: str
    labels: Mapping[str, str]
    value: float

    @property
    def size(self) -> int:
        """As many bytes as its line takes at most."""
        labels = json.dumps(self.labels, ensure_ascii=False)
        return len(f"{PREFIX}{self.name}{labels} {self.value!r}\n".encode(errors="replace"))


def samples_of(run: Run) -> tuple[Sample, ...]:
    """The run's samples, each with the labels that tell one subject from another."""
    every = common(run)
    room, kept, left_out = MOST_BYTES - HEADS, [], 0
    for name, labels, value in _all(run):
        sample = Sample(name, every | labels, float(value))
        room -= sample.size
        if room >= 0:
            kept.append(sample)
        else:
            left_out += 1
    return (*kept, Sample("samples_left_out", every, left_out))


def common(run: Run) -> dict[str, str]:
    """The labels of every sample."""
    subject = run.subject
    cluster = subject.cluster or subject.provider
    return {"cluster": cluster, "profile": subject.profile, "evidence": subject.evidence}


Found = Iterator[tuple[str, dict[str, str], float]]


def _all(run: Run) -> Found:
    """Every sample, what is needed most first."""
    yield from _of_run(run)
    yield from _of_certificates(run.seen["certificate"])
    yield from _of_stages(run)
    results = sorted(run.results, key=lambda result: run.streak(result) is None)
    about = [(r, {"claim": r.claim.id, "stage": r.claim.stage.name}) for r in results]
    for result, labels in about:
        verdict = result.verdict if result.tested else "not-tested"
        yield "claim_verdict", labels | {"level": result.claim.level, "verdict": verdict}, 1
    for result, labels in about:
        if streak := run.streak(result):
            yield "claim_failing_runs", labels, streak.runs
            yield "claim_failing_since_timestamp_seconds", labels, _moment(streak.since)
    for result, labels in about:
        yield "claim_duration_seconds", labels, round(result.seconds, 3)
        yield "claim_inspected", labels, result.inspected


def _of_run(run: Run) -> Found:
    subject, versions = run.subject, run.seen["version"]
    info = {"istio": subject.istio, "kubernetes": subject.kubernetes, "provider": subject.provider}
    info |= {"data_plane": subject.data_plane}
    yield "run_info", info | {"suite": run.suite, "fault": subject.fault}, 1
    yield "run_good", {}, run.good and not run.partial
    yield "run_complete", {}, run.complete
    yield "run_partial", {}, run.partial
    yield "run_exit_code", {}, run.exit_code
    yield "run_start_timestamp_seconds", {}, _moment(run.begun)
    yield "run_duration_seconds", {}, round(run.seconds, 3)
    if run.last_good:
        yield "last_good_run_timestamp_seconds", {}, _moment(run.last_good)
    for component, version in versions.items():
        yield "component_info", {"component": component, "version": version}, 1


def _of_certificates(ends: Mapping[str, str]) -> Found:
    """The earliest day that was seen of each certificate, those that end first before others."""
    first = {name: min(value.split(", ")).removeprefix(UNTIL) for name, value in ends.items()}
    for name, day in sorted(first.items(), key=lambda item: item[1]):
        yield "certificate_expiry_timestamp_seconds", {"certificate": name}, _moment(day)


def _of_stages(run: Run) -> Found:
    for stage in run.stages:
        name = {"stage": stage.stage.name}
        counts = Counter(r.verdict if r.tested else "not-tested" for r in stage.results)
        for verdict, count in counts.items():
            yield "stage_claims", name | {"verdict": verdict}, count
        if stage.prepared is not None:
            yield "stage_preparation_seconds", name, round(stage.prepared, 3)


def _moment(text: str) -> float:
    """Seconds since 1970 of a day or a moment; a day begins as everywhere else in UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def as_prometheus(run: Run) -> str:
    """The file's text."""
    from prometheus_client.openmetrics.exposition import generate_latest  # noqa: PLC0415  # slower than all reports

    text: str = generate_latest(registry(run)).decode()  # type: ignore[no-untyped-call]  # it is not typed
    return text


def registry(run: Run) -> CollectorRegistry:
    """The samples, as the library takes them."""
    from prometheus_client.core import CollectorRegistry, GaugeMetricFamily  # noqa: PLC0415  # slower than all reports

    families = {name: GaugeMetricFamily(PREFIX + name, text) for name, text in TEXTS.items()}
    for sample in samples_of(run):
        families[sample.name].add_sample(PREFIX + sample.name, {**sample.labels}, sample.value)

    class Samples:
        """What was found once and for all."""

        def collect(self) -> Iterable[Metric]:
            return [family for family in families.values() if family.samples]

    made = CollectorRegistry()
    made.register(Samples())
    return made
