"""Span scores: where a predicted string stands, and what nervaluate makes of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.scoring.intervals import interval
from skillsengine.scoring.metrics import SetScores
from skillsengine.scoring.places import occurrences
from skillsengine.scoring.spans import span_scores, span_summary, strict_counts


def test_a_string_stands_for_all_its_occurrences() -> None:
    text = "SQL, more SQL and MySQL; C++ or C."
    assert [text[start:end] for start, end in occurrences(text, ["SQL", "C++", "C"])] == ["SQL", "SQL", "C++", "C"]


def test_from_the_left_the_longest() -> None:
    text = "project management tools"
    assert occurrences(text, ["management tools", "project", "project management"]) == [(0, 18)]


def test_signs_in_a_skill_are_no_pattern() -> None:
    assert occurrences("a.b (x) axb", ["a.b", "(x)"]) == [(0, 3), (4, 7)]
    assert occurrences("text", ["", "  "]) == []


@given(st.text("ab +", max_size=30), st.lists(st.text("ab+", min_size=1, max_size=3), max_size=4))
def test_spans_are_verbatim_in_order_and_apart(text: str, skills: list[str]) -> None:
    found = occurrences(text, skills)
    assert all(text[start:end] in skills for start, end in found)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(found))


def test_counted_by_hand() -> None:
    ads = [
        ([], [(3, 5)]),  # invented; and the first ad has no gold span
        ([(0, 5), (10, 15)], [(0, 5), (12, 15)]),  # one right, one overlaps
        ([(0, 3)], [(3, 6)]),  # touching is no overlap
    ]
    found = span_scores(ads)
    assert found["span_strict_precision"] == pytest.approx(1 / 4)
    assert found["span_strict_recall"] == pytest.approx(1 / 3)
    assert found["span_exact_f1"] == found["span_strict_f1"] == pytest.approx(2 / 7)
    assert found["span_type_precision"] == pytest.approx(2 / 4)
    assert found["span_partial_recall"] == pytest.approx(1.5 / 3)


SPANS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=4).map(
    lambda found: [(start, start + length) for start, length in found]
)
APART = st.lists(st.integers(1, 4), max_size=4).map(
    lambda sizes: list(itertools.pairwise(itertools.accumulate([0, *sizes])))
)
"""What `occurrences` finds: no two overlap."""


@settings(max_examples=40)
@given(st.lists(st.tuples(SPANS.map(lambda spans: sorted(set(spans))), APART), max_size=4))
def test_the_interval_is_of_the_strict_score(ads: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]]) -> None:
    sums = SetScores(*map(int, strict_counts(ads).sum(axis=0)))
    found = span_scores(ads)
    assert (found["span_strict_precision"], found["span_strict_recall"], found["span_strict_f1"]) == pytest.approx(
        (sums.precision, sums.recall, sums.f1)
    )


def test_the_summary_tells_of_how_many_ads() -> None:
    ads = [([(0, 5)], [(0, 5)]), ([(0, 3)], []), ([], [])]
    found, ends = span_summary(ads), interval(strict_counts(ads), "f1")
    assert (found["span_ads"], found["span_strict_f1"]) == (3, pytest.approx(2 / 3))
    assert (found["span_strict_f1_low"], found["span_strict_f1_high"]) == (ends.low, ends.high)
    assert ends.low < ends.high


def test_nothing_at_all() -> None:
    assert set(span_scores([]).values()) == {0.0} == set(span_scores([([], [])]).values())
