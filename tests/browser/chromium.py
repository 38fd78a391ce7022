"""A headless Chromium, the distribution's own, driven by playwright; it asks no network.

Only starting it and opening pages belongs here. `python -m tests.browser.chromium REPORT PNG`
takes the picture that the README shows.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
PATIENCE_MILLISECONDS = 15_000
README_HEIGHT = 1590
# Of two colours, after the Web Content Accessibility Guidelines; 4.5 is enough for small text.
CONTRAST = """
([selector, property]) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = colour => {
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const part = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(value => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll(selector)].map(text => {
    const ink = light(getComputedStyle(text)[property]);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  });
}
"""


def found() -> str:
    """Where it is; empty where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), "")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start it with a profile that is new and empty, and end it."""
    with sync_playwright() as playwright:
        # playwright gives each browser that it launches a user-data-dir of its own.
        browser = playwright.chromium.launch(executable_path=found(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Opened:
    """A page that is shown, with what it requested and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What a reader sees of our page."""
        return self.page.locator("main").inner_text()

    def request(self, expression: str) -> Any:
        """What JavaScript says of the page."""
        return self.page.evaluate(expression)

    def contrasts(self, selector: str, property_: str) -> list[float]:
        """How each of these stands out from the paper, by a property that is its colour."""
        found: list[float] = self.page.evaluate(CONTRAST, [selector, property_])
        return found


@contextmanager
def opened(browser: Browser, url: str, **how: Any) -> Iterator[Opened]:
    """Open a page; `how` is playwright's for a context: viewport, color_scheme, scripts."""
    context = browser.new_context(**{"viewport": DESKTOP, **how})
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page = context.new_page()
    shown = Opened(page)
    page.on("request", lambda request: shown.requests.append(request.url))
    page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    page.on("console", lambda m: shown.complaints.append(m.text) if m.type == "error" else None)
    page.goto(url)
    try:
        yield shown
    finally:
        context.close()


def main(arguments: list[str]) -> int:
    """Take the README's picture of a report."""
    report, picture = map(Path, arguments)
    size = {"width": DESKTOP["width"], "height": README_HEIGHT}
    with (
        chromium() as browser,
        opened(browser, report.resolve().as_uri(), viewport=size) as shown,
    ):
        shown.page.screenshot(path=picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
