"""A record of a source as `format` takes it: cleaned, its labels verbatim, or rejected.

Light on purpose: `plan` compares the rows of a source with those of an artifact where the worker's packages are not installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from skillsengine.spec.schema import CleaningStep
from skillsengine.stages.cleaning import clean
from skillsengine.stages.labels import verbatim
from skillsengine.stages.reading import Record
from skillsengine.stages.tally import NOTHING_VERBATIM


def clean_record(record: Record, steps: Sequence[CleaningStep]) -> tuple[Record, int]:
    """(the record with clean text and verbatim labels, or rejected; how many labels were left out)."""
    if record.reason is not None:
        return record, 0
    text, labels, dropped = clean(record.text, steps), record.labels, 0
    if not any(map(str.isalnum, text)):
        return replace(
            record, text=text, reason="the text is empty", detail="no letter or digit is left after cleaning"
        ), 0
    if labels:
        labels, dropped = verbatim(labels, text, steps)
        if not labels:
            # `[]` would teach that this ad asks for nothing, which its labels deny.
            told = ", ".join(repr(label[:60]) for label in (record.labels or ())[:3])
            return replace(record, text=text, reason=NOTHING_VERBATIM, detail=told), 0
    return replace(record, text=text, labels=labels), dropped


def rejection(record: Record) -> str:
    """Why a record is rejected, as `rejected.jsonl` says it."""
    return f"{record.reason}: {record.detail}" if record.detail else str(record.reason)
