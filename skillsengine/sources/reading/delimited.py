"""CSV and TSV with a header: cells are strings, a cell in quotes may run over lines, a quote in one is doubled."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.lines import LongLine, lines
from skillsengine.sources.reading.mends import LATIN, iconv, through
from skillsengine.sources.reading.rows import (
    MAX_ROW,
    NOT_UTF8,
    NUL,
    NUL_DETAIL,
    TOO_LONG,
    TOO_LONG_DETAIL,
    Note,
    RawRow,
    RowError,
    rejected,
)

_MEND = "The first line names the columns, each line below is a row."
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
_QUOTED = re.compile(r'"[^"]*+"')
# What stands for a byte that is no UTF-8, see `surrogateescape`: no text in UTF-8 holds one.
_BAD_BYTE = re.compile("[\udc80-\udcff]")


def read(file: SourceFile, stream: BufferedReader, note: Note) -> Iterator[RawRow]:
    """One row a record below the header; columns without a name are left out.

    The name's ending says what separates the cells (.csv commas, .tsv tabs), unless the header has none of these but
    another of comma, semicolon and tab. Raises SourceError: a header that is no header, a quote without end.
    """
    feed = _Feed(file, stream)
    header = feed.header()
    if header is None:
        return
    separator = _separator(file, header, note)
    columns = _columns(file, header, separator)
    # The limit is the module's, for all readers of the process; one that is too low fails rows that are fine.
    csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_ROW))
    records = csv.reader(feed, delimiter=separator, strict=True)
    while True:
        feed.begin_record()
        try:
            cells = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            yield rejected(file.name, feed.began, _broken(feed, error), feed.record)
            continue
        except _PassedOver as row:
            yield rejected(file.name, feed.began, RowError(TOO_LONG, TOO_LONG_DETAIL), row.start)
            continue
        if cells:
            yield _row(file, feed.began, cells, columns, feed)


def _row(file: SourceFile, place: int, cells: list[str], columns: list[str], feed: _Feed) -> RawRow:
    if feed.nul:
        return rejected(file.name, place, RowError(NUL, NUL_DETAIL), feed.record)
    if len(cells) != len(columns):
        cut = ", and the file ends there, without a line break" if feed.cut and len(cells) < len(columns) else ""
        error = RowError("mixed columns", f"{_count(len(cells), 'cell')}, the header has {len(columns)}{cut}")
        return rejected(file.name, place, error, feed.record)
    if not feed.utf8:
        for column, cell in zip(columns, cells, strict=True):
            if bad := _BAD_BYTE.search(cell):
                error = RowError(NOT_UTF8, f"byte {ord(bad[0]) - 0xDC00:#04x} in `{column}`")
                return rejected(file.name, place, error, feed.record)
    return RawRow(file.name, place, {column: cell for column, cell in zip(columns, cells, strict=True) if column})


class _PassedOver(Exception):
    """A line that is too long was passed over where a record would begin."""

    def __init__(self, start: str) -> None:
        super().__init__(start)
        self.start = start


class _Feed:
    """Gives the lines to `csv.reader`, which asks for one more as long as a quote is open, and bounds what it may take."""

    def __init__(self, file: SourceFile, stream: BufferedReader) -> None:
        self._file, self._lines = file, lines(stream)
        self._number = 0
        self._size = 0
        self.began = 0
        """The line in which the record at hand begins, from 1."""
        self.record = ""
        """Its first line."""
        self.utf8 = True
        """Whether it is UTF-8."""
        self.nul = False
        """Whether NUL bytes stand in it."""
        self.cut = False
        """Whether its last line has no line break."""

    def begin_record(self) -> None:
        self.began, self.record, self._size, self.utf8, self.nul = self._number + 1, "", 0, True, False

    def header(self) -> str | None:
        """The first line that is not blank; None where there is none."""
        for line in self._lines:
            self._number += 1
            if isinstance(line, LongLine):
                raise SourceError(
                    f"{self._file.uri}: no header: the first line is over {MAX_ROW >> 20} MB long. {_MEND}"
                )
            if line.strip():
                try:
                    return line.decode("utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise SourceError(
                        f"{self._file.uri}: the header is not UTF-8 (byte {line[error.start]:#04x} at position "
                        f"{error.start + 1}). Convert the file: {iconv(self._file.name, LATIN)}"
                    ) from error
        return None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            if self._size:
                raise SourceError(self._open_quote("ends"))
            raise StopIteration
        self._number += 1
        if isinstance(line, LongLine) and not self._size:
            raise _PassedOver(line.decode("utf-8", "replace"))
        self._size += len(line)
        self.nul |= b"\0" in line
        self.cut = not line.endswith((b"\n", b"\r"))
        if isinstance(line, LongLine) or self._size > MAX_ROW:
            raise SourceError(self._open_quote(f"goes on for over {MAX_ROW >> 20} MB"))
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            text, self.utf8 = line.decode("utf-8", "surrogateescape"), False
        if not self.record:
            self.record = text.rstrip()
        return text

    def _open_quote(self, then: str) -> str:
        return (
            f"{self._file.uri}: a quote that opens in the row of line {self.began} is never closed: the file {then} "
            "within it. Either the file is cut off: write it again, whole; or the quote is part of the text: "
            'double it ("") and put the whole cell in quotes.'
        )


def _broken(feed: _Feed, error: csv.Error) -> RowError:
    """What `csv` says in its own words, which differ between versions of Python."""
    if "new-line" in str(error):
        return RowError("not CSV", "a carriage return stands in the row, outside of quotes")
    return RowError("not CSV", "a quoted cell goes on after its closing quote; quotes in a text are doubled")


def _separator(file: SourceFile, header: str, note: Note) -> str:
    expected = "\t" if file.name.lower().removesuffix(".gz").endswith(".tsv") else ","
    plain = _QUOTED.sub("", header)
    counts = {mark: plain.count(mark) for mark in _NAMES}
    if counts[expected] or not any(counts.values()):
        return expected
    found = max(counts, key=lambda mark: counts[mark])
    ending = "TSV" if expected == "\t" else "CSV"
    note(f"{file.name}: read with {_NAMES[found]} between the cells, though its name says {ending}")
    return found


def _columns(file: SourceFile, header: str, separator: str) -> list[str]:
    if "\r" in header:
        raise SourceError(
            f"{file.uri}: its lines end with carriage returns alone. Convert them: "
            + through("tr '\\r' '\\n'", file.name, "lines-")
        )
    try:
        [cells] = csv.reader([header], delimiter=separator, strict=True)
    except (csv.Error, ValueError) as error:
        raise SourceError(f"{file.uri}: the header cannot be read: a quote in it is not closed. {_MEND}") from error
    columns = [cell.strip() for cell in cells]
    twice = [column for column, count in Counter(columns).items() if column and count > 1]
    if twice:
        raise SourceError(f"{file.uri}: two columns of the header are called `{twice[0]}`. Rename one of them.")
    if not any(columns):
        raise SourceError(f"{file.uri}: the header names no column. {_MEND}")
    return columns


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
