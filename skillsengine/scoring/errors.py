"""What a subject got wrong, ad by ad: skills it missed, skills it invented, and those that are one skill with other borders.

A missed and an invented skill are a boundary error where they overlap in the ad (`places.occurrences`); where one of them does
not stand there word for word, if at least half of the shorter one's words are in both. Each skill is in one pair at most; of
all ways to pair them the one with the most pairs, then the largest overlap, is taken (scipy's `linear_sum_assignment`).

Skills of a boundary error are among the missed and the invented, too: the headline counts them as both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from skillsengine.scoring.frequent import KINDS
from skillsengine.scoring.matching import normalize_skill
from skillsengine.scoring.places import Span, occurrences
from skillsengine.scoring.relaxed import word_bag


@dataclass(frozen=True)
class Errors:
    """Of one ad; skills as they are written, each (by its normalized form) once."""

    missed: list[str]
    """Gold skills that were not predicted."""
    invented: list[str]
    """Predicted skills that are not gold."""
    boundary: list[tuple[str, str]]
    """(missed, invented)."""

    def __bool__(self) -> bool:
        return bool(self.missed or self.invented)


def errors_of(gold: Iterable[str], predicted: Iterable[str], text: str) -> Errors:
    """The errors of one labelled ad."""
    wanted, said = _spelled(gold), _spelled(predicted)
    missed = [skill for name, skill in wanted.items() if name not in said]
    invented = [skill for name, skill in said.items() if name not in wanted]
    return Errors(missed, invented, _boundary(missed, invented, text))


def error_counts(ads: Iterable[Errors]) -> dict[str, int]:
    """{"missed", "invented", "boundary"}: how many there are of each."""
    found = list(ads)
    return {kind: sum(len(getattr(errors, kind)) for errors in found) for kind in KINDS}


def _spelled(skills: Iterable[str]) -> dict[str, str]:
    """Normalized form -> the skill as it is first written."""
    found: dict[str, str] = {}
    for skill in skills:
        if name := normalize_skill(skill):
            found.setdefault(name, skill)
    return found


def _boundary(missed: Sequence[str], invented: Sequence[str], text: str) -> list[tuple[str, str]]:
    if not missed or not invented:
        return []
    places = {skill: occurrences(text, [skill]) for skill in (*missed, *invented)}
    shared = np.array([[_shared(one, other, places) for other in invented] for one in missed])
    # A pair is worth more than any overlap could add, as in `relaxed.matches`.
    rows, columns = linear_sum_assignment(np.where(shared > 0, 1_000 + shared, 0.0), maximize=True)
    return [
        (missed[row], invented[column]) for row, column in zip(rows, columns, strict=True) if shared[row, column] > 0
    ]


def _shared(one: str, other: str, places: Mapping[str, Sequence[Span]]) -> float:
    """How much of two skills is one and the same, 0 to 1."""
    if places[one] and places[other]:
        return max(_overlap(a, b) for a in places[one] for b in places[other])
    first, second = (word_bag([normalize_skill(skill)]) for skill in (one, other))
    both = (first & second).total()
    return both / (first | second).total() if 2 * both >= min(first.total(), second.total()) else 0.0


def _overlap(a: Span, b: Span) -> float:
    """Characters in both over characters in either."""
    both = min(a[1], b[1]) - max(a[0], b[0])
    return max(0, both) / (max(a[1], b[1]) - min(a[0], b[0]))
