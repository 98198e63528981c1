"""A record of a source as `format` takes it: cleaned, its labels verbatim, its spans moved, or rejected.

Light on purpose: `plan` compares the rows of a source with those of an artifact where the worker's packages are not installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from skillsengine.spec.schema import CleaningStep
from skillsengine.stages.cleaning import clean
from skillsengine.stages.labels import verbatim
from skillsengine.stages.reading import Record
from skillsengine.stages.spans import Span, place_spans
from skillsengine.stages.tally import NOTHING_VERBATIM


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A record and what cleaning made of it."""

    record: Record
    """With clean text and verbatim labels, or rejected."""
    labels_left_out: int = 0
    spans: tuple[Span, ...] | None = None
    """In the clean text; None where the source has none."""
    spans_not_placed: int = 0


def clean_record(record: Record, steps: Sequence[CleaningStep]) -> Cleaned:
    """Clean the text and find labels and spans in it again."""
    if record.reason is not None:
        return Cleaned(record)
    text, labels, left_out = clean(record.text, steps), record.labels, 0
    if not any(map(str.isalnum, text)):
        detail = "no letter or digit is left after cleaning"
        return Cleaned(replace(record, text=text, reason="the text is empty", detail=detail))
    if labels:
        labels, left_out = verbatim(labels, text, steps)
        if not labels:
            # `[]` would teach that this ad asks for nothing, which its labels deny.
            told = ", ".join(repr(label[:60]) for label in (record.labels or ())[:3])
            return Cleaned(replace(record, text=text, reason=NOTHING_VERBATIM, detail=told))
    clean_one = replace(record, text=text, labels=labels)
    if record.spans is None:
        return Cleaned(clean_one, left_out)
    spans, not_placed = place_spans(record.text, text, record.spans, steps)
    return Cleaned(clean_one, left_out, spans, not_placed)


def rejection(record: Record) -> str:
    """Why a record is rejected, as `rejected.jsonl` says it."""
    return f"{record.reason}: {record.detail}" if record.detail else str(record.reason)
