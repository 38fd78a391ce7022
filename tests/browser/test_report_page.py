"""report.html as a browser shows it: whole without scripts and styles, at any width, and alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import DESKTOP, PHONE, Opened, opened

pytest_plugins = ["pytester"]

# What Jenkins sends with the files that a build leaves.
JENKINS = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';"
NO_STYLES = "style-src 'none'"
SCHEMES = ("light", "dark")
OUTSIDE_ITS_PICTURE = """
[...document.querySelectorAll("svg text")].filter(text => {
  const [own, whole] = [text.getBBox(), text.ownerSVGElement.viewBox.baseVal];
  return own.x < 0 || own.x + own.width > whole.width || own.y + own.height > whole.height;
}).map(text => text.textContent)
"""
OUTSIDE_ITS_BOX = """
[...document.querySelectorAll("svg rect.p-box")].flatMap(box => {
  const right = box.getBBox().x + box.getBBox().width;
  return [...box.parentElement.querySelectorAll("text")]
    .filter(text => text.getBBox().x + text.getBBox().width > right)
    .map(text => text.textContent);
})
"""


@contextmanager
def served(folder: Path, policy: str) -> Iterator[str]:
    """The folder over HTTP, with a content security policy."""

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("content-security-policy", policy)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/report.html"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def report_of(report: Path) -> Any:
    return json.loads((report.parent / "report.json").read_text())


def whole(text: str, data: Any) -> list[str]:
    """What of the verdict, the claims and the failures is not to be read."""
    squeezed = " ".join(text.split())
    wanted = [data["headline"], data["verdict"], "rehearsal: the embedded, simulated cluster"]
    wanted += [claim["id"] for claim in data["claims"]]
    wanted += [claim["text"] for claim in data["claims"]]
    for claim in data["claims"]:
        if claim["verdict"] == "failed":
            wanted += [claim["hint"], *claim["look"], claim["source"]]
    wanted += ["Expected ready", "Got Pending", "Context kubelet v1.35.0"]
    wanted += ["app container b: not running", "blocked by stage 2 installation"]
    return [words for words in wanted if " ".join(words.split()) not in squeezed]


def test_it_is_whole(browser: Browser, report: Path) -> None:
    with opened(browser, report.as_uri()) as shown:
        assert whole(shown.text, report_of(report)) == []


def test_it_is_whole_without_scripts(browser: Browser, report: Path) -> None:
    with opened(browser, report.as_uri(), java_script_enabled=False) as shown:
        assert whole(shown.text, report_of(report)) == []


@pytest.mark.parametrize("policy", [NO_STYLES, JENKINS])
def test_it_is_whole_under_a_policy(browser: Browser, report: Path, policy: str) -> None:
    with served(report.parent, policy) as url, opened(browser, url) as shown:
        assert (
            shown.request("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)"
        )
        assert whole(shown.text, report_of(report)) == []
        assert shown.page.locator("svg text", has_text="3 requests").first.is_visible()


def test_it_stands_alone_and_does_not_complain(browser: Browser, report: Path) -> None:
    with opened(browser, report.as_uri()) as shown:
        shown.page.wait_for_load_state("networkidle")
        elsewhere = [url for url in shown.requests if url.partition("?")[0] != report.as_uri()]
        assert elsewhere == []
        assert shown.complaints == []


def test_what_claims_say_is_text_and_nothing_else(browser: Browser, report: Path) -> None:
    with opened(browser, report.as_uri()) as shown:
        assert "A <b>name</b> & more." in shown.text
        assert "<script>alert(1)</script>" in shown.text


# pytest-html's page


def table_of(report: Path) -> str:
    """The address of pytest-html's page beside ours."""
    return (report.parent / "table.html").as_uri()


def rows(shown: Opened) -> list[tuple[str, str]]:
    """Claim and verdict of each row that is shown."""
    ids = shown.page.locator("#results-table .col-testId").all_inner_texts()
    verdicts = shown.page.locator("#results-table .col-verdict").all_inner_texts()
    return list(zip(ids, verdicts, strict=True))


def test_the_table_has_the_verdicts_of_the_run(browser: Browser, report: Path) -> None:
    claims = report_of(report)["claims"]
    with opened(browser, table_of(report)) as shown:
        expected = sorted((c["id"], c["verdict"].replace("-", " ")) for c in claims)
        assert sorted(rows(shown)) == expected
        assert shown.complaints == []


def test_the_report_and_the_table_lead_to_each_other(browser: Browser, report: Path) -> None:
    with opened(browser, report.as_uri()) as shown:
        shown.page.get_by_role("link", name="table.html").click()
        shown.page.get_by_role("link", name="report.html").click()
        assert shown.page.url == report.as_uri()


@pytest.mark.parametrize(
    ("outcome", "verdicts"),
    [("passed", {"passed"}), ("error", {"blocked"}), ("skipped", {"not claimed"})],
)
def test_a_filter_takes_its_rows_away(
    browser: Browser, report: Path, outcome: str, verdicts: set[str]
) -> None:
    with opened(browser, table_of(report)) as shown:
        before = rows(shown)
        shown.page.locator(f'input[data-test-result="{outcome}"]').uncheck()
        gone = set(before) - set(rows(shown))
        assert gone
        assert {verdict for _, verdict in gone} <= verdicts


# How it looks


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [PHONE, {"width": 768, "height": 1024}, DESKTOP])
def test_it_is_no_wider_than_the_screen(
    browser: Browser, report: Path, scheme: str, size: dict[str, int], tmp_path: Path
) -> None:
    phone = size == PHONE
    how = {"viewport": size, "color_scheme": scheme, "is_mobile": phone}
    with opened(browser, report.as_uri(), **how) as shown:
        assert shown.request("document.documentElement.scrollWidth") <= size["width"]
        assert shown.request("innerWidth") == size["width"]
        picture = tmp_path / "page.png"
        shown.page.screenshot(path=picture, full_page=True)
        assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_pictures_can_be_read(browser: Browser, report: Path, scheme: str, media: Any) -> None:
    with opened(browser, report.as_uri(), color_scheme=scheme) as shown:
        shown.page.emulate_media(media=media)
        contrasts = shown.contrasts("svg text", "fill")
        assert len(contrasts) > 10
        assert min(contrasts) >= 4.5


def test_the_pictures_text_stays_in_its_box(browser: Browser, report: Path) -> None:
    with opened(browser, report.as_uri()) as shown:
        assert shown.page.locator("svg rect.p-box").count() == 5
        assert shown.request(OUTSIDE_ITS_BOX) == []
        assert shown.request(OUTSIDE_ITS_PICTURE) == []


def test_the_pictures_are_described_in_words(browser: Browser, report: Path) -> None:
    with opened(browser, report.as_uri()) as shown:
        mesh = shown.page.get_by_role("img", name="The mesh as this run observed it")
        words = mesh.locator("desc").text_content() or ""
        assert "istio-ingressgateway to productpage: 3 requests, mutual TLS" in words
        assert "productpage to reviews: 1 request, 1 not answered" in words
        line = shown.page.get_by_role("img", name="What the run did when")
        assert "The run took" in (line.locator("desc").text_content() or "")


def test_on_paper_all_evidence_is_open(browser: Browser, report: Path) -> None:
    with opened(browser, report.as_uri()) as shown:
        folded = shown.page.get_by_text("log line 59")
        assert not folded.first.is_visible()
        shown.page.emulate_media(media="print")
        assert folded.first.is_visible()
        assert shown.page.pdf().startswith(b"%PDF")
