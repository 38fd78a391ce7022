"""`python -m reports compare`: what changed between two runs, in three forms."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fixtures.claims import Observation
from fixtures.claims.waiting import Wait
from fixtures.run.state import Result
from reports.__main__ import main
from reports.compare import as_html, as_markdown, as_text
from reports.data import as_json
from reports.differences import Comparison, compare
from reports.model import Run
from reports.stored import Stored
from tests.unit.runs import good, run, stopped

GOLDEN = Path(__file__).parent / "golden"


def stored(made: Run, name: str) -> Stored:
    return Stored.parse(json.dumps(as_json(made)).encode(), name)


def before() -> Run:
    """A good run over a real cluster, of all claims of the small one."""
    whole = run()
    stages = tuple(
        replace(s, results=tuple(map(held, s.results)), broken=None) for s in whole.stages
    )
    subject = replace(whole.subject, evidence="conformance", istio="1.30.3")
    return replace(whole, subject=subject, stages=stages, exit_code=0, missing=())


def held(result: Result) -> Result:
    return replace(result, verdict="passed", inspected=6, message="", blocked_by="")


def after() -> Run:
    """The small run itself, which is worse in every respect."""
    whole = run()
    cluster = whole.stages[0]
    first = replace(
        cluster.results[0],
        inspected=1,
        observations=(
            Observation("image", "istiod", "docker.io/istio/pilot:1.31.0@sha256:bb22"),
            Observation("argument", "istio-init -p", "15001"),
            Observation("argument", "istio-init -q", "80"),
        ),
    )
    stages = (replace(cluster, results=(first, *cluster.results[1:2])), *whole.stages[1:])
    waits = (Wait("pods become ready", 0, 20.0, 120, met=True),)
    return replace(whole, stages=stages, waits=waits)


def compared(**how: bool) -> Comparison:
    return compare(stored(before(), "old"), stored(after(), "new"), **how)


def names(found: Comparison, title: str) -> list[str]:
    return [c.name for s in found.sections if s.title == title for c in s.changes]


@pytest.mark.parametrize(
    ("name", "form"),
    [("compared.txt", as_text), ("compared.md", as_markdown), ("compared.html", as_html)],
)
def test_a_comparison_reads_as_written_down(name: str, form: Any) -> None:
    assert form(compared()) == (GOLDEN / name).read_text()


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Regressions", ["sample/six-pods-run", "gateway/each-route[login]"]),
        ("Lost claims", ["cluster/egress", "cluster/dns"]),
        ("Fewer objects inspected", ["cluster/every-node-is-ready"]),
        ("Slower waits", ["pods become ready"]),
        ("Subject", ["Istio", "evidence"]),
        (
            "Defaults of Istio",
            [
                "spans of a request through a gateway, by the Telemetry API",
                "endpoints of pods that are not ready",
                "the reply to a request whose HTTPRoute rule names no backend",
                "condition Accepted of a Gateway with invalid listeners",
            ],
        ),
        ("Images", ["istiod"]),
        ("Arguments", ["istio-init -q"]),
        ("Webhooks", ["rev.namespace.sidecar-injector.istio.io of istio-sidecar-injector"]),
        ("Fixes", []),
    ],
)
def test_each_thing_that_changed_is_listed(title: str, found: list[str]) -> None:
    assert names(compared(), title) == found


def test_the_other_way_round_it_is_better() -> None:
    found = compare(stored(after(), "old"), stored(before(), "new"))
    assert not found.regressed
    assert names(found, "Fixes") == ["sample/six-pods-run", "gateway/each-route[login]"]
    assert names(found, "New claims") == ["cluster/egress", "cluster/dns"]


def test_a_run_beside_itself_differs_in_nothing() -> None:
    same = stored(good("conformance"), "same")
    found = compare(same, same, require_all=True)
    assert (found.changed, found.caveats, found.regressed) == ((), (), False)
    assert "Nothing differs." in as_html(found)


def test_lost_claims_are_a_regression_for_who_requires_all() -> None:
    whole = good("conformance")
    fewer = replace(whole, stages=(replace(whole.stages[0], results=()),))
    pair = stored(whole, "old"), stored(fewer, "new")
    assert not compare(*pair).regressed
    assert compare(*pair, require_all=True).regressed


def test_what_did_not_end_is_reported() -> None:
    found = compare(stored(good("conformance"), "old"), stored(stopped(), "new"))
    assert [c for c in found.caveats if "NEW is INCOMPLETE" in c]


def test_a_run_that_did_not_come_to_its_first_claim_is_a_regression() -> None:
    new = replace(stopped(), stages=())
    found = compare(stored(good("conformance"), "old"), stored(new, "new"))
    assert found.regressed
    assert names(found, "Regressions") == ["the run"]


def test_a_little_slower_is_not_slower() -> None:
    def waited(seconds: float) -> Stored:
        wait = Wait("pods become ready", 0, seconds, 120, met=True)
        return stored(replace(good("conformance"), waits=(wait,)), "a")

    assert not names(compare(waited(2.0), waited(3.9)), "Slower waits")
    assert not names(compare(waited(60.0), waited(70.0)), "Slower waits")
    assert names(compare(waited(2.0), waited(4.0)), "Slower waits")


def test_an_older_form_is_read_and_what_it_lacks_is_reported() -> None:
    old = Stored.read(GOLDEN / "form1.json")
    found = compare(old, stored(after(), "new"))
    assert old.form == 1
    assert any("OLD is of an older form" in caveat for caveat in found.caveats)
    assert names(found, "Images") == []
    assert names(found, "Still failing") == ["sample/six-pods-run", "gateway/each-route[login]"]


class Page(HTMLParser):
    """What a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href"}]


