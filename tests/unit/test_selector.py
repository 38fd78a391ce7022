"""Label selectors choose as Kubernetes says."""

from __future__ import annotations

import pytest

from fixtures.k8s.selector import Requirement, Selector


@pytest.mark.parametrize(
    ("operator", "values", "labels", "chosen"),
    [
        pytest.param("In", ["a", "b"], {"k": "b"}, True, id="in: one of them"),
        pytest.param("In", ["a"], {"k": "c"}, False, id="in: another"),
        pytest.param("In", ["a"], {}, False, id="in: missing"),
        pytest.param("NotIn", ["a"], {"k": "c"}, True, id="not in: another"),
        pytest.param("NotIn", ["a"], {"k": "a"}, False, id="not in: one of them"),
        pytest.param("NotIn", ["a"], {}, True, id="not in: missing"),
        pytest.param("Exists", [], {"k": ""}, True, id="exists: empty"),
        pytest.param("Exists", [], {}, False, id="exists: missing"),
        pytest.param("DoesNotExist", [], {}, True, id="does not exist: missing"),
        pytest.param("DoesNotExist", [], {"k": ""}, False, id="does not exist: empty"),
    ],
)
def test_an_operator_chooses(
    operator: str, values: list[str], labels: dict[str, str], *, chosen: bool
) -> None:
    body = {"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}
    assert Selector.of(body).chooses(labels) is chosen


def test_all_requirements_must_be_met() -> None:
    selector = Selector.of(
        {
            "matchLabels": {"app": "page"},
            "matchExpressions": [{"key": "version", "operator": "Exists"}],
        }
    )
    assert selector.chooses({"app": "page", "version": "v1"})
    assert not selector.chooses({"app": "page"})
    assert not selector.chooses({"version": "v1"})
    assert str(selector) == "app In [page], version Exists"


@pytest.mark.parametrize("body", [None, {}], ids=["none", "empty"])
def test_without_requirements_everything_is_chosen(body: dict[str, str] | None) -> None:
    assert Selector.of(body).chooses({})


def test_an_unknown_operator_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="Near"):
        Requirement("k", "Near").met_by({})
