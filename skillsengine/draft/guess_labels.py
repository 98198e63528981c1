"""Which column holds the skills, and how a row holds them.

The best evidence is the ad itself: labels are verbatim, so the pieces of the right column, split the right way, stand in the
text of their own row. Every column is read in every way and judged by the share of its pieces that do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skillsengine.draft.choice import Choice
from skillsengine.draft.columns import Column, chosen, shown
from skillsengine.draft.names import LABELS, NO_LABELS
from skillsengine.sources.reading.rows import RowError
from skillsengine.spec.schema import Data
from skillsengine.stages.cleaning import clean
from skillsengine.stages.labels import LabelFormat, parse_labels, verbatim

_ROWS = 1000
"""Rows that the evidence is taken from."""
_STEPS = Data.model_fields["cleaning"].default
_SURE = 0.5
"""Share of pieces in the text from which on a column without a telling name may be the labels."""
_POOR = 0.8
"""Below this share the spec says that many labels are lost."""
_ALIKE = 0.15
_OTHER_SEPARATORS = {"|": "`|`", "\n": "line breaks", "\t": "tabs", "/": "`/`"}


@dataclass(frozen=True)
class Reading:
    """One column read in one way."""

    column: str
    label_format: LabelFormat
    rows: int
    """Rows with at least one label."""
    unreadable: int
    """Rows whose value is not what `label_format` says."""
    labels: int
    found: int
    """Labels that stand in their row's text letter by letter."""
    words: float
    """Mean words of a label."""

    @property
    def share(self) -> float:
        return self.found / self.labels if self.labels else 0.0

    @property
    def per_row(self) -> float:
        return self.labels / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Labels:
    """What is said about labels."""

    column: Choice | None
    """None: there are none."""
    label_format: Choice
    readable: bool = True
    """False where the labels are separated by something that no format reads."""
    longest: int = 0
    """Characters of a long answer (the 99th percentile), as JSON."""
    share: float = 0.0


def guess_labels(columns: Sequence[Column], text: Column, option: str | None) -> Labels:
    """The column with the skills and its format. `option` is what --labels says. Raises DraftError for a column that is not
    there."""
    ads = [clean(value, _STEPS) if isinstance(value, str) else "" for value in text.values[:_ROWS]]
    if option is not None:
        column = chosen(columns, option, "--labels")
        readings = _readings(column, ads)
        if not readings:
            why = f"as --labels says, though no row of it could be read as a list of skills ({_kinds(column)})"
            return Labels(Choice(column.name, why), Choice("list", ""), readable=False)
        return _told(column, _best(readings), f"as --labels says; {_described(_best(readings), ads)}", "")
    candidates = []
    for column in columns:
        if column is not text and (readings := _readings(column, ads)):
            best = _best(readings)
            if _plausible(column, best, text):
                candidates.append((_score(column, best), column, best))
    if not candidates:
        return Labels(None, Choice("list", ""))
    candidates.sort(key=lambda candidate: -candidate[0])
    _, column, best = candidates[0]
    others = [other.name for score, other, _ in candidates[1:] if score > 0.7 * candidates[0][0]]
    doubt = f"{shown(others, 3)} could hold skills too: `--labels {others[0]}` takes that" if others else ""
    return _told(column, best, _described(best, ads), doubt)


def _told(column: Column, best: Reading, why: str, doubt: str) -> Labels:
    other = _other_separator(column, best)
    if best.share < _POOR and not other:
        missing = (
            f"{best.labels - best.found:,} of {best.labels:,} labels do not stand in their texts letter by letter; they are left "  # noqa: E501
            "out of the answers, and counted"
        )
        doubt = f"{missing}; {doubt}" if doubt else missing
    if other:
        doubt = (
            f"a row's skills seem to be separated by {_OTHER_SEPARATORS[other]}, which no label_format reads: write them with `;` "  # noqa: E501
            "between, or as a JSON list"
        )
    told = {
        "list": "each row holds a list",
        "json": "a list written as text, as JSON or as Python prints it",
        "comma": "separated by commas",
        "semicolon": "separated by semicolons",
    }[best.label_format]
    return Labels(
        Choice(column.name, why, doubt),
        Choice(best.label_format, told),
        readable=not other,
        longest=_long_answer(column, best.label_format),
        share=best.share,
    )


