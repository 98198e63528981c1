"""Scores of parts of the ads: how good a subject is on short and on long ads, and on those of each source.

Each ad is in one slice by its length and in one by each field (`data.fields`), so the slices of a kind add up to all ads.
A slice has a name, `length=short` or `source=indeed`. Small slices stay: their interval says how little they tell.

The names need the standard library only: the gate compares two subjects slice by slice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from skillsengine.scoring.metrics import ratio

SHORT, LONG = 150, 500
"""Words: an ad with fewer than the first is short, with more than the second long. Fixed, so that all months are cut alike:
some sentences, as on a message board; up to a page; and beyond, where skills stand among a company's history and its benefits
(two thirds of the whole ads of SkillSpan)."""
MOST_VALUES = 20
"""Values of a field with a slice of their own, those with the most ads; the others are one. Of a field with thousands of
values, such as the employer, most slices would be of one ad and tell nothing."""
OTHER, NONE = "other", "none"
_LENGTH = "length"


def length_name(words: int) -> str:
    """`short`, `medium` or `long`."""
    return "short" if words < SHORT else "medium" if words <= LONG else "long"


def slice_names(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The slices that each row of `predictions.jsonl` is in: {"words", "fields": {..} where there are any}.

    Which values of a field have a slice of their own depends on the rows given; to compare two subjects, give the rows of both.
    Rows of before VERSION 4 of `evaluate` tell no length and are in none.
    """
    fields = sorted({name for row in rows for name in row.get("fields", {})})
    values = {name: [_value(row, name) for row in rows] for name in fields}
    for name, found in values.items():
        # The commonest first, of equally common ones by the alphabet: the same ads always have the same slices.
        counted = Counter(value for value in found if value != NONE)
        order = sorted(counted, key=lambda value: (-counted[value], value))
        kept = {*order[:MOST_VALUES], NONE}
        values[name] = [value if value in kept else OTHER for value in found]
    return [
        (
            *((f"{_LENGTH}={length_name(row['words'])}",) if "words" in row else ()),
            *(f"{_kind(name)}={found[place]}" for name, found in values.items()),
        )
        for place, row in enumerate(rows)
    ]


def slice_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | int]]:
    """Slice -> {"ads", "gold_skills", "f1", "f1_low", "f1_high", "precision", "recall"} over the labelled rows of
    `predictions.jsonl`; those by length first, then field by field, the largest first."""
    # Only here: scipy is slow to import, and the names do without.
    from skillsengine.scoring.intervals import counts, interval

    labelled = [row for row in rows if row["gold"] is not None]
    places: dict[str, list[int]] = {}
    for place, names in enumerate(slice_names(labelled)):
        for name in names:
            places.setdefault(name, []).append(place)
    ads = counts((row["gold"], row["predicted"]) for row in labelled)
    found: dict[str, dict[str, float | int]] = {}
    for name in sorted(places, key=lambda name: _order(name, len(places[name]))):
        part = ads[places[name]]
        gold, predicted, both = (int(count) for count in part.sum(axis=0))
        ends = interval(part, "f1")
        found[name] = {
            "ads": len(part),
            "gold_skills": gold,
            "f1": ratio(2 * both, gold + predicted),
            "f1_low": ends.low,
            "f1_high": ends.high,
            "precision": ratio(both, predicted),
            "recall": ratio(both, gold),
        }
    return found


def in_short(slices: Mapping[str, Mapping[str, float | int]]) -> dict[str, dict[str, float | int]]:
    """What of each slice a summary holds: {"ads", "gold_skills", "f1", "f1_low", "f1_high"}, scores to four places."""
    kept = ("ads", "gold_skills", "f1", "f1_low", "f1_high")
    return {name: {key: round(told[key], 4) for key in kept} for name, told in slices.items()}


def _kind(field: str) -> str:
    """A column that is called `length` is not the ad's length."""
    return f"fields.{field}" if field == _LENGTH else field


def _value(row: Mapping[str, Any], name: str) -> str:
    """The field's value on one line."""
    return " ".join(str(row.get("fields", {}).get(name, "")).split()) or NONE


def _order(name: str, ads: int) -> tuple[Any, ...]:
    kind, _, value = name.partition("=")
    if kind == _LENGTH:
        return 0, "", ("short", "medium", "long").index(value)
    return 1, kind, value in (OTHER, NONE), -ads, value
