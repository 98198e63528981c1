"""An ad's text with its skills marked: found, missed, invented, or found with other borders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from skillsengine.scoring.matching import normalize_skill
from skillsengine.scoring.places import occurrences

Mark = Literal["found", "missed", "invented", "boundary"]
MARKS: tuple[Mark, ...] = ("found", "invented", "missed", "boundary")
"""Where marks overlap, the later one is seen."""


@dataclass(frozen=True)
class Segment:
    """A run of text that is marked alike. The segments of an ad, joined, are its text."""

    text: str
    mark: Mark | None = None
    note: str = ""
    """Of a boundary: what was labelled, and what was extracted."""


@dataclass(frozen=True)
class Elsewhere:
    """A skill that does not stand in the text word for word, so it cannot be marked there."""

    mark: Mark
    skill: str


def mark_skills(
    text: str,
    gold: Sequence[str] | None,
    predicted: Sequence[str],
    boundary: Iterable[tuple[str, str]] = (),
) -> tuple[tuple[Segment, ...], tuple[Elsewhere, ...]]:
    """The text in segments, and the skills that do not stand there.

    `boundary` are pairs (missed, invented) that are one skill with other borders. Without gold (None) all that was predicted
    is `found`.
    """
    pairs = [(missed, invented) for missed, invented in boundary]
    wanted, said = _names(gold or ()), _names(predicted)
    of: dict[Mark, list[tuple[Sequence[str], str]]] = {mark: [] for mark in MARKS}
    for skill in predicted:
        name = normalize_skill(skill)
        of["found" if gold is None or name in wanted else "invented"].append(((skill,), ""))
    for skill in gold or ():
        of["found" if normalize_skill(skill) in said else "missed"].append(((skill,), ""))
    in_pairs = {skill for pair in pairs for skill in pair}
    for mark in ("missed", "invented"):
        of[mark] = [(skills, note) for skills, note in of[mark] if skills[0] not in in_pairs]
    of["boundary"] = [(pair, f"labelled “{pair[0]}”, extracted “{pair[1]}”") for pair in pairs]

    painted: list[tuple[Mark, str] | None] = [None] * len(text)
    placed: set[tuple[str, ...]] = set()
    elsewhere: dict[tuple[str, ...], Elsewhere] = {}
    for mark in MARKS:
        for skills, note in of[mark]:
            places = [place for skill in skills for place in occurrences(text, [skill])]
            what = (mark, *map(normalize_skill, skills))
            if places:
                placed.add(what)
            else:
                elsewhere.setdefault(what, Elsewhere(mark, " / ".join(skills)))
            for start, end in places:
                painted[start:end] = [(mark, note)] * (end - start)
    # Labelled and extracted in two spellings, of which one stands there.
    lost = tuple(each for what, each in elsewhere.items() if what not in placed)
    return tuple(_segments(text, painted)), lost


def _names(skills: Iterable[str]) -> set[str]:
    return {normalize_skill(skill) for skill in skills}


def _segments(text: str, painted: Sequence[tuple[Mark, str] | None]) -> Iterable[Segment]:
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or painted[end] != painted[start]:
            mark, note = painted[start] or (None, "")
            yield Segment(text[start:end], mark, note)
            start = end
