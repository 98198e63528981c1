"""Parquet, read batch by batch. Values are Python's: dates and times as such (zoned ones in UTC, without the zone),
lists as lists, structs as dictionaries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from io import SEEK_END
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.compressed import MAX_RATIO, megabytes
from skillsengine.sources.reading.content import FIRST_BYTES, check_content
from skillsengine.sources.reading.rows import (
    MAX_ROW,
    NOT_UTF8,
    TOO_LONG,
    TOO_LONG_DETAIL,
    Note,
    RawRow,
    RowError,
    rejected,
    shown,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

_ROWS_AT_ONCE = 500
_BYTES_AT_ONCE = 32 << 20
_MAGIC = b"PAR1"
_FREE = 1 << 30
"""Unpacked bytes below which the ratio does not matter: 1 GiB."""


def read(file: SourceFile, stream: BinaryIO, note: Note) -> Iterator[RawRow]:
    """One row a row, by number from 1. A stream that cannot seek is copied to a temporary file first.

    Raises SourceError: no Parquet, cut off, damaged, or a row group that grows beyond the bounds. Known limitation: a batch
    of 500 rows that all hold the same long text, stored once, is unpacked as a whole.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    with ExitStack() as stack:
        seekable = stream.seekable()
        source = stream if seekable else _copied(stream, stack.enter_context(tempfile.TemporaryFile()))
        start = source.read(FIRST_BYTES)
        if not start:
            note(f"{file.name}: empty (0 bytes)")
            return
        check_content(file, "Parquet", start)
        if not start.startswith(_MAGIC):
            raise SourceError(
                f"{file.uri}: it is no Parquet file, for it begins `{shown(start[:12].decode('utf-8', 'replace'))}`. Let its "
                "name end in what it is (.csv, .jsonl), or write it as Parquet, not encrypted."
            )
        packed = source.seek(0, SEEK_END)
        source.seek(0)
        number = 0
        try:
            # buffer_size: read a column chunk page by page, not as a whole.
            parquet = stack.enter_context(
                ParquetFile(source, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True)
            )
            rows = _rows_at_once(file, packed, parquet.metadata)
            for batch in parquet.iter_batches(rows, use_threads=False):
                for values in _rows(_plain(batch)):
                    number += 1
                    yield _row(file.name, number, values)
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a name of a column that is not UTF-8
            raise SourceError(_cannot_read(file, number, error)) from error


def _rows_at_once(file: SourceFile, packed: int, metadata: FileMetaData) -> int:
    """Rows of a batch, so that it stays at some 32 MB. Raises SourceError for a bomb.

    Not the sizes of single columns: pyarrow (26) ends the process where the description of one is damaged.
    """
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    if unpacked > _FREE and unpacked > MAX_RATIO * packed:
        raise SourceError(
            f"{file.uri}: {megabytes(packed)} would grow to {megabytes(unpacked)}: a bomb, or one ad repeated without end. At "
            f"most {MAX_RATIO} times the packed size is read. If these are your ads, write the file again without the copies."
        )
    longest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    return max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE // max(1, longest)))


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | RowError]:
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError, UnicodeDecodeError):
        # One value that Python cannot hold; the other rows of the batch are fine.
        for place in range(batch.num_rows):
            yield _single(batch.slice(place, 1))


def _single(batch: pa.RecordBatch) -> dict[str, Any] | RowError:
    values = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[0].as_py()
        except UnicodeDecodeError as error:
            return RowError(NOT_UTF8, f"byte {error.object[error.start]:#04x} in `{name}`")
        except (ValueError, OverflowError):
            return RowError("a value cannot be read", f"`{name}`, of type {column.type}")
    return values


def _row(name: str, number: int, values: dict[str, Any] | RowError) -> RawRow:
    if isinstance(values, RowError):
        return rejected(name, number, values)
    # Characters, not bytes: close enough to keep what is held in bounds.
    if sum(len(value) for value in values.values() if isinstance(value, (str, bytes, list))) > MAX_ROW:
        longest = max((value for value in values.values() if isinstance(value, (str, bytes))), key=len, default="")
        return rejected(name, number, RowError(TOO_LONG, TOO_LONG_DETAIL), str(longest[:200]))
    return RawRow(name, number, values)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Nanoseconds as microseconds, which is all that Python's own times hold, and zoned times in UTC without the zone.

    pyarrow would load pandas for either.
    """
    import pyarrow as pa

    fields = [field.with_type(_plain_type(field.type)) for field in batch.schema]
    schema = pa.schema(fields)
    if schema.equals(batch.schema):
        return batch
    columns = [column.cast(field.type, safe=False) for column, field in zip(batch.columns, fields, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_timestamp(kind) and (kind.unit == "ns" or kind.tz):
        return pa.timestamp("us" if kind.unit == "ns" else kind.unit)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain_type(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind])
    return kind


def _copied(stream: BinaryIO, spool: IO[bytes]) -> IO[bytes]:
    while chunk := stream.read(1 << 20):
        spool.write(chunk)
    spool.seek(0)
    return spool


def _cannot_read(file: SourceFile, number: int, error: Exception) -> str:
    said = shown(str(error).strip().splitlines()[0][:200]) if str(error).strip() else type(error).__name__
    if "magic bytes" in said or "smaller than the minimum" in said or "0 bytes" in said:
        return (
            f"{file.uri}: the Parquet file is cut off: its last bytes are not those of one. "
            "Copy or write it again, whole."
        )
    if number:
        return f"{file.uri}: the Parquet file is damaged after row {number} ({said}). Copy or write it again."
    return f"{file.uri}: the Parquet file cannot be read ({said}). Copy or write it again."
