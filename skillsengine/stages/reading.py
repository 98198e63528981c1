"""The rows of a partition's files as records: text, labels, id and more taken from the columns that the spec names.

Files are read by `skillsengine.sources.reading`, one row at a time. Why not `datasets.load_dataset`: it reads blocks through
Arrow. One broken line there fails the whole file without saying which, a column that is a list in one row and a string in
another is encoded anew for the whole block, and a text that looks like a date comes back as one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import SEEK_SET
from typing import Any, BinaryIO, cast

from skillsengine.sources.connection import Connect
from skillsengine.sources.errors import SourceError
from skillsengine.sources.opening import open_source
from skillsengine.sources.reading.formats import read_rows
from skillsengine.sources.reading.index import RowsHash, partition_of
from skillsengine.sources.reading.rows import EXCERPT, Note, RawRow, RowError, kind, legal
from skillsengine.spec.schema import Period
from skillsengine.stages.contract import SourceFile, StageError
from skillsengine.stages.labels import LabelFormat, parse_labels
from skillsengine.stages.spans import SourceSpan, parse_spans

FIELD_LENGTH = 100
"""Characters that are kept of a value of `data.fields`."""

_PUT_BACK = "Put it back, or run again so that a new plan is made."
_AGAIN = "Run again once nothing writes to it: a new plan takes it as it is."


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a source. With a `reason` it is rejected; `text` is then what was read of it, at most 200 characters."""

    file: str
    place: int
    """From 1: the line, or the row's number (`sources.reading.rows.RawRow`)."""
    name: str
    """What the row is called without an id of its own: `ads.csv:17`; of a file that a date column cuts, with the number
    of the row within its partition, `ads.csv:2026-03:5`, so that it does not depend on the rows of others."""
    split: str | None
    id: str
    text: str
    labels: list[str] | None
    reason: str | None = None
    """The kind of mistake, one of few, so that it can be counted."""
    detail: str = ""
    """What exactly is wrong in this row; may be empty."""
    spans: list[SourceSpan] | None = None
    """Where skills stand in the text as it is here."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What else is kept of the row; a column without a value is missing."""


@dataclass(frozen=True)
class Columns:
    """What the source calls its columns, and how they are read."""

    text: str
    labels: str
    id: str
    label_format: LabelFormat = "list"
    date: str | None = None
    """Needed for files of which one partition counts."""
    period: Period = "month"
    spans: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


