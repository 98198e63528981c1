"""Which rows of a file belong to which partition, by a column with dates; and a hash of each partition's rows.

The plan pins the hash, and who reads the partition makes it again from the same rows: `RowsHash` is the one definition.
Rows of other partitions, and rows without a date, may come and go without it changing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from typing import Any, BinaryIO

from skillsengine.sources.files import SourceFile
from skillsengine.sources.keys import key_of
from skillsengine.sources.reading.dates import DateError, parse_date
from skillsengine.sources.reading.formats import read_rows
from skillsengine.sources.reading.rows import TOO_DEEP, RawRow, RowError
from skillsengine.spec.schema import Period

_FIRST = 3


@dataclass(frozen=True)
class DateIndex:
    """The partitions of one file."""

    partitions: Mapping[str, tuple[int, str]]
    """Key -> (rows, sha256 of them in hex), sorted by key."""
    undated: int
    """Rows in no partition: without a date that can be read, or not readable at all."""
    first_undated: tuple[str, ...]
    """For people, at most three: ``ads.csv:17: no date: `posted`: it is null``."""


class RowsHash:
    """sha256 over rows in order: of each the JSON with sorted keys, in ASCII, and a line break.

    What JSON does not have is written as text: dates and times in ISO 8601, bytes in hex, all else as Python prints it.
    """

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.rows = 0

    def add(self, values: Mapping[str, Any]) -> None:
        """Raises RowError, and takes nothing in, if the row is nested too deep to be written."""
        try:
            line = json.dumps(values, sort_keys=True, separators=(",", ":"), default=_as_text)
        except RecursionError as error:
            raise RowError("not JSON", TOO_DEEP) from error
        self._sha.update(line.encode() + b"\n")
        self.rows += 1

    def hexdigest(self) -> str:
        return self._sha.hexdigest()


def _as_text(value: Any) -> str:
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def partition_of(row: RawRow, column: str, period: Period) -> str:
    """The key of the partition that a row belongs to. Raises RowError where it belongs to none, and says why."""
    if row.values is None:
        raise RowError(row.reason or "not readable", row.detail)
    if column not in row.values:
        raise RowError("no date", f"no column `{column}` among {_named(row.values)}")
    try:
        return key_of(parse_date(row.values[column]), period)
    except DateError as error:
        raise RowError("no date", f"`{column}`: {error}") from error


def _named(columns: Iterable[str]) -> str:
    """The first columns, for people; a file that is read wrongly may have a whole ad as the name of one."""
    return ", ".join(f"`{column[:40]}`" for column in islice(columns, 8)) or "none"


def index_by_date(file: SourceFile, stream: BinaryIO, column: str, period: Period) -> DateIndex:
    """Read the whole file once. Memory grows with the number of partitions, not of rows.

    Raises SourceError if the file cannot be read (as `read_rows`), and what `stream` raises.
    """
    hashes: dict[str, RowsHash] = {}
    undated = 0
    first: list[str] = []
    for row in read_rows(file, stream):
        try:
            key = partition_of(row, column, period)
            rows = hashes.get(key, RowsHash())
            rows.add(row.values or {})
            hashes[key] = rows
        except RowError as error:
            undated += 1
            if len(first) < _FIRST:
                first.append(f"{row.file}:{row.place}: {error}")
    return DateIndex(
        {key: (rows.rows, rows.hexdigest()) for key, rows in sorted(hashes.items())}, undated, tuple(first)
    )
