"""The files of a report, held against one small run whose every part is known."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from fixtures.run.redaction import HIDDEN, Redactor
from reports.data import as_json
from reports.html import page, tone
from reports.junit import as_junit
from reports.model import Run
from reports.statement import as_yaml
from reports.summary import as_markdown
from reports.terminal import failures
from tests.golden import Golden
from tests.small_runs import ROOT, SmallRuns
from tests.unit.runs import good, of_one_cause, run, stopped, unprepared

pytest_plugins = ["pytester"]

GOLDEN = Path(__file__).parent / "golden"


def closed(part: Any) -> Any:
    """The schema without the leave to add things, so that whatever is added is written into it."""
    if isinstance(part, list):
        return [closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    held = {key: closed(one) for key, one in part.items()}
    return {"additionalProperties": False, **held} if part.get("type") == "object" else held


def schema() -> Any:
    return closed(json.loads((ROOT / "reports" / "report.schema.json").read_text()))


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("failed.json", lambda: json.dumps(as_json(run()), indent=2) + "\n"),
        ("failed.xml", lambda: as_junit(run())),
        ("failed.md", lambda: as_markdown(run())),
        ("failed.yaml", lambda: as_yaml(run())),
        ("good.yaml", lambda: as_yaml(good("conformance"))),
        ("stopped.xml", lambda: as_junit(stopped())),
        ("stopped.md", lambda: as_markdown(stopped())),
        ("stopped.yaml", lambda: as_yaml(stopped())),
        ("unprepared.md", lambda: as_markdown(unprepared())),
        ("unprepared.xml", lambda: as_junit(unprepared())),
        ("unprepared.yaml", lambda: as_yaml(unprepared())),
        ("unprepared.txt", lambda: "\n".join(failures(unprepared())) + "\n"),
        ("one_cause.md", lambda: as_markdown(of_one_cause())),
        ("one_cause.txt", lambda: "\n".join(failures(of_one_cause())) + "\n"),
    ],
)
def test_a_report_reads_as_written_down(name: str, made: Any) -> None:
    assert made() == (GOLDEN / name).read_text()


@pytest.mark.parametrize(
    "made",
    [run(), stopped(), unprepared(), of_one_cause(), good("rehearsal"), good("conformance")],
)
def test_the_data_keep_their_schema(made: Run) -> None:
    jsonschema.validate(as_json(made), schema())


def test_the_schema_refuses_a_passed_claim_that_examined_nothing() -> None:
    data = as_json(good("rehearsal"))
    data["claims"][0]["examined"] = 0
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())


def test_a_real_run_keeps_the_schema(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    jsonschema.validate(runs.run().report, schema())


class Text(HTMLParser):
    """The text of a page, with what stands in scripts and styles left out."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.scripts = 0
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self._hidden = tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


def text_of(html: str) -> Text:
    read = Text()
    read.feed(html)
    return read


def test_the_page_needs_no_script_for_its_verdict() -> None:
    read = text_of(page(run()))
    assert read.scripts == 0
    assert run().sentence in read.text
    for result in run().results:
        assert result.claim.text in read.text
        # The cause of what is blocked stands once, at the stage that broke.
        shown = result.message.partition(": ")[0] if result.blocked_by else result.message
        assert shown in read.text
    for words in (
        "kubectl --context small get pods",
        "Read the pod's events.",
        "phase: Pending",
        "coredns",
    ):
        assert words in read.text


def test_the_page_refers_to_nothing_elsewhere() -> None:
    html = page(run())
    assert "http://" not in html
    assert "https://" not in html


def test_what_was_seen_cannot_break_the_page() -> None:
    assert "<app>" not in page(run())
    assert "&lt;app&gt;" in page(run())


@pytest.mark.parametrize("made", [run(), stopped(), good("rehearsal")])
def test_a_rehearsal_is_never_called_conformance(made: Run) -> None:
    everything = text_of(page(made)).text + as_markdown(made) + made.sentence + made.headline
    assert "conforman" not in everything.lower()
    assert "rehears" in everything.lower()
    assert tone(made) != "good"


def test_only_a_real_cluster_is_green(golden: Golden) -> None:
    assert tone(good("conformance")) == "good"
    golden(good("conformance").sentence)


def test_junit_is_never_green_for_what_did_not_end() -> None:
    top = ET.fromstring(as_junit(replace(good("conformance"), complete=False, reason="killed")))
    assert top.get("errors") == "1"
    error = top.find(".//error")
    assert error is not None
    assert error.get("message") == "killed"


def test_junit_survives_what_xml_cannot_hold() -> None:
    bad = replace(run().stages[1].results[0], message="got \x1b[31mred\x00")
    stage = replace(run().stages[1], results=(bad,))
    ET.fromstring(as_junit(replace(run(), stages=(stage,))))


KUBECONFIG = """
users:
- name: admin
  user:
    token: s3cret-t0ken-value
    client-key-data: LS0tLS1CRUdJTiBLRVktLS0tLQ==
"""


@pytest.mark.parametrize(
    "text",
    [
        "the token is s3cret-t0ken-value, really",
        "LS0tLS1CRUdJTiBLRVktLS0tLQ==",
        "-----BEGIN KEY-----",
        "Authorization: Bearer abcdefghijkl",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "https://user:pass1234@registry.example/",
    ],
)
def test_secrets_are_taken_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    redactor = Redactor()
    redactor.learn(tmp_path / "kubeconfig")
    assert HIDDEN in redactor.text(text)
    assert redactor.of({"a": [text]})["a"][0] == redactor.text(text)


def test_secrets_reach_no_file_of_a_run(runs: SmallRuns) -> None:
    runs.claims(
        "01_cluster",
        """
@so()
def test_leaks(cluster):
    print("Authorization: Bearer abcdefghijkl")
    note("Bearer abcdefghijkl")
    raise ClaimFailed("a", expected="b", got="Bearer abcdefghijkl", evidence="Bearer abcdefghijkl")
""",
    )
    ended = runs.run()
    for path in ended.folder.rglob("*.*"):
        assert "abcdefghijkl" not in path.read_text()
    assert "abcdefghijkl" not in ended.output


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("stopped by SIGTERM", "stopped by SIGTERM. This says nothing"),
        ("it does not answer; is it running?", "is it running? This says nothing"),
    ],
)
def test_a_reason_ends_as_a_sentence_does(reason: str, words: str) -> None:
    assert words in replace(stopped(), reason=reason).sentence
