"""One column read as lists of skills, in every way that its values allow, and how much of it stands in the ads.

Bounded: of a row at most a hundred labels are looked for, in the first part of its text, for one cell may hold megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skillsengine.draft.columns import Column
from skillsengine.sources.reading.rows import RowError
from skillsengine.spec.schema import Data
from skillsengine.stages.cleaning import clean
from skillsengine.stages.labels import LabelFormat, parse_labels, verbatim

ROWS = 1000
"""Rows that the evidence is taken from."""
OTHER_SEPARATORS = {"|": "`|`", "\n": "line breaks", "\t": "tabs", "/": "`/`", "•": "`•`", "·": "`·`"}
"""That no `label_format` reads, in words."""
_STEPS = Data.model_fields["cleaning"].default
_LABELS_OF_A_ROW = 100
_CHARACTERS_OF_AN_AD = 100_000
_SINGLE = 1.3
"""Labels a row up to which something else than the separator at hand may stand between them."""
_ALIKE = 0.15


@dataclass(frozen=True)
class Reading:
    """One column read in one way."""

    label_format: LabelFormat
    separator: str
    """One of `OTHER_SEPARATORS`, or empty where `label_format` says it all."""
    rows: int
    """Rows with at least one label."""
    unreadable: int
    """Rows whose value is not what `label_format` says."""
    why: str
    """Of the first of them."""
    labels: int
    checked: int
    """Labels that were looked for in their row's text."""
    found: int
    """Those that stand there letter by letter."""
    words: float
    """Mean words of a label."""
    longest: int
    """Characters of a long answer (the 99th percentile), as JSON."""

    @property
    def share(self) -> float:
        return self.found / self.checked if self.checked else 0.0

    @property
    def per_row(self) -> float:
        return self.labels / self.rows if self.rows else 0.0


def ads_of(text: Column) -> list[str]:
    """The ads that labels are looked for in, clean; empty where a row has none."""
    return [
        clean(value[:_CHARACTERS_OF_AN_AD], _STEPS) if isinstance(value, str) else "" for value in text.values[:ROWS]
    ]


def readings(column: Column, ads: Sequence[str]) -> list[Reading]:
    """The ways to read a column; none where most of it is neither text nor list. A list counts as one in each."""
    if 2 * (len(column.texts) + len(column.lists)) <= len(column.filled):
        return []
    if not column.texts:
        return [_read(column, ads, "list")]
    listed = sum(text.strip().startswith("[") for text in column.texts)
    if listed * 2 > len(column.texts):
        return [_read(column, ads, "json")]
    found = [_read(column, ads, "semicolon"), _read(column, ads, "comma")]
    if all(reading.per_row <= _SINGLE for reading in found):
        for mark in OTHER_SEPARATORS:
            if sum(text.strip().count(mark) for text in column.texts) >= len(column.texts):
                found.append(_read(column, ads, "semicolon", mark))
    return found


def best_of(found: Sequence[Reading]) -> Reading:
    """The way whose pieces stand in the text; among those that do so equally well, the one that finds most.

    Where neither comma nor semicolon occurs, semicolon comes first: a later label may well hold a comma.
    """
    top = max(reading.share for reading in found)
    alike = [reading for reading in found if reading.share >= top - _ALIKE]
    return max(alike, key=lambda reading: (reading.found, reading.per_row > _SINGLE))


def _read(column: Column, ads: Sequence[str], label_format: LabelFormat, separator: str = "") -> Reading:
    rows = unreadable = labels = checked = found = words = 0
    why, lengths = "", []
    for value, ad in zip(column.values, ads, strict=False):
        try:
            parsed = _parse(value, column.name, label_format, separator)
        except RowError as error:
            unreadable, why = unreadable + 1, why or str(error)
            continue
        if parsed is not None:
            lengths.append(2 + sum(len(label) + 4 for label in parsed))
        if parsed:
            looked_for = parsed[:_LABELS_OF_A_ROW]
            rows += 1
            labels += len(parsed)
            checked += len(looked_for)
            found += len(looked_for) - verbatim(looked_for, ad, _STEPS)[1]
            words += sum(len(label.split()) for label in looked_for)
    return Reading(
        label_format=label_format,
        separator=separator,
        rows=rows,
        unreadable=unreadable,
        why=why,
        labels=labels,
        checked=checked,
        found=found,
        words=words / checked if checked else 0.0,
        longest=sorted(lengths)[(len(lengths) - 1) * 99 // 100] if lengths else 0,
    )


def _parse(value: Any, column: str, label_format: LabelFormat, separator: str) -> list[str] | None:
    if separator and isinstance(value, str):
        return [piece for part in value.split(separator) if (piece := part.strip())] or None
    return parse_labels(value, column, label_format)
