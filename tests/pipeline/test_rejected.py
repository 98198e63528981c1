"""Rows that could not be used, in words."""

from __future__ import annotations

from typing import Any

import pytest

from skillsengine.pipeline.rejected import counts, describe


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ({}, ""),
        ({"not JSON": 1, "the text is empty": 2}, "3 of 1,003 rows rejected (the text is empty: 2, not JSON: 1)"),
        ({"a": 4, "d": 1, "c": 1, "b": 1}, "7 of 1,007 rows rejected (a: 4, b: 1, c: 1, …)"),
    ],
)
def test_how_many_and_why(reasons: dict[str, int], told: str) -> None:
    summary: dict[str, Any] = {"rows": 1000, "rejected": sum(reasons.values()), "reasons": reasons, "skills": 3}
    assert describe(counts(summary)) == told
