"""summary.md: what failed comes first, and GitHub takes it whole."""

import re
from dataclasses import replace

from reports.model import Run
from reports.summary import MOST_BYTES, as_markdown
from reports.terminal import closing, lacking
from tests.unit.runs import good, run

GITHUBS_COMMENT = 65_536


def many(message: str) -> Run:
    """A run with three hundred failures that say this."""
    whole = run()
    failed = whole.stages[1].results[0]
    results = tuple(
        replace(
            failed,
            claim=replace(failed.claim, id=f"sample/{n}"),
            message=message,
            next_steps=(message,),
        )
        for n in range(300)
    )
    return replace(whole, stages=(replace(whole.stages[1], results=results),))


def test_what_failed_stands_above_the_table() -> None:
    text = as_markdown(run())
    assert (
        text.index("## Failures") < text.index("## Required and missing") < text.index("| stage |")
    )


def test_it_stays_within_what_github_shows() -> None:
    made = many("ü" * 100_000)
    made = replace(made, missing=tuple(f"gateway/{'x' * 5_000}{n}" for n in range(300)))
    text = as_markdown(made)
    assert len(text.encode()) <= MOST_BYTES < GITHUBS_COMMENT
    assert text.endswith("see report.html.\n")


def test_many_failures_are_counted() -> None:
    text = as_markdown(many("no"))
    assert len(re.findall(r"^- failed ", text, re.MULTILINE)) == 1  # one cause
    assert "299 more of this cause: sample/1, sample/2" in text


def test_many_causes_are_counted() -> None:
    made = many("no")
    results = tuple(replace(r, message=f"no {n}") for n, r in enumerate(made.stages[0].results))
    text = as_markdown(replace(made, stages=(replace(made.stages[0], results=results),)))
    assert len(re.findall(r"^- failed ", text, re.MULTILINE)) == 20
    assert "- and 280 more: see report.html" in text


def test_what_was_found_makes_no_markup() -> None:
    text = as_markdown(many("<img src=x> ![a](http://b) `c` | d\n# e"))
    assert "\n  - &lt;img src=x> !\\[a](http://b) \\`c\\` \\| d\n" in text
    assert "\n  - next: `` <img src=x> ![a](http://b) `c` | d # e ``\n" in text


def test_a_good_run_lists_no_failure() -> None:
    assert "## Failures" not in as_markdown(good("conformance"))


def test_a_warning_stands_beside_the_verdict_and_not_among_the_notes() -> None:
    text = as_markdown(
        replace(run(), notes=("Chosen by auto.", "WARNING: newer than this suite."))
    )
    assert text.index("**WARNING: newer than this suite.**") < text.index("Istio **1.31.0**")
    assert text.count("newer than this suite") == 1
    assert "## Notes\n\n- Chosen by auto." in text


def test_the_terminal_ends_with_warnings() -> None:
    lines = closing(replace(run(), notes=("Chosen by auto.", "WARNING: newer than this suite.")))
    assert lines[1] == "WARNING: newer than this suite."
    assert not any("Chosen" in line for line in lines)


def test_what_require_all_requires_is_listed_everywhere() -> None:
    assert "declare it" not in "\n".join(lacking(run()))
    required = replace(run(), require_all=True)
    line = "cluster/egress: this cluster does not declare it"
    assert f"   {line}" in lacking(required)
    assert "Required and not tested (2):" in lacking(required)
    assert f"- **{line.replace(': ', '**: ')}" in as_markdown(required)


def test_what_is_no_part_of_the_mesh_is_not_listed() -> None:
    whole = replace(run(), require_all=True, missing=())
    stage = whole.stages[0]
    results = tuple(replace(result, required=False) for result in stage.results)
    none = replace(whole, stages=(replace(stage, results=results),))
    assert list(lacking(none)) == []
