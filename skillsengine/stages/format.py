"""format: the ads of one partition -> clean, labelled, rendered rows; what cannot be used goes to `rejected.jsonl`.

Files: rows.jsonl (`skillsengine.stages.rows.Row`), rejected.jsonl ({"file", "line", "id", "reason", "text"}).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from skillsengine.modeling.answers import render_answer
from skillsengine.spec.schema import CleaningStep
from skillsengine.stages.cleaning import clean
from skillsengine.stages.contract import Progress, SourceFile, StageConfig, StageContext, StageError, Summary
from skillsengine.stages.reading import Columns, SourceReader
from skillsengine.stages.rows import REJECTED, ROWS, Row, normalized_key, write_rows
from skillsengine.storage.artifact import Artifact

VERSION = 1

_BATCH = 500
_EXCERPT = 200


def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """Read `config.files`, clean, render and write; returns the counts

    {"rows", "rejected", "with_labels", "empty_labels", "skills", "labels_not_in_text", "reasons": {reason: count}}.

    Raises StageError if a file changed since the plan was made, if no row has the text column, or if no row is usable.
    """
    spec = config.spec
    reader = SourceReader(config.files, Columns(spec.data.text, spec.data.labels, spec.data.id))
    cleaned = reader.dataset().map(
        clean_batch, batched=True, batch_size=_BATCH, fn_kwargs={"steps": tuple(spec.data.cleaning)}
    )
    tally = _Tally(config.files, config.limit.rows if config.limit else None)
    with (out / REJECTED).open("w", encoding="utf-8") as rejected:
        write_rows(out / ROWS, _rows(cleaned, spec.prompt.template, tally, rejected, reader, context))
    reader.verify()
    if tally.rows == 0:
        raise StageError(_nothing_usable(config.files, reader, tally))
    return tally.summary()


def clean_batch(batch: dict[str, list[Any]], steps: Sequence[CleaningStep]) -> dict[str, list[Any]]:
    """Columns of `Record` -> the same with clean `text`, verbatim `labels`, and `dropped`: labels left out."""
    dropped = [0] * len(batch["text"])
    for i, (text, labels, reason) in enumerate(zip(batch["text"], batch["labels"], batch["reason"], strict=True)):
        if reason is not None:
            continue
        batch["text"][i] = cleaned = clean(text, steps)
        if not any(char.isalnum() for char in cleaned):
            batch["reason"][i], batch["detail"][i] = "the text is empty", "no letter or digit is left after cleaning"
        elif labels:
            skills, dropped[i] = verbatim(labels, cleaned, steps)
            batch["labels"][i] = skills
            if not skills:
                # `[]` would teach that this ad asks for nothing, which its labels deny.
                batch["reason"][i] = "none of the labels stands in the text"
                batch["detail"][i] = ", ".join(repr(label[:60]) for label in labels[:3])
    return {**batch, "dropped": dropped}


def verbatim(labels: Iterable[str], text: str, steps: Sequence[CleaningStep]) -> tuple[list[str], int]:
    """(skills, dropped): the labels as they stand in the cleaned text, in order of first occurrence, each once.

    A label is cleaned as the text was. One that does not stand in the text letter by letter is dropped and counted, for
    the answer must be verbatim; a repetition, also in another case, is left out and not counted.
    """
    placed: dict[str, tuple[int, int, str]] = {}
    dropped = 0
    for label in labels:
        found = next((form for form in (clean(label, steps).strip(), label.strip()) if form and form in text), None)
        if found is None:
            dropped += 1
            continue
        place = (_first_place(found, text), len(found), found)
        placed[found.casefold()] = min(place, placed.get(found.casefold(), place))
    return [skill for _, _, skill in sorted(placed.values())], dropped


def _first_place(skill: str, text: str) -> int:
    """Where the skill first stands as whole words, else where its letters do (`Java` in `JavaScript`)."""
    whole = re.search(rf"(?<!\w){re.escape(skill)}(?!\w)", text)
    return whole.start() if whole else text.index(skill)


class _Tally:
    """The counts of a run, and the smoke test's limit."""

    def __init__(self, files: Sequence[SourceFile], limit: int | None) -> None:
        self.rows = self.rejected = self.with_labels = self.empty_labels = self.skills = self.dropped = 0
        self.reasons: Counter[str] = Counter()
        self.first: list[str] = []
        splits = sorted({file.split or "" for file in files}, key=("train", "validation", "test", "").index)
        # Where files name the splits, each gets its share of the limit: the first N rows could all be the test's.
        self._left = None if limit is None else {s: _share(limit, i, len(splits)) for i, s in enumerate(splits)}

    def wants(self, split: str | None) -> bool:
        return self._left is None or self._left[split or ""] > 0

    @property
    def full(self) -> bool:
        return self._left is not None and not any(self._left.values())

    def add(self, row: Row, dropped: int) -> None:
        self.rows += 1
        self.dropped += dropped
        if self._left is not None:
            self._left[row.split or ""] -= 1
        if row.skills is not None:
            self.with_labels += 1
            self.empty_labels += not row.skills
            self.skills += len(row.skills)

    def reject(self, reason: str, where: str) -> None:
        self.rejected += 1
        self.reasons[reason] += 1
        if len(self.first) < 3:
            self.first.append(where)

    def summary(self) -> Summary:
        return {
            "rows": self.rows,
            "rejected": self.rejected,
            "with_labels": self.with_labels,
            "empty_labels": self.empty_labels,
            "skills": self.skills,
            "labels_not_in_text": self.dropped,
            "reasons": dict(sorted(self.reasons.items())),
        }


