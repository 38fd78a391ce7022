"""Whole sentences stand in one file, and a test that compares one notices another wording."""

import ast
from pathlib import Path

import pytest

from tests import golden as sentences

TESTS = Path(__file__).parents[1]
MOST = 6  # words that may be compared where they stand


def long_ones(text: str) -> list[str]:
    """Sentences that an assert compares whole."""
    return [
        side.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare)
        if isinstance(node.test.ops[0], ast.Eq)
        for side in (node.test.left, *node.test.comparators)
        if isinstance(side, ast.Constant) and isinstance(side.value, str)
        if len(side.value.split()) > MOST
    ]


def test_a_long_sentence_is_found() -> None:
    assert long_ones('assert said == "one two three four five six seven"')
    assert not long_ones('assert said == "one two three"\nassert "1 2 3 4 5 6 7" in said')


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_whole_sentences_stand_in_the_golden_file(path: Path) -> None:
    assert long_ones(path.read_text("utf-8")) == [], "golden(...) of tests/golden compares them"


def test_each_sentence_has_its_test() -> None:
    for test in sentences.read():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (TESTS / file).read_text("utf-8"), test


def test_another_wording_is_noticed(golden: sentences.Golden) -> None:
    with pytest.raises(AssertionError, match="a wording: see tests/golden"):
        golden("This sentence is not the one that the file holds.")


def test_what_is_written_is_read_again_and_the_difference_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentences, "FILE", tmp_path / "sentences.yaml")
    sentences.written({"a.py::test": ["one"], "b.py::test": ["two", "three\n"]})
    shown = sentences.written({"a.py::test": ["another"]})
    assert "-a.py::test: one" in shown
    assert "+a.py::test: another" in shown
    assert sentences.read() == {"a.py::test": ["another"], "b.py::test": ["two", "three\n"]}
