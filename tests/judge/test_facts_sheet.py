"""The tables of the sheet of facts, by column: it speaks of releases that nothing else does."""

from __future__ import annotations

import re

import pytest

from fixtures.istio.releases import addons, bookinfo, gateway, images, installation
from fixtures.istio.releases.injection import DEFAULTS
from fixtures.istio.releases.rows import all_for, one_for
from fixtures.istio.releases.versions import kubernetes_range
from tests.judge.upstream import path

ALL = ("1.13.1", "1.20.8", "1.24.6", "1.27.9", "1.28.10", "1.29.6", "1.30.3", "1.31.0")
EACH = pytest.mark.parametrize("version", ALL)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _covers(head: str, version: str) -> bool:
    """Whether a column's head (`1.27.9 - 1.29.6`, `1.30.3, 1.31`, `>= 1.20.8`) speaks of it."""
    for part in head.replace("(rc.0)", "").split(","):
        ends = [_numbers(end) for end in part.split(" - ")]
        requested = _numbers(version)
        if part.strip().startswith(">="):
            found = requested >= ends[0]
        elif len(ends) == 1:
            found = requested[: len(ends[0])] == ends[0]
        else:
            found = ends[0] <= requested and requested[: len(ends[1])] <= ends[1]
        if found:
            return True
    return False


def cell(row: str, version: str) -> str:
    """What the sheet says in the first table that has such a row, without marks."""
    lines = path("facts.md").read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if line.startswith(f"| {row}"))
    head = max(n for n in range(number) if lines[n].startswith("|---")) - 1
    heads, cells = ([c.strip() for c in lines[n].split("|")[2:-1]] for n in (head, number))
    message = ""
    for title, text in zip(heads, cells, strict=True):
        message = message if text.startswith(("same", "as ")) else text
        if _covers(title, version):
            return message.replace("*", "").replace("`", "")
    raise LookupError(f"no column of {row} speaks of {version}")


@EACH
def test_the_range_of_kubernetes(version: str) -> None:
    supported = kubernetes_range(version)
    assert cell("documented support", version) == f"{supported.first}-{supported.last}"


@EACH
def test_the_images_of_the_add_ons(version: str) -> None:
    found = dict(all_for(addons.IMAGES, version))
    for name in ("kiali image", "jaeger image", "prometheus |", "grafana |", "loki |"):
        message = cell(name, version).split(" ")[0]
        image = found.get(name.split(" ")[0])
        assert message == "-" if image is None else image.endswith(message.split("/")[-1])


@EACH
def test_the_sample(version: str) -> None:
    assert cell("image tag", version) == one_for(bookinfo.TAGS, version)
    prefix = one_for(images.HUBS, version).samples
    assert cell("image prefix", version) == f"{prefix}/examples-bookinfo-"
    api = one_for(gateway.API_VERSIONS, version)
    assert cell("Gateway/VirtualService apiVersion", version) in {api, api.rpartition("/")[2]}
    port = cell("Gateway `servers[0].port.number`", version)
    assert port.split(" ")[0] == str(one_for(gateway.PORTS, version))


@EACH
def test_the_disruption_budgets(version: str) -> None:
    message = cell("PodDisruptionBudgets", version).startswith("yes")
    assert message == bool(one_for(installation.BUDGETS, version))


@EACH
def test_the_hub_of_istiod(version: str) -> None:
    image = f"{one_for(images.HUBS, version).mesh}/pilot:<v>"
    assert cell("istiod | `", version) == image


@EACH
def test_the_definitions(version: str) -> None:
    found = all_for(installation.DEFINITIONS, version)
    assert cell("CRDs installed by base", version).startswith(str(len(found)))


@EACH
def test_native_sidecars(version: str) -> None:
    message = cell("istiod env `ENABLE_NATIVE_SIDECARS`", version)
    assert ("auto" in message) == bool(one_for(DEFAULTS, version).kubelet)
    assert ("does not exist" in message) == (not one_for(DEFAULTS, version).settable)
