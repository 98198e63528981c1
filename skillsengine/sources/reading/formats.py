"""Which format a file has by its name, and the reader for it. What is inside is checked against the name first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import PurePosixPath
from typing import BinaryIO

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading import delimited, json_list, jsonl, parquet
from skillsengine.sources.reading.compressed import Unpacked
from skillsengine.sources.reading.content import FIRST_BYTES, check_content, check_gzip
from skillsengine.sources.reading.peeking import peekable
from skillsengine.sources.reading.rows import Note, RawRow

Reader = Callable[[SourceFile, BufferedReader, Note], Iterator[RawRow]]


@dataclass(frozen=True)
class Format:
    """One format."""

    name: str
    """For people."""
    read: Reader | None
    """None: read by `parquet.read`, which needs a stream that can seek."""


_BY_SUFFIX: dict[str, Format] = {
    ".jsonl": Format("JSON lines", jsonl.read),
    ".ndjson": Format("JSON lines", jsonl.read),
    ".json": Format("JSON", json_list.read),
    ".csv": Format("CSV", delimited.read),
    ".tsv": Format("TSV", delimited.read),
    ".parquet": Format("Parquet", None),
}
SUFFIXES = (*_BY_SUFFIX, *(suffix + ".gz" for suffix, kind in _BY_SUFFIX.items() if kind.read))
"""Endings of the names of files that are read; case does not matter."""


def format_of(name: str) -> Format | None:
    """The format that a file's name tells; None if it is not read."""
    packed = name.lower().endswith(".gz")
    kind = _BY_SUFFIX.get(PurePosixPath(name.lower().removesuffix(".gz")).suffix)
    return None if kind is None or (packed and kind.read is None) else kind


def read_rows(file: SourceFile, stream: BinaryIO, note: Note = lambda _: None) -> Iterator[RawRow]:
    """The rows of one file, in order; those that cannot be read with the reason. `stream` stands at the file's beginning.

    Blank lines are no rows. A file of 0 bytes has none. `note` is told what the reader found out by itself.
    Raises SourceError, with place and mend, if the file as a whole cannot be read (an ending that is not read, another
    format than the name says, cut off, damaged, a bomb), and what `stream` raises.
    """
    kind = format_of(file.name)
    if kind is None:
        raise SourceError(f"{file.uri}: not read: a source's file ends in one of {', '.join(SUFFIXES)}.")
    if kind.read is None:
        yield from parquet.read(file, stream, note)
        return
    text = peekable(stream)
    if file.name.lower().endswith(".gz"):
        check_gzip(file, text.peek(FIRST_BYTES))
        text = peekable(Unpacked(file, text))
    start = text.peek(FIRST_BYTES)
    if not start:
        note(f"{file.name}: empty (0 bytes)")
    check_content(file, kind.name, start)
    yield from kind.read(file, text, note)
