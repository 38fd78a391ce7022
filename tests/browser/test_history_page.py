"""The page of many runs as a browser shows it: readable at any width, on paper, and alone."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from reports.history import histories, page
from tests.browser.chromium import DESKTOP, PHONE, opened
from tests.unit.test_history import CLAIM, of, stored

SCHEMES = ("light", "dark")


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A claim that turned with another version of Istio, and one cluster where nothing did."""
    nights = [of("g", day) for day in range(20)]
    nights += [of("r", day, image="b", istio="1.31.0") for day in range(20, 23)]
    others = [of("g", day, cluster="production") for day in range(20)]
    path = tmp_path / "history.html"
    path.write_text(page(histories(stored(*nights, *others)), wrong=["a/report.json: is no JSON"]))
    return path


@pytest.mark.parametrize("scripts", [True, False])
def test_it_says_everything(browser: Browser, drawn: Path, scripts: bool) -> None:  # noqa: FBT001  # two cases
    with opened(browser, drawn.as_uri(), java_script_enabled=scripts) as shown:
        words = " ".join(shown.text.split())
        for expected in (
            "43 runs of 2 subjects",
            "x, profile smoke: Failed, 1 claim red; last good run 2026-12-12 21:00",
            "production, profile smoke: Passed, no claim red",
            "red since 3 runs · first red 2026-12-13 21:00 · last green 2026-12-12 21:00",
            f"red: {CLAIM} Subject Istio: 1.30.3 → 1.31.0",
            "a/report.json: is no JSON",
        ):
            assert expected in words
        assert shown.complaints == []
        assert [url for url in shown.requests if url.partition("#")[0] != drawn.as_uri()] == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [PHONE, {"width": 768, "height": 1024}, DESKTOP])
def test_it_is_no_wider_than_the_screen(
    browser: Browser, drawn: Path, scheme: str, size: dict[str, int]
) -> None:
    how = {"viewport": size, "color_scheme": scheme, "is_mobile": size == PHONE}
    with opened(browser, drawn.as_uri(), **how) as shown:
        assert shown.request("document.documentElement.scrollWidth") <= size["width"]
        strip = shown.page.get_by_role("img", name=CLAIM).first.bounding_box()
        assert strip
        assert strip["width"] > 250


@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_can_be_read(browser: Browser, drawn: Path, scheme: str, media: Any) -> None:
    with opened(browser, drawn.as_uri(), color_scheme=scheme) as shown:
        shown.page.emulate_media(media=media)
        contrasts = shown.contrasts(".h-row p, .h-turn p, .h-axis, .h-key", "color")
        assert len(contrasts) > 10
        assert min(contrasts) >= 4.5


def test_on_paper_the_durations_are_there(browser: Browser, drawn: Path) -> None:
    with opened(browser, drawn.as_uri()) as shown:
        shown.page.emulate_media(media="print")
        assert shown.page.get_by_role("img", name="sample, seconds by run").first.is_visible()
        assert shown.page.pdf().startswith(b"%PDF")


def test_red_is_told_from_green_without_colours(browser: Browser, drawn: Path) -> None:
    with opened(browser, drawn.as_uri()) as shown:
        strip = shown.page.get_by_role("img", name=CLAIM).first
        tall = {
            mark: strip.locator(f"rect.m-{mark}").first.get_attribute("height")
            for mark in ("passed", "failed")
        }
        assert tall == {"passed": "4", "failed": "20"}
