"""The counts of a `format` run, the smoke test's limit, and what is said when too little is usable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from skillsengine.sources.reading.formats import format_of
from skillsengine.sources.reading.mends import LATIN, iconv, through
from skillsengine.sources.reading.rows import NOT_UTF8, NUL, TOO_LONG, shown
from skillsengine.stages.contract import SourceFile, StageError, Summary
from skillsengine.stages.labels import NOT_A_LIST, PRINTED_BY_NUMPY, WRITTEN_OTHERWISE
from skillsengine.stages.reading import Record, SourceReader
from skillsengine.stages.rows import Row
from skillsengine.stages.spans import NOT_A_SPAN, SPANS_NOT_A_LIST

NOTHING_VERBATIM = "none of the labels stands in the text"
_SHOWN = 3
_COLUMN = 60
"""Characters of a column's name: without a header it may be a whole ad."""
_HEADER = " If these are no names, the file has no header: put one as its first line."

_LINES_MEND = (
    "In a file whose name ends in .jsonl each line is one whole object. Objects over many lines become that by: {jq}; a list "
    "belongs into a file whose name ends in .json, cells with commas between them into one that ends in .csv. If the file is "
    "cut off, copy or write it again."
)
_SPANS_MEND = (
    "A column of data.spans holds a list of [start, end] or [start, end, text], counted in characters of the ad. Mend these "
    "rows, or take the column out of data.spans."
)
# Reason -> what to do about many rows that have it.
_MENDS = {
    NOT_UTF8: "Convert the file to UTF-8: {iconv} (if it is in that encoding).",
    NUL: "A full disk, a crash or a copy that broke off leaves a file like this. Copy or write it again, whole.",
    TOO_LONG: "No ad is that long: a quote or a line break may be missing. Mend these rows, or take them out.",
    "not JSON": _LINES_MEND,
    "not a JSON object": 'A row is an object whose keys are the columns\' names: {"job_description": "...", "skills": [...]}.',
    "mixed columns": (
        "Quote the cells that hold a separator or a line break: every writer of CSV can. If the file is cut off, copy or write "
        "it again."
    ),
    "not CSV": "Double the quotes that belong to a text, and put the whole cell in quotes: every writer of CSV can.",
    NOT_A_LIST: "Set data.label_format to what the labels are: list, comma, semicolon or json.",
    WRITTEN_OTHERWISE: "Set data.label_format to json.",
    PRINTED_BY_NUMPY: "Write the labels with json.dumps(list(labels)), and set data.label_format to json.",
    SPANS_NOT_A_LIST: _SPANS_MEND,
    NOT_A_SPAN: _SPANS_MEND,
    NOTHING_VERBATIM: (
        "Labels must stand in the text letter by letter. Is data.labels the right column, and data.label_format what "
        "separates them?"
    ),
}
_MENDS_IN_PARQUET = {NOT_UTF8: "Write the column again as text in UTF-8."}
_MENDS_IN_JSON = {
    "not JSON": "Each item of the list is one object. Mend these, or write the file again with a library for JSON."
}
_MEND = "Mend these rows, or set data.text, data.labels and data.id to the columns that are meant."


def _mend(reason: str, name: str) -> str:
    """What to do about many rows of the file `name` that have this reason."""
    kind = format_of(name)
    own = {"Parquet": _MENDS_IN_PARQUET, "JSON": _MENDS_IN_JSON}.get(kind.name if kind else "", {})
    mend = own.get(reason) or _MENDS.get(reason, _MEND)
    return mend.replace("{iconv}", iconv(name, LATIN)).replace("{jq}", through("jq -c .", name, "lines-"))


