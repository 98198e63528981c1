"""Errors of single ads: every skill is matched, missed or invented; which of them are one skill with other borders."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.scoring.errors import Errors, error_counts, errors_of
from skillsengine.scoring.frequent import frequent
from skillsengine.scoring.matching import skill_set

TEXT = "Budget planning, C++ and SQL; knowledge of SQL databases."


def test_what_overlaps_in_the_text_is_a_boundary_error() -> None:
    found = errors_of(["Budget planning", "SQL databases"], ["planning", "C++", "knowledge of SQL"], TEXT)
    assert found.missed == ["Budget planning", "SQL databases"]
    assert found.invented == ["planning", "C++", "knowledge of SQL"]
    assert found.boundary == [("Budget planning", "planning"), ("SQL databases", "knowledge of SQL")]


def test_each_skill_is_in_one_pair_and_the_largest_overlap_wins() -> None:
    text = "technical project management tools"
    assert errors_of(["project management"], ["project", "project management tools"], text).boundary == [
        ("project management", "project management tools")
    ]
    # As many pairs as possible come before the largest overlap, which is that of the longest two.
    both = errors_of(["technical project management", "tools"], [text, "technical"], text).boundary
    assert both == [("technical project management", "technical"), ("tools", text)]


def test_words_decide_where_a_skill_does_not_stand_in_the_text() -> None:
    assert errors_of(["SQL databases"], ["sql database design", "databases sql"], TEXT).boundary == [
        ("SQL databases", "databases sql")
    ]
    assert errors_of(["knowledge of SQL"], ["understanding of Java"], TEXT).boundary == [], "`of` is a third of it"
    assert errors_of(["SQL"], ["planning"], TEXT).boundary == []


def test_spelling_is_no_error() -> None:
    assert errors_of(["SQL", "sql"], ["«Sql»", "Sql"], TEXT) == Errors([], [], [])
    assert not errors_of([], ["..."], TEXT)


SKILLS = st.lists(st.text("abc C+", min_size=1, max_size=5), max_size=4)


@settings(max_examples=40)
@given(SKILLS, SKILLS, st.text("abc C+", max_size=20))
def test_every_skill_is_matched_missed_or_invented(gold: list[str], predicted: list[str], text: str) -> None:
    found = errors_of(gold, predicted, text)
    wanted, said = skill_set(gold), skill_set(predicted)
    missed, invented = skill_set(found.missed), skill_set(found.invented)
    assert (len(missed), len(invented)) == (len(found.missed), len(found.invented))
    assert missed | (wanted & said) == wanted and not missed & said
    assert invented | (wanted & said) == said and not invented & wanted
    left, right = [pair[0] for pair in found.boundary], [pair[1] for pair in found.boundary]
    assert set(left) <= set(found.missed) and set(right) <= set(found.invented)
    assert len(set(left)) == len(left) == len(set(right)) == len(right)
    assert error_counts([found, found]) == {
        "missed": 2 * len(missed),
        "invented": 2 * len(invented),
        "boundary": 2 * len(left),
    }


def test_the_most_frequent_first() -> None:
    lines = [
        {"id": "1", "missed": ["SQL", "Go"], "boundary": [["a b", "a"]]},
        {"id": "2", "missed": ["sql", "C"], "boundary": [["A b", "a"], ["a b", "b"]]},
    ]
    assert [(error.skills, error.ads) for error in frequent(lines, "missed")] == [
        (("SQL",), ["1", "2"]),
        (("C",), ["2"]),
        (("Go",), ["1"]),
    ]
    assert [(error.skills, error.ads) for error in frequent(lines, "boundary")] == [
        (("a b", "a"), ["1", "2"]),
        (("a b", "b"), ["2"]),
    ]
