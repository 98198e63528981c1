"""Which of the rows that were looked at a run can use: cleaned, labelled and rejected as `format` does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

from skillsengine.draft.guess import Guess
from skillsengine.draft.look import Sample
from skillsengine.sources.reading.rows import RawRow, RowError, legal
from skillsengine.spec.schema import Data
from skillsengine.stages.cleaning import clean
from skillsengine.stages.labels import LabelFormat, parse_labels, verbatim
from skillsengine.stages.rows import Row, normalized_key
from skillsengine.stages.tally import NOTHING_VERBATIM

_CLEANING = Data.model_fields["cleaning"].default
_ALLOWED: float = Data.model_fields["max_rejected"].default


@dataclass
class Usable:
    """The rows as a run would have them, and how many it would reject."""

    rows: list[Row] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why rows are rejected -> how many."""
    first: str = ""
    """The first of them: file, place and reason."""

    @property
    def labelled(self) -> list[Row]:
        return [row for row in self.rows if row.skills is not None]

    @property
    def doubt(self) -> str:
        """That more rows are rejected than a run stands; empty where not."""
        rejected = self.reasons.total()
        seen = len(self.rows) + rejected
        if not rejected or (self.rows and rejected / seen <= _ALLOWED):
            return ""
        told = ", ".join(f"{reason}: {count:,}" for reason, count in self.reasons.most_common(3))
        return (
            f"{rejected:,} of {seen:,} rows would be rejected ({told}; the first: {self.first}), and a run stands "
            f"{_ALLOWED:.0%}: mend the rows, name other columns, or raise data.max_rejected"
        )

    def reject(self, row: RawRow, reason: str) -> None:
        self.reasons[reason] += 1
        self.first = self.first or f"{row.file}:{row.place}: {reason}"


def usable_rows(sample: Sample, guess: Guess) -> Usable:
    """Read the sample with the columns that were guessed."""
    usable = Usable()
    if sample.rejected:
        usable.reject(sample.rejected[0], sample.rejected[0].reason or "")
        usable.reasons = Counter({sample.rejected[0].reason or "": sample.rejected_count})
    for row, split in zip(sample.rows, sample.splits, strict=True):
        try:
            usable.rows.append(replace(_row(row, row.values or {}, guess), split=split))
        except RowError as error:
            usable.reject(row, error.reason)
    return usable


def _row(raw: RawRow, values: Mapping[str, Any], guess: Guess) -> Row:
    """Raises RowError where `format` rejects the row."""
    own = values.get(guess.id.value) if guess.id is not None else None
    name = legal(str("" if own is None else own).strip()) or f"{raw.file}:{raw.place}"
    found = values.get(guess.text.value)
    if not isinstance(found, str):
        raise RowError("the text is missing" if found is None else "the text is not a string")
    text = clean(legal(found), _CLEANING)
    if not any(map(str.isalnum, text)):
        raise RowError("the text is empty")
    skills = None
    if guess.labels.column is not None:
        column = guess.labels.column.value
        labels = parse_labels(values.get(column), column, _format(guess.labels.label_format.value))
        skills = None if labels is None else verbatim(labels, text, _CLEANING)[0]
        if labels and not skills:
            raise RowError(NOTHING_VERBATIM)
    return Row(name, text, None if skills is None else tuple(skills), normalized_key(text))


def _format(name: str) -> LabelFormat:
    if name not in get_args(LabelFormat):
        raise ValueError(f"no label format: {name}")
    return cast(LabelFormat, name)
