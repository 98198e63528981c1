"""Where two versions answer differently: the ads, the more telling ones first, with both answers marked in their text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from skillsengine.scoring.comparison import paired
from skillsengine.scoring.matching import normalize_skill, skill_set
from skillsengine.scoring.places import occurrences
from skillsengine.stages.rows import read_rows
from skillsengine.storage.artifact import Artifact

Row = Mapping[str, Any]
"""A line of `predictions.jsonl`."""
Which = Literal["a", "b", "equal", "unlabelled"]
"""Who does better on an ad: the one with fewer skills missed or invented."""


class Disagreement(NamedTuple):
    """One ad that the two answer differently; small, since there may be thousands."""

    line_a: int
    """Of the ad in a's `predictions.jsonl`, from 0."""
    line_b: int
    wrong_a: int | None
    """Skills that a missed or invented; None without labels."""
    wrong_b: int | None
    apart: int
    """Skills that only one of them has."""

    @property
    def better(self) -> Which:
        if self.wrong_a is None or self.wrong_b is None:
            return "unlabelled"
        return "equal" if self.wrong_a == self.wrong_b else "a" if self.wrong_a < self.wrong_b else "b"


@dataclass(frozen=True)
class Disagreements:
    """Of two subjects on the ads that both were asked for."""

    ads: int
    """How many those are."""
    found: tuple[Disagreement, ...]
    """First those where one is right and the other wrong, then by how much more the one gets wrong."""

    def of(self, which: Which | None) -> tuple[Disagreement, ...]:
        return self.found if which is None else tuple(each for each in self.found if each.better == which)


@dataclass(frozen=True)
class Said:
    """A skill that one of them, or the labels, have."""

    skill: str
    a: bool
    b: bool
    gold: bool | None
    """Whether it is labelled; None of an ad without labels."""
    in_text: bool


@dataclass(frozen=True)
class Piece:
    """A run of text that is marked alike. The pieces of an ad, joined, are its text."""

    text: str
    a: bool
    """Whether it is part of a skill that a extracted."""
    b: bool
    right_a: bool | None
    """Whether that skill is labelled; None without labels."""
    right_b: bool | None
    gold: bool | None
    """Whether it is part of a labelled skill, whoever found it."""


@dataclass(frozen=True)
class Ad:
    """One ad with both answers."""

    id: str
    wrong_a: int | None
    wrong_b: int | None
    skills: tuple[Said, ...]
    """In the order of the labels, then of a's answer, then of b's."""
    pieces: tuple[Piece, ...]
    """Empty where the ad's text is no longer in the store."""
    cut: bool
    """Whether the text is longer than what is shown."""


def disagreements(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> Disagreements:
    """Of two `predictions.jsonl`, ads matched as `scoring.comparison` matches them."""
    numbered = [[{**row, "line": line} for line, row in enumerate(rows)] for rows in (rows_a, rows_b)]
    pairs = paired(*numbered)
    found = [apart for a, b in pairs if (apart := _apart(a, b)) is not None]
    return Disagreements(len(pairs), tuple(sorted(found, key=_order)))


def _apart(a: Row, b: Row) -> Disagreement | None:
    said_a, said_b = skill_set(a["predicted"]), skill_set(b["predicted"])
    if said_a == said_b:
        return None
    gold = None if a["gold"] is None else skill_set(a["gold"])
    wrong_a, wrong_b = (None if gold is None else len(gold ^ said) for said in (said_a, said_b))
    return Disagreement(a["line"], b["line"], wrong_a, wrong_b, len(said_a ^ said_b))


def _order(found: Disagreement) -> tuple[Any, ...]:
    if found.wrong_a is None or found.wrong_b is None:
        return 2, 0, -found.apart, found.line_a
    one_is_right = min(found.wrong_a, found.wrong_b) == 0 < max(found.wrong_a, found.wrong_b)
    return not one_is_right, -abs(found.wrong_a - found.wrong_b), -found.apart, found.line_a


def ads(
    found: Sequence[Disagreement], a: Artifact, b: Artifact, formatted: Artifact | None, most_characters: int = 4_000
) -> tuple[Ad, ...]:
    """Some of the disagreements with their texts, which are in `formatted`; labels are those of a's evaluation."""
    rows_a, rows_b = _lines(a, [each.line_a for each in found]), _lines(b, [each.line_b for each in found])
    wanted = {(row["id"], row["key"]) for row in rows_a.values()}
    texts = {} if formatted is None else dict(_texts(formatted, wanted))
    return tuple(
        _ad(each, row, rows_b[each.line_b], texts.get((row["id"], row["key"])), most_characters)
        for each in found
        for row in (rows_a[each.line_a],)
    )


def _lines(cell: Artifact, wanted: Iterable[int]) -> dict[int, Row]:
    places = set(wanted)
    with cell.file("predictions.jsonl").open(encoding="utf-8") as lines:
        return {place: json.loads(line) for place, line in enumerate(lines) if place in places}


def _texts(formatted: Artifact, wanted: set[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], str]]:
    left = set(wanted)
    for row in read_rows(formatted):
        if not left:
            return
        if (row.id, row.key) in left:
            left.remove((row.id, row.key))
            yield (row.id, row.key), row.text


def _ad(found: Disagreement, a: Row, b: Row, text: str | None, most: int) -> Ad:
    answers = (a["gold"] or (), a["predicted"], b["predicted"])
    spelled: dict[str, list[str]] = {}
    for skill in (skill for answer in answers for skill in answer):
        spelled.setdefault(normalize_skill(skill), []).append(skill)
    spelled.pop("", None)
    gold, said_a, said_b = map(skill_set, answers)
    labelled = a["gold"] is not None
    places = {name: occurrences(text or "", spellings) for name, spellings in spelled.items()}
    skills = tuple(
        Said(spellings[0], name in said_a, name in said_b, name in gold if labelled else None, bool(places[name]))
        for name, spellings in spelled.items()
    )
    covered = [
        _covered(len(text or ""), (places[name] for name in names))
        for names in (said_a, said_b, said_a & gold, said_b & gold, gold)
    ]
    return Ad(
        id=str(a["id"]),
        wrong_a=found.wrong_a,
        wrong_b=found.wrong_b,
        skills=skills,
        pieces=tuple(_pieces((text or "")[:most], covered, labelled=labelled)),
        cut=len(text or "") > most,
    )


def _covered(length: int, places: Iterable[Sequence[tuple[int, int]]]) -> bytearray:
    """1 at each character of any of these places."""
    covered = bytearray(length)
    for start, end in (place for each in places for place in each):
        covered[start:end] = b"\1" * (end - start)
    return covered


def _pieces(text: str, covered: Sequence[bytearray], *, labelled: bool) -> Iterator[Piece]:
    marks = list(zip(*covered, strict=True))
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or marks[end] != marks[start]:
            a, b, right_a, right_b, gold = map(bool, marks[start])
            told = (right_a, right_b, gold) if labelled else (None, None, None)
            yield Piece(text[start:end], a, b, *told)
            start = end
