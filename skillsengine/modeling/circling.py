"""Whether a greedy answer goes round in circles.

A model that has learned little names the same skills again and again, and greedy decoding does not leave such a circle: the
answer would only end with `max_new_tokens`. What comes again names no new skill, so the answer may as well end.
"""

from __future__ import annotations

from collections.abc import Sequence

_TOKENS = 96
_ROUNDS = 3
_EVERY = 8
"""Answers are looked at when they are so many tokens longer: a round more or less costs little, and looking costs, too."""


def circles(ids: Sequence[int]) -> bool:
    """Whether the newest 96 tokens or more of `ids` are the same stretch three times or more; asked after each token, and
    answered at every eighth."""
    length = len(ids)
    if length < _TOKENS or length % _EVERY:
        return False
    return any(_period(ids, period) for period in range(1, length // _ROUNDS + 1))


def _period(ids: Sequence[int], period: int) -> bool:
    if ids[-1] != ids[-1 - period]:
        return False
    tail = max(_TOKENS, _ROUNDS * period)
    return ids[-tail + period :] == ids[-tail:-period]
