from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.scoring.metrics import SetScores, parse_rate, set_scores, verbatim_rate

SKILLS = st.lists(st.sampled_from(["Excel", "excel.", "SQL", "C++", "wound care", "Wound  care", "", "-"]), max_size=6)
PAIRS = st.lists(st.tuples(SKILLS, SKILLS), max_size=8)


def test_counts_and_scores_by_hand() -> None:
    scores = set_scores(
        [
            (["Excel", "French", "SQL"], ["excel", "French.", "Spanish"]),  # 2 of 3 right, 2 of 3 found
            (["TIG welding"], []),  # missed
            ([], ["parking"]),  # invented
            ([], []),  # nothing
        ]
    )
    assert scores == SetScores(gold_skills=4, predicted_skills=4, true_positives=2)
    assert scores.as_dict() == {
        "gold_skills": 4,
        "predicted_skills": 4,
        "true_positives": 2,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
    }


def test_scores_are_micro_averaged_over_skills_not_ads() -> None:
    scores = set_scores([(["a1", "b1", "c1", "d1"], ["a1", "b1", "c1", "d1"]), (["e1"], ["f1", "g1"])])
    assert scores.precision == pytest.approx(4 / 6)
    assert scores.recall == pytest.approx(4 / 5)
    assert scores.f1 == pytest.approx(8 / 11)


def test_a_skill_named_twice_counts_once() -> None:
    assert set_scores([(["Excel"], ["Excel", "excel", "EXCEL."])]) == SetScores(1, 1, 1)


@pytest.mark.parametrize("pairs", [[], [([], [])], [(["Excel"], [])], [([], ["Excel"])]])
def test_division_by_zero_is_zero(pairs: list[tuple[list[str], list[str]]]) -> None:
    scores = set_scores(pairs)
    assert (scores.precision, scores.recall, scores.f1) == (0.0, 0.0, 0.0)


@given(PAIRS)
def test_f1_is_the_harmonic_mean_and_all_lie_between_0_and_1(pairs: list[tuple[list[str], list[str]]]) -> None:
    scores = set_scores(pairs)
    assert all(0.0 <= value <= 1.0 for value in (scores.precision, scores.recall, scores.f1))
    if scores.true_positives:
        harmonic = 2 * scores.precision * scores.recall / (scores.precision + scores.recall)
        assert scores.f1 == pytest.approx(harmonic)


@given(PAIRS)
def test_precision_and_recall_change_places_with_gold_and_predicted(pairs: list[tuple[list[str], list[str]]]) -> None:
    there, back = set_scores(pairs), set_scores([(predicted, gold) for gold, predicted in pairs])
    assert (there.precision, there.recall, there.f1) == (back.recall, back.precision, back.f1)


@given(PAIRS)
def test_scoring_gold_against_itself_is_perfect(pairs: list[tuple[list[str], list[str]]]) -> None:
    scores = set_scores([(gold, gold) for gold, _ in pairs])
    assert scores.f1 == (1.0 if scores.gold_skills else 0.0)


def test_verbatim_rate_counts_predicted_skills_in_their_own_ad() -> None:
    assert verbatim_rate([(["Excel", "excel"], "Excel and SQL"), (["Excel"], "nothing"), ([], "Excel")]) == 1 / 3
    assert verbatim_rate([([], "Excel")]) == 0.0


def test_parse_rate() -> None:
    assert parse_rate([True, True, False, True]) == 0.75
    assert parse_rate([]) == 0.0
