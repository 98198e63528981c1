"""Relaxed and macro scores, on cases counted by hand, and what always holds."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from skillsengine.scoring.metrics import set_scores
from skillsengine.scoring.relaxed import FUZZY, fuzzy, macro, matches, relaxed_scores, token_overlap, without_skills

WORDS = st.text("abcdeSQL +", min_size=1, max_size=8)
PAIRS = st.lists(st.tuples(st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=4)), max_size=4)


def test_token_overlap_counts_words() -> None:
    found = token_overlap([(["budget planning", "SQL"], ["budget", "SQL server"])])
    assert (found.gold_skills, found.predicted_skills, found.true_positives) == (3, 3, 2)


def test_fuzzy_forgives_a_plural_and_no_other_skill() -> None:
    found = fuzzy([(["data pipeline", "Java"], ["data pipelines", "JavaScript"])])
    assert found.true_positives == 1


def test_each_skill_is_matched_once() -> None:
    assert fuzzy([(["data pipelines"], ["data pipeline", "data pipelines"])]).true_positives == 1


@given(st.lists(WORDS, max_size=4, unique=True), st.lists(WORDS, max_size=4, unique=True))
def test_as_many_matches_as_any_way_gives(gold: list[str], predicted: list[str]) -> None:
    shorter, longer = sorted((gold, predicted), key=len)
    best = max(
        sum(fuzz.ratio(a, b) >= FUZZY for a, b in zip(shorter, order, strict=False))
        for order in permutations(longer, len(shorter))
    )
    assert matches(gold, predicted) == best


@given(PAIRS)
def test_relaxed_scores_are_never_below_the_headline(pairs: list[tuple[list[str], list[str]]]) -> None:
    headline, found = set_scores(pairs), relaxed_scores(pairs)
    assert found["fuzzy_f1"] >= headline.f1 - 1e-12
    assert all(0 <= value <= 1 for name, value in found.items() if name.endswith(("precision", "recall", "f1")))


def test_macro_counts_each_ad_once() -> None:
    pairs = [(["a", "b", "c", "d"], ["a", "b", "c", "d"]), (["e"], ["f"]), ([], [])]
    assert set_scores(pairs).f1 == pytest.approx(0.8)
    assert macro(pairs) == {"macro_precision": 0.5, "macro_recall": 0.5, "macro_f1": 0.5}
    assert macro([]) == {"macro_precision": 0.0, "macro_recall": 0.0, "macro_f1": 0.0}


def test_ads_without_skills() -> None:
    pairs = [([], ["a", "A", "b"]), (["..."], []), (["a"], ["b"])]
    assert without_skills(pairs) == {
        "empty_ads": 2,
        "empty_ads_hit": 1,
        "false_positives_on_empty": 2,
        "false_positive_ads": 0.5,
        "false_positives_per_empty_ad": 1.0,
    }
    assert set(without_skills([(["a"], ["b"])]).values()) == {0}
