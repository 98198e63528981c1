from __future__ import annotations

from skillsengine.scoring.wording import with_half, with_interval

SCORE = {"f1": 0.55, "f1_low": 0.48, "f1_high": 0.61, "recall": 0.5}


def test_a_score_stands_with_its_interval_where_there_is_one() -> None:
    assert with_interval(SCORE) == "0.550 (0.480 to 0.610)"
    assert with_half(SCORE) == "0.550 ±0.065"
    assert with_interval(SCORE, "recall") == with_half(SCORE, "recall") == "0.500"
    assert with_interval({}) == with_half({}) == "–"