class SourceReader:
    """Reads the files of one source, in the order given.

    While reading: `columns` counts in how many rows each column stands, `rows` all rows, `undated` those that belong to no
    partition because they have no date, `notes` holds what is worth telling.
    """

    def __init__(self, files: tuple[SourceFile, ...], named: Columns, connect: Connect) -> None:
        self.files, self.named = files, named
        self.rows = self.undated = 0
        self.notes: list[str] = []
        self._connect = connect
        self._columns: Counter[tuple[str, ...]] = Counter()
        self._opened: list[_PinnedFile] = []
        sizes = [_size(file) for file in files]
        self._size = sum(size for size in sizes if size is not None)

    @property
    def columns(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for columns, count in self._columns.items():
            for column in columns:
                found[column] += count
        return found

    @property
    def fraction(self) -> float:
        """Share of the bytes read so far, 0 to 1."""
        return min(1.0, sum(opened.bytes_read for opened in self._opened) / self._size) if self._size else 1.0

    def records(self) -> Iterator[Record]:
        """One record a row, good or rejected. Raises StageError if a file cannot be opened or read."""
        for file in self.files:
            opened = _PinnedFile(file, self.named, self._connect, self.notes.append)
            self._opened.append(opened)
            for number, row in enumerate(opened.rows(), 1):
                self.rows += 1
                yield self._record(file, number, row)
            self.undated += opened.undated

    def verify(self) -> None:
        """Raises StageError if what was read is not what the plan knew; reads what was left unread."""
        for opened in self._opened:
            opened.verify()
        for file in self.files[len(self._opened) :]:
            _PinnedFile(file, self.named, self._connect, self.notes.append).verify()

    def _record(self, file: SourceFile, number: int, row: RawRow) -> Record:
        name = f"{row.file}:{row.place}" if file.partition is None else f"{row.file}:{file.partition}:{number}"
        found = name
        try:
            if row.values is None:
                raise RowError(row.reason or "", row.detail)
            self._columns[tuple(row.values)] += 1
            found = id_of(row.values.get(self.named.id)) or name
            text = text_of(row.values, self.named.text)
            labels = parse_labels(row.values.get(self.named.labels), self.named.labels, self.named.label_format)
            spans = parse_spans(row.values, self.named.spans)
        except RowError as error:
            excerpt = legal(_excerpt(row, self.named.text))
            return Record(row.file, row.place, name, file.split, found, excerpt, None, error.reason, error.detail)
        fields = kept_fields(row.values, self.named.fields)
        return Record(row.file, row.place, name, file.split, found, text, labels, spans=spans, fields=fields)


class _PinnedFile:
    """One file, hashed as it is read, so that what was read is what the plan promised."""

    def __init__(self, file: SourceFile, named: Columns, connect: Connect, note: Note) -> None:
        self.file, self.named = file, named
        self.undated = 0
        if not file.remote and file.path.exists() and not file.path.is_file():
            raise StageError(f"{file.uri}: no file any more, as it was when the plan was made. {_PUT_BACK}")
        try:
            self._stream = _HashedStream(open_source(file, connect), rereadable=not file.remote)
        except SourceError as error:
            raise StageError(_not_opened(file, error)) from error
        self._of_partition = RowsHash()
        self._rows = self._read(note)

    @property
    def bytes_read(self) -> int:
        return self._stream.bytes_read

    def rows(self) -> Iterator[RawRow]:
        """Its rows, or those of the partition that counts. Goes on where an earlier call was left."""
        while (row := next(self._rows, None)) is not None:
            yield row

    def _read(self, note: Note) -> Iterator[RawRow]:
        try:
            for row in read_rows(self.file, cast(BinaryIO, self._stream), note):
                if self.file.partition is None or self._counts(row, self.file.partition):
                    yield row
        except SourceError as error:
            raise StageError(str(error)) from error

    def _counts(self, row: RawRow, partition: str) -> bool:
        if self.named.date is None:
            raise StageError(f"{self.file.uri}: a partition of a file without data.date_column. Run again.")
        try:
            if partition_of(row, self.named.date, self.named.period) != partition:
                return False
            self._of_partition.add(row.values or {})
        except RowError:
            self.undated += 1  # in no partition: the plan tells of them
            return False
        return True

    def verify(self) -> None:
        """Read on to the end and compare. Raises StageError if the file, or its partition, is not the planned one."""
        if self.file.partition is None:
            found, what = self._stream.hash_all(), "the file has"
        else:
            for _ in self._rows:
                pass
            found, what = self._of_partition.hexdigest(), f"the rows of {self.file.partition} have"
        self._stream.close()
        if found != self.file.sha256:
            raise StageError(
                f"{self.file.uri}: {what} changed since the plan was made (sha256 {found[:12]}, planned "
                f"{self.file.sha256[:12]}). {_AGAIN}"
            )


class _HashedStream:
    """A stream whose bytes are hashed as they go by; one that is read out of order is read once more for it."""

    def __init__(self, stream: BinaryIO, *, rereadable: bool) -> None:
        self._stream, self._rereadable = stream, rereadable
        self._sha, self._in_order = hashlib.sha256(), True
        self.bytes_read = 0
        self.closed = False  # asked for by pyarrow

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._stream.read(size)
        if self._in_order:
            self._sha.update(chunk)
        self.bytes_read += len(chunk)
        return chunk

    def seekable(self) -> bool:
        # From afar, reading pieces and then everything for the hash would be two downloads.
        return self._rereadable and self._stream.seekable()

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        self._in_order = False
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def hash_all(self) -> str:
        """sha256 in hex of the whole stream."""
        if not self._in_order:
            self._stream.seek(0)
            self._sha = hashlib.sha256()
        while chunk := self._stream.read(1 << 20):
            self._sha.update(chunk)
        return self._sha.hexdigest()

    def close(self) -> None:
        self._stream.close()


def _not_opened(file: SourceFile, error: SourceError) -> str:
    if not file.remote and isinstance(error.__cause__, FileNotFoundError):
        return f"{file.uri}: not there any more; it was when the plan was made. {_PUT_BACK}"
    return str(error)


def _size(file: SourceFile) -> int | None:
    if file.size is not None or file.remote:
        return file.size
    return file.path.stat().st_size if file.path.exists() else None


def id_of(value: Any) -> str:
    """A row's id; empty where it has none. Raises RowError."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise RowError("the id is neither a string nor a number", f"it is {kind(value)}")
    return legal(str(value).strip())


def text_of(row: Mapping[str, Any], column: str) -> str:
    """A row's text. Raises RowError."""
    value = row.get(column)
    if value is None:
        raise RowError("the text is missing", f"`{column}` is null" if column in row else f"no column `{column}`")
    if not isinstance(value, str):
        raise RowError("the text is not a string", f"`{column}` is {kind(value)}")
    return legal(value)


def kept_fields(values: Mapping[str, Any], columns: tuple[str, ...]) -> dict[str, str]:
    """Column -> its value as one line of at most `FIELD_LENGTH` characters; null, NaN and the empty text are no value."""
    found = {}
    for column in columns:
        value = values.get(column)
        if value is None or value != value:
            continue
        if isinstance(value, (bool, list, dict)):
            value = json.dumps(value, ensure_ascii=False, default=str)
        line = " ".join(legal(str(value)).split())
        if line:
            found[column] = line[:FIELD_LENGTH].rstrip()
    return found


def _excerpt(row: RawRow, column: str) -> str:
    """The text of a row that is rejected, where it has one, or else the row."""
    if row.values is None:
        return row.excerpt
    text = row.values.get(column)
    return (text if isinstance(text, str) else json.dumps(row.values, ensure_ascii=False, default=str))[:EXCERPT]