def test_the_page_needs_nothing_from_elsewhere_and_holds_no_markup_of_others() -> None:
    whole = after()
    sample = replace(whole.stages[1].results[0], message="<script>alert(1)</script>")
    stages = (whole.stages[0], replace(whole.stages[1], results=(sample,)), whole.stages[2])
    page = Page()
    page.feed(
        as_html(compare(stored(before(), "<b>"), stored(replace(whole, stages=stages), "n")))
    )
    assert "script" not in page.tags
    assert page.links == []


def test_the_text_cannot_steer_a_terminal() -> None:
    whole = replace(before(), subject=replace(before().subject, istio="1.30\x1b[2J\x9b"))
    text = as_text(compare(stored(whole, "old"), stored(after(), "new")))
    assert all(line.isprintable() for line in text.splitlines())


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """Both runs as files."""
    for name, made in (("old", before()), ("new", after())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(as_json(made)))
    return str(tmp_path / "old"), str(tmp_path / "new" / "report.json")


def test_the_command_ends_with_1_on_a_regression(
    two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = two
    assert main(["compare", old, new]) == 1
    assert capsys.readouterr().out.startswith("2 regressions, ")
    assert main(["compare", new, old]) == 0
    assert main(["compare", old, old]) == 0


@pytest.mark.parametrize(
    ("form", "begins"), [("text", "2 reg"), ("markdown", "# S"), ("html", "<!D")]
)
def test_the_command_writes_each_form_into_a_file(
    two: tuple[str, str], tmp_path: Path, form: str, begins: str
) -> None:
    file = tmp_path / "compared"
    assert main(["compare", *two, "--format", form, "--output", str(file)]) == 1
    assert file.read_text().startswith(begins)


def damaged(**changes: Any) -> bytes:
    return json.dumps(as_json(run()) | changes).encode()


CLAIM: dict[str, Any] = as_json(run())["claims"][0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "cannot be read (No such file", id="absent"),
        pytest.param(b"", "is no JSON", id="empty"),
        pytest.param(b"\xff\xfe", "is no JSON", id="no text"),
        pytest.param(b"[" * 100_000, "Expected `object`, got `array`", id="deep"),
        pytest.param(b"[]", "no whole report", id="a list"),
        pytest.param(b"{}", "missing required field `schema`", id="something else"),
        pytest.param(b"null", "no whole report", id="null"),
        pytest.param(damaged(schema=99), "is of form 99", id="a newer form"),
        pytest.param(damaged(schema=0), "no form 0", id="no such form"),
        pytest.param(damaged(started="noon"), "encoded datetime - at `$.started`", id="no time"),
        pytest.param(damaged(schema="2"), "got `str` - at `$.schema`", id="a form in words"),
        pytest.param(damaged(claims=None), "Expected `array`, got `null`", id="no claims"),
        pytest.param(damaged(claims=[CLAIM, CLAIM]), "a claim twice", id="a claim twice"),
        pytest.param(
            damaged(claims=[7]),
            "Expected `object`, got `int` - at `$.claims[0]`",
            id="a claim that is none",
        ),
        pytest.param(
            damaged(claims=[CLAIM | {"verdict": "fine"}]),
            "Invalid enum value 'fine'",
            id="a verdict",
        ),
        pytest.param(
            damaged(claims=[CLAIM | {"examined": True}]), "got `bool`", id="true as number"
        ),
        pytest.param(damaged(subject={}), "missing required field `istio`", id="no subject"),
        pytest.param(
            damaged(waits=[{"what": "a", "used": "b"}]), "no whole", id="a wait in words"
        ),
        pytest.param(damaged(waits=[{"what": "a", "used": None}]), "no whole", id="no wait"),
        pytest.param(damaged(waits=[7]), "no whole", id="a wait that is none"),
        pytest.param(
            damaged(waits=[{"what": "a", "used": 1e999}]), "is no JSON", id="an endless wait"
        ),
        pytest.param(
            damaged(seen={"image": []}), "Expected `object`, got `array`", id="seen in a list"
        ),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    file = tmp_path / "report.json"
    if content is not None:
        file.write_bytes(content)
    assert main(["compare", str(file), str(file)]) == 4
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
    assert str(file) in line


def test_a_place_that_cannot_be_written_is_one_line(
    two: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *two, "--output", str(tmp_path / "none" / "file")]) == 4
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["compare"], ["compare", "a", "b", "--format", "pdf"]])
def test_a_command_line_that_cannot_be_ends_with_2(command: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
