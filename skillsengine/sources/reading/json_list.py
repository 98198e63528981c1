"""JSON: one list of objects over the whole file, read object by object. JSON lines under the name .json are read too.

An object that holds the list under some key (`{"data": [...]}`) is refused with the mend: which of its lists is meant, and
what becomes of the rest, is for the writer to say.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from io import BufferedReader
from shlex import quote
from typing import Any

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading import jsonl
from skillsengine.sources.reading.lines import BOM
from skillsengine.sources.reading.mends import through
from skillsengine.sources.reading.rows import (
    MAX_ROW,
    Note,
    RawRow,
    RowError,
    as_object,
    bad_byte,
    parse_object,
    rejected,
    shown,
)

_CHUNK = 1 << 20
_DECODER = json.JSONDecoder()
_NOT_WHOLE = object()
_SPACE = re.compile(r"\ufeff?[ \t\n\r]*+")  # with the byte order mark that a file may begin with
_AFTER = re.compile(r"[ \t\n\r]*+[,\]]")
# A whole string; a bracket; a comma; the quote of a string that has no end yet.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],]|"', re.DOTALL)
# What stands for a byte that is no UTF-8, see `surrogateescape`; escapes such as \udc80 are still spelled out here.
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_LIST_MEND = (
    "Write the rows as one list ([{...}, {...}]; with pandas, to_json(path, orient='records')) "
    "or as JSON lines in a file whose name ends in .jsonl."
)


def read(file: SourceFile, stream: BufferedReader, note: Note) -> Iterator[RawRow]:
    """One row an item of the list. Raises SourceError if the file is no list, or is cut off before its end."""
    start = stream.peek(_CHUNK).removeprefix(BOM).lstrip()
    if start.startswith(b"{"):
        _check_lines(file, start)
        note(f"{file.name}: read as JSON lines, though its name ends in .json")
        yield from jsonl.read(file, stream, note)
    else:
        yield from _Items(file, stream).rows()


def _check_lines(file: SourceFile, start: bytes) -> None:
    """Raises SourceError unless the first line (of less than a megabyte) is a row by itself."""
    line, _, rest = start.partition(b"\n")
    try:
        row = jsonl.parse_line(line)
    except RowError as error:
        raise SourceError(
            f"{file.uri}: it is one object, or several over many lines, and not a list of rows. {_LIST_MEND}"
        ) from error
    held = [key for key, value in row.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if held and not rest.strip():
        jq = f".{held[0]}" if held[0].isidentifier() else f".[{json.dumps(held[0], ensure_ascii=False)}]"
        raise SourceError(
            f"{file.uri}: it is one object whose `{held[0]}` holds the rows. "
            f"Write that list alone: {through(f'jq {quote(jq)}', file.name, 'rows-')}"
        )


class _Items:
    """The items of one list. What was read and not yet used stands in `text` from `at` on."""

    def __init__(self, file: SourceFile, stream: BufferedReader) -> None:
        self.file, self.stream = file, stream
        self.number = 0
        """Of the item at hand, from 1."""
        self.text, self.at = "", 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._ended = False

    def rows(self) -> Iterator[RawRow]:
        first = self._next()
        if not first:
            return
        if first != "[":
            raise SourceError(f"{self.file.uri}: it begins with `{shown(first)}`, not with a list. {_LIST_MEND}")
        self.at += 1
        if self._next() == "]":
            self.at += 1
        else:
            after = ","
            while after == ",":
                self.number += 1
                yield self._row()
                after = self._next()
                self.at += 1
        if self._next() == "\0":
            raise SourceError(
                f"{self.file.uri}: after the list of {self.number} rows stand NUL bytes: a part of the file was never written "
                "(a full disk, a crash, a copy that broke off). Copy or write it again, whole."
            )
        if self._next():
            raise SourceError(
                f"{self.file.uri}: after the list of {self.number} rows stands `{shown(self.text[self.at : self.at + 20])}`. "
                "A file holds one list: join the lists, or write JSON lines in a file whose name ends in .jsonl."
            )

    def _row(self) -> RawRow:
        """The item that begins at hand; after it, `at` is where a comma or the list's end stands."""
        self._next()
        start, value = self.at, self._decoded()
        if value is _NOT_WHOLE:
            end = self._read_to_end_of_item()
            start, self.at = self.at, end
        raw = self.text[start : self.at].rstrip()
        try:
            if bad := not raw.isascii() and _BAD_BYTE.search(raw):
                before, byte = (part.encode("utf-8", "surrogateescape") for part in (raw[: bad.start()], bad[0]))
                raise bad_byte(before + byte, len(before))
            row = parse_object(raw) if value is _NOT_WHOLE else as_object(value)
            return RawRow(self.file.name, self.number, row)
        except RowError as error:
            return rejected(self.file.name, self.number, error, raw)

    def _decoded(self) -> Any:
        """The value of the item at hand, `at` then being its end; `_NOT_WHOLE` if it is broken or not read whole yet."""
        try:
            value, end = _DECODER.raw_decode(self.text, self.at)
        except (ValueError, RecursionError):
            return _NOT_WHOLE
        # Something must follow in the text at hand: of a number, for one, the next digits may not have been read yet.
        follows = _AFTER.match(self.text, end)
        if follows is None:
            return _NOT_WHOLE
        self.at = end
        return value

    def _read_to_end_of_item(self) -> int:
        """Where the comma or bracket after the item at hand stands. Raises SourceError where there is none."""
        wanted = _CHUNK
        while (end := self._end_of_item()) is None:
            self._check_length(len(self.text))
            if not self._more(wanted):
                raise SourceError(
                    f"{self.file.uri}: the list is cut off at row {self.number}: the file ends before the list does. "
                    "Copy or write the file again, whole."
                )
            wanted = min(2 * wanted, 4 * _CHUNK)
        self._check_length(end)
        return end

    def _check_length(self, end: int) -> None:
        if end - self.at > MAX_ROW:
            raise SourceError(
                f"{self.file.uri}: row {self.number} is longer than {MAX_ROW >> 20} MB, which no row is: it begins "
                f"`{shown(self.text[self.at : self.at + 40])}`. If a quote or a bracket in it has no end, mend it there; else "
                "take the row out."
            )

    def _end_of_item(self) -> int | None:
        """Where the comma or bracket after the item stands; None if it is not in the text at hand."""
        depth = 0
        for token in _TOKEN.finditer(self.text, self.at):
            mark = token[0]
            if mark == '"':
                return None
            if mark in "{[":
                depth += 1
            elif depth == 0 and mark in ",]":
                return token.start()
            elif mark in "}]":
                depth = max(0, depth - 1)
        return None

    def _next(self) -> str:
        """The next character that is not white space, which `at` then points to; empty at the end of the file."""
        while True:
            space = _SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.text) or not self._more(_CHUNK):
                return self.text[self.at : self.at + 1]

    def _more(self, wanted: int) -> bool:
        """Read on; False at the end of the file."""
        if self._ended:
            return False
        chunk = self.stream.read(wanted)
        self._ended = not chunk
        self.text, self.at = self.text[self.at :] + self._decoder.decode(chunk, final=not chunk), 0
        return not self._ended
