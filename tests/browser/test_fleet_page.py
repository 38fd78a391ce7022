"""fleet.html as a browser shows it: alone, at any width, and legible in both schemes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from reports.data import as_json
from reports.fleet import read
from reports.fleet_page import write
from tests.browser.chromium import DESKTOP, PHONE, opened
from tests.fleets import StandIn, leave
from tests.unit.runs import run

LONG = "arn-aws-eks-eu-west-1-123456789012-cluster-production-of-the-whole-company"
GOOD = StandIn("good", certificates={"istio-system/istiod": "2027-05-01"})
FLEET = [
    GOOD,
    replace(GOOD, name=LONG, exit_code=10, reason="the API server does not answer " * 5),
    replace(GOOD, name="worse", exit_code=1, wrong={"cluster/every-node-is-ready": "failed"}),
]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    report: dict[str, Any] = json.loads(json.dumps(as_json(run())))
    leave(tmp_path, report, FLEET)
    write(read(tmp_path), tmp_path)
    return tmp_path / "fleet.html"


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_stands_alone_at_any_width(
    browser: Browser, page: Path, size: Any, scheme: str
) -> None:
    with opened(browser, page.as_uri(), viewport=size, color_scheme=scheme) as shown:
        assert (shown.complaints, shown.requests) == ([], [page.as_uri()])
        wide = shown.request("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
        assert shown.request("document.querySelectorAll('tr').length") > len(FLEET)
        for words in ("worse", LONG, "2027-05-01", "does not answer"):
            assert words in shown.text
