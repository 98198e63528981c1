from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.scoring.token_metrics import TokenScores, token_scores


def by_hand(gold: list[int], predicted: list[int]) -> tuple[float, float, float]:
    """The definition: per-id scores, weighted by how often the id stands in the gold."""
    totals = [0.0, 0.0, 0.0]
    for token, weight in Counter(gold).items():
        hits = sum(g == p == token for g, p in zip(gold, predicted, strict=True))
        named = predicted.count(token)
        precision, recall = (hits / named if named else 0.0), hits / weight
        f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
        for place, value in enumerate((precision, recall, f1)):
            totals[place] += value * weight / len(gold)
    return totals[0], totals[1], totals[2]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), min_size=1, max_size=40))
def test_weighted_scores_follow_the_definition(tokens: list[tuple[int, int]]) -> None:
    gold, predicted = [g for g, _ in tokens], [p for _, p in tokens]
    scores = token_scores(gold, predicted)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx(by_hand(gold, predicted))
    assert scores.tokens == len(tokens)


def test_names_in_the_metrics() -> None:
    assert token_scores([1, 2], [1, 2]).as_dict() == {"token_precision": 1.0, "token_recall": 1.0, "token_f1": 1.0}


def test_no_tokens_score_zero() -> None:
    assert token_scores([], []) == TokenScores(0.0, 0.0, 0.0, 0)


def test_sequences_that_do_not_align_are_refused() -> None:
    with pytest.raises(ValueError, match="2 gold tokens and 1 predicted ones cannot be aligned"):
        token_scores([1, 2], [1])
