"""format: the ads of one partition -> clean, labelled rows; what cannot be used goes to `rejected.jsonl`.

Files: rows.jsonl (`skillsengine.stages.rows.Row`), rows.npy and signatures.npy (`skillsengine.stages.row_writer`),
rejected.jsonl ({"file", "place", "id", "reason", "text"}; place: the line, in Parquet and JSON lists the row's number).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from skillsengine.sources.reading.rows import EXCERPT
from skillsengine.spec.schema import CleaningStep, Data
from skillsengine.stages.annotations import Joined
from skillsengine.stages.contract import Progress, StageConfig, StageContext, Summary
from skillsengine.stages.ids import Claim, Ids
from skillsengine.stages.reading import Columns, Record, SourceReader
from skillsengine.stages.records import Cleaned, clean_record, rejection
from skillsengine.stages.row_writer import write_rows
from skillsengine.stages.rows import REJECTED, Row, normalized_key
from skillsengine.stages.tally import Tally
from skillsengine.storage.artifact import Artifact

VERSION = 5

_ROWS_BETWEEN_REPORTS = 500


def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """Read `config.files`, clean and write; returns the counts

    {"rows", "rejected", "with_labels", "unlabelled", "empty_labels", "skills", "labels_not_in_text", "spans": those
    that were placed in the cleaned text, "spans_not_placed", "duplicate_ids": rows whose id another text had before,
    "copied_rows": rows with id and text of an earlier one, "splits": those that files are named for, "reasons": {reason:
    count}, "notes": what the readers found out by themselves}, and what `annotations.Joined.summary` adds.

    Raises StageError if a file cannot be read or has changed since the plan was made, if no row has the text column, if no
    row is usable, or if a larger share than `data.max_rejected` is rejected. A row is held at a time, and its id in at most
    60 bytes.
    """
    data = config.spec.data
    ads = tuple(file for file in config.files if not file.labels)
    reader, joined = SourceReader(ads, _columns(data), context.connect), Joined.of(config.files)
    tally = Tally(ads, config.limit.rows if config.limit else None)
    with (out / REJECTED).open("w", encoding="utf-8") as rejected:
        write_rows(out, _rows(reader, joined, tuple(data.cleaning), tally, rejected, context))
    reader.verify()
    tally.check(reader, data.max_rejected)
    return tally.summary(reader.notes) | joined.summary()


def _columns(data: Data) -> Columns:
    return Columns(
        text=data.text,
        labels=data.labels,
        id=data.id,
        label_format=data.label_format,
        date=data.date_column,
        period=data.period,
        spans=data.spans,
        fields=data.fields,
    )


def _rows(
    reader: SourceReader,
    joined: Joined,
    steps: Sequence[CleaningStep],
    tally: Tally,
    rejected: TextIO,
    context: StageContext,
) -> Iterator[Row]:
    """The usable rows, up to the limit; the others are written to `rejected` on the way."""
    ids = Ids()
    for read, raw in enumerate(reader.records()):
        if read and read % _ROWS_BETWEEN_REPORTS == 0:
            context.report(Progress(_told(tally, reader), fraction=reader.fraction))
        cleaned = clean_record(raw, steps)
        record = cleaned.record
        if record.reason is not None:
            why = rejection(record)
            tally.reject(record, why)
            entry = {"file": record.file, "place": record.place, "id": record.id}
            entry |= {"reason": why, "text": record.text[:EXCERPT]}
            rejected.write(json.dumps(entry, ensure_ascii=False) + "\n")
        elif tally.wants(record.split):
            key = normalized_key(record.text)
            name = _unique(record, key, ids, tally)
            cleaned = joined.of_row(name, cleaned, steps)
            row = _row(name, key, cleaned)
            tally.add(row, cleaned.labels_left_out, cleaned.spans_not_placed)
            yield row
            if tally.full:
                break
    context.report(Progress(_told(tally, reader), fraction=1.0))


def _row(name: str, key: str, cleaned: Cleaned) -> Row:
    record = cleaned.record
    skills = None if record.labels is None else tuple(record.labels)
    return Row(name, record.text, skills, key, record.split, cleaned.spans, record.fields)


def _unique(record: Record, key: str, ids: Ids, tally: Tally) -> str:
    """The row's id; where another text has it already, with the row's place behind it."""
    text = int(key, 16)
    claim = ids.claim(record.id, text)
    tally.copies += claim is Claim.COPY
    tally.duplicate_ids += claim is Claim.TAKEN
    name, attempt = record.id, 1
    while claim is Claim.TAKEN:
        # The place is enough but for files of one name in several folders.
        name = f"{record.id}@{record.name}" + (f"~{attempt}" if attempt > 1 else "")
        claim, attempt = ids.claim(name, text), attempt + 1
    return name


def _told(tally: Tally, reader: SourceReader) -> str:
    undated = f"; {reader.undated} rows have no date and are in no partition" if reader.undated else ""
    return f"{tally.rows} rows, {tally.rejected} rejected{undated}"
