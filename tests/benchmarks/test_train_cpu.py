"""What `benchmarks.train_cpu` makes of its rows, and that its sides see the same texts."""

from __future__ import annotations

import pytest

from benchmarks._train_rows import paragraphs
from benchmarks.train_cpu import ratios, reached


def row(side: str, speed: float, course: list[tuple[float, float]], f1: float) -> dict[str, object]:
    return {"rows": 8, "seed": 1, "side": side, "tokens_per_second": speed, "course": course, "f1": f1}


def test_ratios_are_ours_to_the_others_at_the_worse_last_loss() -> None:
    rows = [
        row("ours", 150.0, [(10.0, 1.5), (20.0, 1.0), (30.0, 0.8)], 0.40),
        row("trl", 100.0, [(20.0, 1.4), (40.0, 1.2), (60.0, 1.1)], 0.35),
    ]
    assert ratios(rows) == {
        "ours to trl, 8 rows, seed 1": {
            "tokens_per_second": 1.5,
            "time_to_the_same_loss": 3.0,  # 1.1 after 20 and after 60 seconds
            "f1_difference": 0.05,
        }
    }
    assert ratios(rows[1:]) == {}


def test_a_loss_that_was_never_reached_has_no_time() -> None:
    assert reached([(10.0, 1.5)], 1.0) is None


@pytest.mark.shared
def test_no_text_stands_on_two_sides() -> None:
    found = paragraphs({"train": 200, "validation": 40, "test": 40})
    texts = [each["job_description"] for rows in found.values() for each in rows]
    assert len(texts) == len(set(texts)) == 280
    assert found == paragraphs({"train": 200, "validation": 40, "test": 40})