class Tally:
    """What was counted so far."""

    def __init__(self, files: Sequence[SourceFile], limit: int | None) -> None:
        self.rows = self.rejected = self.with_labels = self.empty_labels = self.skills = self.dropped = 0
        self.duplicate_ids = self.copies = self.spans = self.spans_not_placed = 0
        self.reasons: Counter[str] = Counter()
        self.first: list[str] = []
        splits = sorted({file.split or "" for file in files}, key=("train", "validation", "test", "").index)
        self._splits = [split for split in splits if split]
        # Where files name the splits, each gets its share of the limit: the first N rows could all be the test's.
        self._left = None if limit is None else {s: _share(limit, i, len(splits)) for i, s in enumerate(splits)}

    def wants(self, split: str | None) -> bool:
        return self._left is None or self._left[split or ""] > 0

    @property
    def full(self) -> bool:
        return self._left is not None and not any(self._left.values())

    def add(self, row: Row, dropped: int, spans_not_placed: int) -> None:
        self.rows += 1
        self.dropped += dropped
        self.spans += len(row.spans or ())
        self.spans_not_placed += spans_not_placed
        if self._left is not None:
            self._left[row.split or ""] -= 1
        if row.skills is not None:
            self.with_labels += 1
            self.empty_labels += not row.skills
            self.skills += len(row.skills)

    def reject(self, record: Record, why: str) -> None:
        self.rejected += 1
        self.reasons[record.reason or ""] += 1
        if len(self.first) < _SHOWN:
            self.first.append(f"{record.file}:{record.place}: {why}")

    def summary(self, notes: Sequence[str]) -> Summary:
        return {
            "rows": self.rows,
            "rejected": self.rejected,
            "with_labels": self.with_labels,
            "unlabelled": self.rows - self.with_labels,
            "empty_labels": self.empty_labels,
            "skills": self.skills,
            "labels_not_in_text": self.dropped,
            "spans": self.spans,
            "spans_not_placed": self.spans_not_placed,
            "duplicate_ids": self.duplicate_ids,
            "copied_rows": self.copies,
            "splits": self._splits,
            "reasons": dict(sorted(self.reasons.items())),
            "notes": list(notes),
        }

    def check(self, reader: SourceReader, max_rejected: float) -> None:
        """Raises StageError if no row is usable, or a larger share than `max_rejected` of them is rejected."""
        if self.rows == 0:
            raise StageError(self._nothing_usable(reader))
        found = self.rows + self.rejected
        if self.rejected / found > max_rejected:
            verb = "is" if self.rejected == 1 else "are"
            raise StageError(
                f"{_where(reader)}: {self.rejected} of {found} rows {verb} rejected ({self.rejected / found:.1%}), and "
                f"data.max_rejected allows {max_rejected:.1%}. {self._told()} "
                "If the rest is worth having, raise data.max_rejected."
            )

    def _told(self) -> str:
        """How many rows for which reason, the first of them, and the mend for the most frequent reason."""
        [(most, _)] = self.reasons.most_common(1)
        counts = ", ".join(f"{reason}: {count}" for reason, count in self.reasons.most_common())
        first = "\n".join(f"  {line}" for line in self.first)
        place = next((line for line in self.first if most in line), self.first[0])
        return f"By reason: {counts}. The first:\n{first}\n{_mend(most, place.partition(':')[0])}"

    def _nothing_usable(self, reader: SourceReader) -> str:
        where = _where(reader)
        told = "".join(f" {note}." for note in reader.notes)
        if reader.rows == 0:
            return (
                f"{where}: no rows.{told} A source has one row an ad, with the columns that the spec names: write it again, or "
                "mend data.source."
            )
        named, columns = reader.named, reader.columns
        if columns and named.text not in columns:
            found = ", ".join(f"`{shown(column[:_COLUMN])}`" for column, _ in columns.most_common(12))
            return (
                f"{where}: no row has a column `{named.text}`. The columns are {found}.{told} "
                "Set data.text to the one that holds the ad (and data.labels and data.id to the skills and the id)."
                + _HEADER
                * all(_has_header(file.name) for file in reader.files)
            )
        usable = "the only row is not usable" if reader.rows == 1 else f"none of {reader.rows} rows is usable"
        return f"{where}: {usable}.{told} {self._told()}"


def _where(reader: SourceReader) -> str:
    names = [str(file.uri) for file in reader.files]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more files" if len(names) > 3 else "") or "no file"


def _has_header(name: str) -> bool:
    kind = format_of(name)
    return kind is not None and kind.name in ("CSV", "TSV")


def _share(limit: int, place: int, of: int) -> int:
    return limit // of + (place < limit % of)
