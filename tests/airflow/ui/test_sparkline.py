"""The line and its words."""

from __future__ import annotations

from skillsengine.airflow.ui.sparkline import HEIGHT, MOST, WIDTH, sparkline
from skillsengine.storage.overviews import Scored


def version(number: int, f1: float | None) -> Scored:
    return Scored("m", number, "m", "2026-01", f1, None, None)


def test_it_fills_its_box_from_the_lowest_to_the_highest() -> None:
    shown = [version(1, 0.5), version(2, None), version(3, 0.7), version(4, 0.6)]
    line = sparkline(shown, shown[2])
    assert line is not None and line.points == f"3.0,{HEIGHT - 3.0} 60.0,3.0 117.0,{HEIGHT / 2}"
    assert line.champion == (60.0, 3.0) and line.last == (WIDTH - 3.0, HEIGHT / 2)
    assert line.text == "F1 of 3 versions, m@1 to m@4: from 0.500 to 0.600, between 0.500 and 0.700"


def test_one_score_equal_scores_none_and_many() -> None:
    assert sparkline([], None) is None and sparkline([version(1, None)], None) is None
    one = sparkline([version(1, 0.5)], None)
    assert one is not None and one.points == f"3.0,{HEIGHT / 2}" and one.text == "F1 0.500 of m@1, the only version"
    many = sparkline([version(n, 0.5) for n in range(200)], None)
    assert many is not None and many.points.count(" ") == MOST - 1 and "m@140 to m@199" in many.text
