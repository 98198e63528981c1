"""What `benchmarks.generate` makes of its rows, and when two answers count as the same."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.generate import ratios, same


def row(block: int, side: str, seconds: float, cpu: float, same_as_ours: int = 4) -> dict[str, Any]:
    return {
        "series": "adapter",
        "block": block,
        "side": side,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "ads": 4,
        "same_as_ours": same_as_ours,
    }


def test_a_ratio_is_the_median_of_the_blocks() -> None:
    rows = [
        *(row(block, "ours", 10.0, 10.0) for block in range(3)),
        *(row(block, "one by one", seconds, 40.0, block + 2) for block, seconds in enumerate((30.0, 45.0, 80.0))),
        *(row(block, "batches", 15.0, 20.0) for block in range(3)),
    ]
    assert ratios(rows) == {
        "adapter: ours to one by one": {
            "speed": 4.5,
            "lowest": 3.0,
            "highest": 8.0,
            "processor_time": 4.0,
            "same_answers": 9,
            "of": 12,
        },
        "adapter: ours to batches": {
            "speed": 1.5,
            "lowest": 1.5,
            "highest": 1.5,
            "processor_time": 2.0,
            "same_answers": 12,
            "of": 12,
        },
    }


@pytest.mark.parametrize(
    ("mine", "theirs", "equal"),
    [
        (' ["SQL"]', ' ["SQL"]', True),
        (' ["SQL"]', ' ["SQL"] and so on ["Go"]', True),
        (' ["SQL"]', ' ["SQL", "Go"]', False),
        (' ["SQL", "SQ', ' ["SQL", "SQL 2"]', False),
        ("", ' ["SQL"]', False),
        ("", "", True),
    ],
)
def test_what_counts_as_the_same_answer(mine: str, theirs: str, equal: bool) -> None:
    assert same(mine, theirs) is equal