def _readings(column: Column, ads: Sequence[str]) -> list[Reading]:
    formats: tuple[LabelFormat, ...] = ("list",) if len(column.lists) * 2 > len(column.filled) else ()
    if not formats and len(column.texts) * 2 > len(column.filled):
        listed = sum(text.strip().startswith("[") for text in column.texts)
        formats = ("json",) if listed * 2 > len(column.texts) else ("semicolon", "comma")
    readings = [_read(column, ads, kind) for kind in formats]
    return [reading for reading in readings if reading.labels]


def _read(column: Column, ads: Sequence[str], label_format: LabelFormat) -> Reading:
    rows = unreadable = labels = found = words = 0
    for value, ad in zip(column.values, ads, strict=False):
        try:
            parsed = parse_labels(value, column.name, label_format)
        except RowError:
            unreadable += 1
            continue
        if parsed:
            rows += 1
            labels += len(parsed)
            found += len(parsed) - verbatim(parsed, ad, _STEPS)[1]
            words += sum(len(label.split()) for label in parsed)
    return Reading(column.name, label_format, rows, unreadable, labels, found, words / labels if labels else 0.0)


def _best(readings: Sequence[Reading]) -> Reading:
    """The way of reading whose pieces stand in the text; among those that do so equally well, the one that finds most.

    Where neither comma nor semicolon occurs, semicolon comes first: a later label may well hold a comma.
    """
    top = max(reading.share for reading in readings)
    return max((reading for reading in readings if reading.share >= top - _ALIKE), key=lambda reading: reading.found)


def _plausible(column: Column, best: Reading, text: Column) -> bool:
    if best.unreadable > best.rows:
        return False
    if column.says(LABELS):
        # A column `requirements` may hold whole paragraphs: another part of the ad.
        return best.words <= 12
    if column.says(NO_LABELS) or column.characters > text.characters:
        return False
    return best.share >= _SURE and best.per_row >= 1.5 and best.words <= 8


def _score(column: Column, best: Reading) -> float:
    filled = best.rows / max(1, min(len(column.values), _ROWS))
    return best.share + (1.0 if column.says(LABELS[:2]) else 0.5 if column.says(LABELS) else 0.0) + 0.2 * filled


def _described(best: Reading, ads: Sequence[str]) -> str:
    labelled = f"{best.rows:,} of {len(ads):,} rows have some" if best.rows < len(ads) else "every row has some"
    return f"{best.per_row:.1f} skills a row, {best.share:.0%} of them in the row's text; {labelled}"


def _other_separator(column: Column, best: Reading) -> str | None:
    """What separates the skills, if it is nothing that is read."""
    if best.label_format in ("list", "json") or best.per_row > 1.3:
        return None
    for mark in _OTHER_SEPARATORS:
        if sum(text.strip().count(mark) for text in column.texts) >= len(column.texts):
            return mark
    return None


def _long_answer(column: Column, label_format: LabelFormat) -> int:
    lengths = []
    for value in column.values[:_ROWS]:
        try:
            parsed = parse_labels(value, column.name, label_format)
        except RowError:
            continue
        if parsed is not None:
            lengths.append(2 + sum(len(label) + 4 for label in parsed))
    return sorted(lengths)[(len(lengths) - 1) * 99 // 100] if lengths else 0


def _kinds(column: Column) -> str:
    kinds: dict[str, Any] = dict.fromkeys(type(value).__name__ for value in column.filled)
    return f"it holds {', '.join(kinds)}" if kinds else "it is empty"
