"""Slices: they divide the labelled ads, and each is scored as if it were all there is."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.scoring.intervals import counts, interval
from skillsengine.scoring.metrics import set_scores
from skillsengine.scoring.slices import LONG, MOST_VALUES, SHORT, in_short, length_name, slice_names, slice_scores

SKILLS = st.lists(st.sampled_from(["SQL", "Go", "C++", "first aid"]), max_size=3)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"words": st.integers(1, 600), "gold": st.none() | SKILLS, "predicted": SKILLS},
        optional={
            "fields": st.dictionaries(st.sampled_from(["source", "length"]), st.sampled_from(["a", "b", "", "other"]))
        },
    ),
    max_size=8,
)


def row(
    words: int = 10, gold: list[str] | None = None, predicted: list[str] | None = None, **fields: str
) -> dict[str, Any]:
    return {"words": words, "gold": gold, "predicted": predicted or [], **({"fields": fields} if fields else {})}


@settings(max_examples=25)
@given(ROWS)
def test_the_slices_of_a_kind_are_all_labelled_ads(rows: list[dict[str, Any]]) -> None:
    found = slice_scores(rows)
    labelled = [row for row in rows if row["gold"] is not None]
    total = set_scores((row["gold"], row["predicted"]) for row in labelled)
    kinds = {name.partition("=")[0] for name in found}
    assert bool(kinds) == bool(labelled) and ("length" in kinds) == bool(labelled)
    for kind in kinds:
        own = [scores for name, scores in found.items() if name.partition("=")[0] == kind]
        assert sum(scores["ads"] for scores in own) == len(labelled)
        assert sum(scores["gold_skills"] for scores in own) == total.gold_skills


def test_a_slice_is_scored_as_if_it_were_all() -> None:
    rows = [
        row(10, ["a", "b"], ["a"], source="x"),
        row(10, ["c"], ["c", "d"], source="x"),
        row(501, ["a"], [], source="y"),
    ]
    pairs = [(each["gold"], each["predicted"]) for each in rows[:2]]
    scores, ends = set_scores(pairs), interval(counts(pairs), "f1")
    expected = {
        "ads": 2,
        "gold_skills": 3,
        "f1": scores.f1,
        "f1_low": ends.low,
        "f1_high": ends.high,
        "precision": scores.precision,
        "recall": scores.recall,
    }
    found = slice_scores(rows)
    assert found["length=short"] == found["source=x"] == expected
    assert list(found) == ["length=short", "length=long", "source=x", "source=y"]
    assert in_short(found)["source=y"] == {"ads": 1, "gold_skills": 1, "f1": 0.0, "f1_low": 0.0, "f1_high": 1.0}


def test_the_borders_of_length() -> None:
    words = (SHORT - 1, SHORT, LONG, LONG + 1)
    assert [length_name(count) for count in words] == ["short", "medium", "medium", "long"]


def test_the_rarest_values_are_one_slice() -> None:
    common = [row(source=f"s{number:02}") for number in range(MOST_VALUES) for _ in range(2)]
    names = slice_names([row(source="rare"), row(source="once"), *common, row(source="  "), row()])
    assert [name[1] for name in names[:3]] == ["source=other", "source=other", "source=s00"]
    assert [name[1] for name in names[-2:]] == ["source=none", "source=none"], "an ad without the field is told as such"
    assert len({name[1] for name in names}) == MOST_VALUES + 2


def test_a_value_is_one_line_and_a_column_is_no_length() -> None:
    assert slice_names([row(length="a  b\nc")]) == [("length=short", "fields.length=a b c")]


def test_rows_of_an_older_evaluation_are_in_no_slice_by_length() -> None:
    assert slice_names([{"gold": [], "predicted": []}]) == [()]


def test_names_need_no_scipy() -> None:
    code = (
        "import sys, skillsengine.scoring.slices as s; s.slice_names([{'words': 1}]); assert 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
