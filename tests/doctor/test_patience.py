"""Looks that hang are left; what they raise in time comes through."""

from __future__ import annotations

import threading

import pytest

from skillsengine.doctor.patience import NoAnswer, NotBegun, Patience


def test_what_is_returned_and_raised_comes_through() -> None:
    patience = Patience(60, 60)
    assert patience.ask(lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        patience.ask(lambda: 1 / 0)


def test_a_look_that_hangs_is_left_and_the_next_is_not_begun() -> None:
    never, patience = threading.Event(), Patience(5, 0.05)
    with pytest.raises(NoAnswer, match="no answer within 0 s"):
        patience.ask(never.wait)
    begun: list[int] = []
    with pytest.raises(NotBegun, match="not looked at: those before it took all of 0 s"):
        patience.ask(lambda: begun.append(1))
    assert begun == []
    never.set()
