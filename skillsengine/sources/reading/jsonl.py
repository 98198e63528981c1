"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.lines import LongLine, lines
from skillsengine.sources.reading.rows import (
    TOO_LONG,
    TOO_LONG_DETAIL,
    Note,
    RawRow,
    RowError,
    bad_byte,
    parse_object,
    rejected,
)


def read(file: SourceFile, stream: BufferedReader, note: Note) -> Iterator[RawRow]:
    """One row a line that is not blank."""
    name = file.name
    for number, line in enumerate(lines(stream), 1):
        if isinstance(line, LongLine) or line.strip():
            try:
                yield RawRow(name, number, parse_line(line))
            except RowError as error:
                yield rejected(name, number, error, line.decode("utf-8", "replace").strip())


def parse_line(line: bytes) -> dict[str, object]:
    """The object of one line. Raises RowError."""
    if isinstance(line, LongLine):
        raise RowError(TOO_LONG, TOO_LONG_DETAIL)
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise bad_byte(line, error.start) from error
    return parse_object(text)
