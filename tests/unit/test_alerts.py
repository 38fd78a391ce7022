"""docs/deploy's alerting rules and dashboard: held against the gauges that a run writes.

As data everywhere; by Prometheus' own programs where they are installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import promql_parser
import pytest
import requests
import yaml

from fixtures.claims.waiting import pause
from reports.delivery import deliver, exported
from reports.metrics import PREFIX, TEXTS, samples_of
from tests.small_runs import ROOT, SmallRuns
from tests.unit.receiver import receiving
from tests.unit.runs import good
from tests.unit.test_metrics import everything

pytest_plugins = ["pytester"]

FOLDER = ROOT / "docs" / "deploy" / "prometheus"
RULES = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "docs" / "deploy" / "grafana" / "dashboard.json").read_text())
NEEDED = "needs Prometheus and promtool"
SECONDS = 60


def expressions() -> Iterator[tuple[str, str]]:
    """Each expression of the rules and of the dashboard, with what it is for."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], re.sub(r"\$\w+", ".*", target["expr"])


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each gauge that an expression names, with the labels that it is chosen by."""
    for name, matchers in re.findall(r"(seatrial_\w+)(\{[^}]*\})?", expression):
        yield name.removeprefix(PREFIX), set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


def labels() -> dict[str, set[str]]:
    """The labels of each gauge."""
    return {sample.name: set(sample.labels) for sample in samples_of(everything())}


# As data


@pytest.mark.parametrize(("about", "expression"), list(expressions()))
def test_an_expression_asks_for_what_is_there(about: str, expression: str) -> None:
    promql_parser.parse(expression)
    known = labels()
    assert set(known) == set(TEXTS)
    found = list(selectors(expression))
    assert found, about
    for name, chosen in found:
        assert chosen <= known[name]


def test_an_expression_that_cannot_be_is_noticed() -> None:
    with pytest.raises(ValueError, match="invalid promql"):
        promql_parser.parse("sum(seatrial_run_good) by")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_what_an_alert_says_is_known_of_it(rule: dict[str, Any]) -> None:
    [first, *_] = selectors(rule["expr"])
    said = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    assert "cluster" in said
    assert said <= labels()[first[0]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rehearsal_wakes_nobody(rule: dict[str, Any]) -> None:
    assert 'evidence!="rehearsal"' in rule["expr"]


def test_each_alert_has_a_test_in_which_it_fires() -> None:
    tests = yaml.safe_load((FOLDER / "alerts-test.yaml").read_text())["tests"]
    expected = [case for test in tests for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in expected if case.get("exp_alerts")}
    assert fires == {rule["alert"] for rule in RULES}


def test_the_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_dashboard_takes_whatever_data_source_its_reader_has() -> None:
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(DASHBOARD))) - {"__all"}
    assert used <= variables
    sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert sources == {"${datasource}"}


# By Prometheus itself


@pytest.fixture(scope="module")
def tools() -> dict[str, str]:
    """Where its programs are."""
    found = {name: shutil.which(name) or "" for name in ("prometheus", "promtool")}
    if not all(found.values()):
        pytest.skip(NEEDED)
    return found


def promtool(tools: dict[str, str], *words: str, given: str = "") -> str:
    done = subprocess.run(
        [tools["promtool"], *words],
        cwd=FOLDER,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "words", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts-test.yaml")]
)
def test_promtool_has_nothing_against_the_rules(
    tools: dict[str, str], words: tuple[str, ...]
) -> None:
    assert "SUCCESS" in promtool(tools, *words)


def test_promtool_has_nothing_against_the_metrics(tools: dict[str, str], runs: SmallRuns) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    runs.run()
    text = (runs.folder / "metrics.prom").read_text()
    assert promtool(tools, "check", "metrics", given=text) == ""


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=SECONDS)
        assert answer.ok, answer.text
        return answer.json()["data"]

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self.get("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def value(self, expression: str) -> float | None:
        """What an expression is now."""
        found = self.get("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else None


CONFIGURATION = """
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 250ms}
rule_files: [RULES]
scrape_configs:
- job_name: seatrial
  metrics_path: /metrics.prom
  static_configs: [{targets: ["TARGET"]}]
