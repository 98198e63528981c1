"""Answers that go round in circles end, and no others."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.modeling.circling import circles


def ends_after(ids: list[int]) -> int | None:
    """Tokens of the answer when it is ended, asked after each."""
    return next((length for length in range(1, len(ids) + 1) if circles(ids[:length])), None)


@pytest.mark.parametrize(("period", "ended"), [(1, 96), (3, 96), (7, 96), (32, 96), (33, 104), (50, 152), (100, 304)])
def test_a_circle_ends_after_three_rounds_and_96_tokens(period: int, ended: int) -> None:
    assert ends_after(list(range(period)) * (400 // period)) == ended
    before = random.Random(period).sample(range(1000, 2000), 40)
    assert ends_after(before + list(range(period)) * (400 // period)) == ended + 40, "wherever it begins"


def test_what_comes_twice_or_soon_ends_goes_on() -> None:
    stretch = list(range(200))
    assert ends_after(stretch * 2) is None
    assert ends_after([1] * 95 + stretch) is None
    assert ends_after([token for number in range(60) for token in (1, 2, 3, 100 + number)]) is None, "each item another"
    assert ends_after(stretch[:20] * 2 + [7] + stretch[:20] * 3 + [8]) is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=96, max_size=160))
def test_it_is_what_the_definition_says(ids: list[int]) -> None:
    def same(period: int, tail: int) -> bool:
        return all(ids[-at] == ids[-at - period] for at in range(1, tail - period + 1))

    ids = ids[: len(ids) // 8 * 8]
    expected = any(same(p, max(96, 3 * p)) for p in range(1, len(ids) // 3 + 1))
    assert circles(ids) is expected
    assert circles((ids * 4)[: len(ids) * 4]) is True
