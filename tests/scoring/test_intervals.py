"""Intervals and differences: against theory, against what a large number of draws gives, and what would fool them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.scoring import intervals
from skillsengine.scoring.intervals import (
    Counts,
    Difference,
    Interval,
    counts,
    describe,
    difference,
    interval,
    score_of,
)
from skillsengine.scoring.metrics import set_scores


def subject(gold: np.ndarray, recall: float, invented: float, seed: int) -> Counts:
    """A subject that finds each gold skill with a probability, and invents some."""
    random = np.random.default_rng(seed)
    both = random.binomial(gold, recall)
    return np.stack([gold, both + random.poisson(invented, len(gold)), both], axis=1)


def gold(ads: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 12, ads)


SKILLS = st.lists(st.sampled_from(["SQL", "sql", "Go", "C++", "first aid"]), max_size=5)


@given(st.lists(st.tuples(SKILLS, SKILLS), max_size=8))
def test_counts_give_the_scores_of_the_metrics(pairs: list[tuple[list[str], list[str]]]) -> None:
    scores, sums = set_scores(pairs), counts(pairs).sum(axis=0)
    assert sums.tolist() == [scores.gold_skills, scores.predicted_skills, scores.true_positives]
    for metric in intervals.METRICS:
        assert float(score_of(sums, metric)) == pytest.approx(getattr(scores, metric))


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Recall .6 by construction: of 100 samples of 60 ads about 95 intervals hold it."""
    held = 0
    for seed in range(100):
        found = interval(subject(gold(60, seed), 0.6, 1.0, seed), "recall")
        held += found.low <= 0.6 <= found.high
    assert 88 <= held <= 99


def test_ads_are_drawn_and_not_skills() -> None:
    """Ads that are all right or all wrong: as sure as 40 ads can make one, and not as 400 skills."""
    right = np.array([[10, 10, 10]] * 20 + [[10, 10, 0]] * 20)
    found = interval(right, "f1")
    of_ads, of_skills = 1.96 * (0.25 / 40) ** 0.5, 1.96 * (0.25 / 400) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(of_ads, rel=0.15)
    assert (found.high - found.low) / 2 > 2 * of_skills


def test_the_same_predictions_have_the_same_interval() -> None:
    ads = subject(gold(30), 0.5, 1.0, 1)
    assert interval(ads, "f1") == interval(ads, "f1")


def test_two_subjects_of_one_quality_differ_as_rarely_as_they_should() -> None:
    seen = 0
    for seed in range(60):
        ads = gold(50, seed)
        seen += difference(subject(ads, 0.5, 1.0, 2 * seed), subject(ads, 0.5, 1.0, 2 * seed + 1), "f1").is_one
    assert seen <= 8, "5% of 60 is 3"


def test_a_real_difference_is_seen_and_has_a_sign() -> None:
    ads = gold(150)
    better, worse = subject(ads, 0.7, 1.0, 1), subject(ads, 0.5, 2.0, 2)
    found, reverse = difference(better, worse, "f1"), difference(worse, better, "f1")
    assert found.is_one and found.interval.low > 0 and found.p_value < 0.01
    assert reverse.is_one and reverse.value == pytest.approx(-found.value)


def test_pairing_sees_what_two_intervals_hide() -> None:
    """One skill more in every third ad: the intervals overlap, the difference of the same ads is none of chance."""
    ads = subject(gold(120), 0.5, 1.0, 3)
    more = ads.copy()
    room = np.flatnonzero((ads[:, 0] > ads[:, 2]) & (np.arange(120) % 3 == 0))
    more[room, 1:] += 1
    one, other = interval(ads, "f1"), interval(more, "f1")
    assert one.high > other.low
    assert difference(more, ads, "f1").is_one


def test_few_ads_make_no_difference() -> None:
    """Of two ads the bootstrap alone is sure; swapping two ads can give four outcomes, so nothing is below one half."""
    found = difference(np.array([[5, 5, 5], [5, 5, 4]]), np.array([[5, 5, 1], [5, 5, 1]]), "f1")
    assert found.interval.low > 0 and not found.is_one


@pytest.mark.parametrize("ads", [0, 1])
def test_nothing_to_draw_from(ads: int) -> None:
    one = np.array([[4, 4, 2]] * ads).reshape(ads, 3)
    assert interval(one, "f1") == Interval(0.0, 1.0), "one ad is not a sure one"
    assert difference(one, one, "f1") == Difference(0.0, Interval(-1.0, 1.0), 1.0)
    assert not difference(one, one, "f1").is_one


@pytest.mark.parametrize("ads", [0, 1, 2, 40])
def test_several_scores_at_once_are_those_of_each(ads: int) -> None:
    a, b = (subject(gold(ads), recall, 1.0, seed) for recall, seed in ((0.7, 1), (0.5, 2)))
    for other in (a, b):
        assert intervals.differences(a, other) == {metric: difference(a, other, metric) for metric in intervals.METRICS}


def test_a_small_memory_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = subject(gold(90), 0.7, 1.0, 1), subject(gold(90), 0.5, 1.0, 2)
    found = intervals.differences(a, b), interval(a, "f1")
    monkeypatch.setattr(intervals, "_AT_ONCE", 90 * 37)
    assert (intervals.differences(a, b), interval(a, "f1")) == found


def test_other_ads_are_refused() -> None:
    with pytest.raises(ValueError, match="the same ads with the same gold skills"):
        difference(np.array([[1, 1, 1]]), np.array([[2, 1, 1]]), "f1")


def test_in_words() -> None:
    assert (
        describe(Difference(0.05, Interval(0.01, 0.09), 0.01), "new", "old")
        == "new is better by 0.050 (+0.010 to +0.090)"
    )
    assert (
        describe(Difference(-0.05, Interval(-0.09, -0.01), 0.01), "new", "old")
        == "old is better by 0.050 (+0.010 to +0.090)"
    )
    assert describe(Difference(0.05, Interval(-0.01, 0.11), 0.09), "new", "old").startswith(
        "no difference seen (+0.050"
    )