"""


@contextmanager
def prometheus(command: str, folder: Path, target: str, *more: str) -> Iterator[Prometheus]:
    """Start it on a free port, with our rules, and end it."""
    rules, at = str(FOLDER / "alerts.yaml"), urlsplit(target).netloc
    configuration = CONFIGURATION.replace("RULES", rules).replace("TARGET", at)
    (folder / "prometheus.yml").write_text(configuration)
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [
                command,
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--web.listen-address=127.0.0.1:0",
                *more,
            ],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        said = re.compile(r'msg="Listening on".* address="?(127\.0\.0\.1:[1-9]\d*)')
        [address] = until(lambda: said.findall(log.read_text()))
        found = Prometheus(f"http://{address}")
        until(lambda: requests.get(f"{found.url}/-/ready", timeout=SECONDS).ok)
        yield found
    finally:
        process.terminate()
        process.wait(SECONDS)


def until(check: Callable[[], Any]) -> Any:
    """What a check finds once it does."""
    deadline = monotonic() + SECONDS
    while not (found := check()):
        assert monotonic() < deadline
        pause(0.05)
    return found


TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PASSING = "@so()\ndef test_a(cluster): inspected_one(1)\n"
FAILING = """
@so()
def test_a(cluster):
    raise ClaimFailed("host shop.example", expected="200", got="503")
"""


@pytest.mark.parametrize("content_type", [TEXT, OPENMETRICS], ids=["text", "openmetrics"])
def test_what_breaks_is_noticed_the_same_night(
    tools: dict[str, str], runs: SmallRuns, tmp_path: Path, content_type: str
) -> None:
    runs.begin(evidence="conformance")
    metrics = runs.folder / "metrics.prom"

    def night(source: str) -> None:
        runs.claims("01_cluster", source)
        runs.run()

    night(PASSING)
    with (
        receiving(serves=metrics.read_bytes, content_type=content_type) as served,
        prometheus(tools["prometheus"], tmp_path, served.url) as server,
    ):
        until(lambda: server.value("seatrial_run_good") == 1)
        assert server.firing() == set()
        night(FAILING)
        night(FAILING)
        until(lambda: server.firing() == {"SeatrialClaimFailing", "SeatrialRunFailed"})
        until(lambda: server.value("seatrial_claim_failing_runs") == 2)
        [text] = {
            one["annotations"]["summary"]
            for one in server.get("alerts")["alerts"]
            if one["labels"]["alertname"] == "SeatrialClaimFailing"
        }
        assert "cluster/a is red since" in text
        for _, expression in expressions():
            server.get("query", query=expression)
        night(PASSING)
        until(lambda: "SeatrialRunFailed" not in server.firing())


def test_what_is_sent_as_otlp_is_what_is_scraped(tools: dict[str, str], tmp_path: Path) -> None:
    flag = "web.enable-otlp-receiver"
    known = subprocess.run(
        [tools["prometheus"], "--help"], capture_output=True, text=True, check=False
    )
    if flag not in known.stdout + known.stderr:
        pytest.skip(f"{NEEDED}: this one is older than 3.0, and takes no OTLP")
    whole = good("conformance")
    ended_now = datetime.now(UTC) - timedelta(seconds=whole.seconds)
    made = replace(whole, started=ended_now)
    with prometheus(tools["prometheus"], tmp_path, "http://127.0.0.1:1", f"--{flag}") as server:
        url = f"{server.url}/api/v1/otlp/v1/metrics"
        message = exported(made, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": url})
        assert message
        assert deliver([message]) == []
        for sample in samples_of(made):
            chosen = ", ".join(f"{key}={json.dumps(text)}" for key, text in sample.labels.items())
            expression = f"{PREFIX}{sample.name}{{{chosen}}}"
            assert server.value(expression) == sample.value, expression