def _share(limit: int, place: int, of: int) -> int:
    return limit // of + (place < limit % of)


def _rows(
    cleaned: Iterable[Mapping[str, Any]],
    template: str,
    tally: _Tally,
    rejected: TextIO,
    reader: SourceReader,
    context: StageContext,
) -> Iterator[Row]:
    """The usable rows, up to the limit; the others are written to `rejected` on the way."""
    for record in cleaned:
        if (tally.rows + tally.rejected) % _BATCH == 0:
            context.report(Progress(f"{tally.rows} rows, {tally.rejected} rejected", fraction=reader.fraction))
        if record["reason"] is not None:
            reason = f"{record['reason']}: {record['detail']}" if record["detail"] else record["reason"]
            tally.reject(record["reason"], f"{record['file']}:{record['line']}: {reason}")
            entry = {key: record[key] for key in ("file", "line", "id")}
            entry |= {"reason": reason, "text": record["text"][:_EXCERPT]}
            rejected.write(json.dumps(entry, ensure_ascii=False) + "\n")
        elif tally.wants(record["split"]):
            row = _render(record, template)
            tally.add(row, record["dropped"])
            yield row
            if tally.full:
                break
    context.report(Progress(f"{tally.rows} rows, {tally.rejected} rejected", fraction=1.0))


def _render(record: Mapping[str, Any], template: str) -> Row:
    skills = None if record["labels"] is None else tuple(record["labels"])
    return Row(
        id=record["id"],
        text=record["text"],
        skills=skills,
        prompt=template.replace("{text}", record["text"]),
        answer=None if skills is None else render_answer(skills),
        key=normalized_key(record["text"]),
        split=record["split"],
    )


def _nothing_usable(files: Sequence[SourceFile], reader: SourceReader, tally: _Tally) -> str:
    """Why there is no row, and the mend."""
    where = ", ".join(str(file.path) for file in files) or "no file"
    if reader.lines == 0:
        return f"{where}: no lines. A source is JSON lines: one object a line, with the columns that the spec names."
    named = reader.named
    if reader.columns and named.text not in reader.columns:
        found = ", ".join(f"`{column}`" for column, _ in reader.columns.most_common(12))
        return (
            f"{where}: no row has a column `{named.text}`. The columns are {found}. "
            "Set data.text to the one that holds the ad (and data.labels and data.id to the skills and the id)."
        )
    counts = ", ".join(f"{reason}: {count}" for reason, count in tally.reasons.most_common())
    mend = "Mend these lines, or set data.text, data.labels and data.id to the columns that are meant."
    if not reader.columns:
        mend = "A source is JSON lines in UTF-8: one object a line (not one list over many lines, not CSV)."
    first = "\n".join(f"  {line}" for line in tally.first)
    return f"{where}: none of {reader.lines} lines is usable ({counts}). The first:\n{first}\n{mend}"
