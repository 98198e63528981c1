"""The ads that `skillsengine extract` reads: files, folders, standard input. One at a time, whatever stands in them.

A text file is one ad. JSON lines, JSON lists, CSV, TSV and Parquet hold many, and are read as a source's files are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import SEEK_SET, BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import UNREAD, SourceFile
from skillsengine.sources.names import is_read, unread
from skillsengine.sources.reading import jsonl
from skillsengine.sources.reading.content import FIRST_BYTES, check_content
from skillsengine.sources.reading.formats import SUFFIXES, format_of, read_rows
from skillsengine.sources.reading.lines import BOM
from skillsengine.sources.reading.mends import LATIN, iconv
from skillsengine.sources.reading.peeking import peekable
from skillsengine.sources.reading.rows import NOT_UTF8, TOO_LONG, RawRow, RowError
from skillsengine.stages.reading import id_of, text_of

MAX_TEXT = 100_000
"""Characters of the longest ad that is read: about 15,000 words, ten times a very long ad."""
TEXT_SUFFIXES = (".txt", ".text", ".md", ".html", ".htm")
"""Endings of the files of a folder that are one ad each. A file that is named by itself may end as it likes."""
STDIN = "-"
_AT_ONCE = 16 << 10
"""Bytes that are read at once, so that the share that was read can be told of a small file too."""
_MENDS = {
    "not JSON": 'Each line is one object, such as {"job_description": "..."}.',
    "not a JSON object": 'Each line is one object, such as {"job_description": "..."}.',
    NOT_UTF8: f"Convert the file first: iconv -f {LATIN} -t UTF-8.",
    TOO_LONG: "No ad is so long: is a line break missing?",
    "mixed columns": "Mend the row; a cell with a separator or a line break in it stands in quotes.",
}
"""Kind of mistake in a row -> how to mend it, where the detail does not say it."""

Kind = Literal["text", "jsonl"]


@dataclass(frozen=True)
class Text:
    """One ad."""

    file: str
    """As it was named, of a folder's file with the folder; `-` is standard input."""
    line: int | None
    """The line that it begins in, from 1; of JSON lists and Parquet the row's number. None of a file that is one ad."""
    id: str
    """The row's own, else `ads.jsonl:3`; of a file that is one ad, the file."""
    text: str
    share: float | None
    """How much of the input was read when it was, 0 to 1; None of standard input."""


@dataclass(frozen=True)
class Unread:
    """What cannot be read."""

    told: str
    """Where, why and the mend: `ads.jsonl:3: not JSON: ...`."""


class Texts:
    """Iterates over all ads of `sources`, in their order, files of a folder by name; `notes` holds what is worth telling.

    Raises SourceError at once for what is not there, and for a folder without ads. `kind` tells what is in files and standard
    input, whatever their names say.
    """

    def __init__(
        self, sources: Sequence[str], *, text_field: str, id_field: str, kind: Kind | None, stdin: BinaryIO
    ) -> None:
        self.notes: list[str] = []
        self._text_field, self._id_field, self._kind = text_field, id_field, kind
        self._stdin = stdin
        self._files = [file for source in sources for file in self._files_of(source)]
        sizes = [0 if file == STDIN else Path(file).stat().st_size for file in self._files]
        self._size = None if STDIN in self._files else sum(sizes)
        self._before = 0
        self._stream: _Counted | None = None

    def __iter__(self) -> Iterator[Text | Unread]:
        for file in self._files:
            try:
                yield from self._ads(file)
            except SourceError as error:
                yield Unread(str(error))
            except OSError as error:
                yield Unread(f"{_shown(file)}: cannot be read ({error.strerror}). Mend the file or its permissions.")
            self._before += self._stream.count if self._stream else 0
            self._stream = None

    @property
    def single(self) -> bool:
        """Whether it is one file that is one ad, as far as its name tells."""
        return (
            len(self._files) == 1
            and self._kind != "jsonl"
            and (self._kind == "text" or format_of(self._files[0]) is None)
        )

    def _files_of(self, source: str) -> list[str]:
        if source == STDIN:
            return [source]
        path = Path(source)
        if path.is_dir():
            return self._in_folder(path)
        if not path.exists():
            raise SourceError(
                f"{source}: no such file. Name a text file with one ad, a file of rows ({', '.join(SUFFIXES[:6])}), a folder "
                "with such files, or `-` to read standard input."
            )
        return [source]

    def _in_folder(self, folder: Path) -> list[str]:
        try:
            names = sorted(path.name for path in folder.iterdir() if path.is_file())
        except OSError as error:
            raise SourceError(f"{folder}: cannot be read ({error.strerror}). Mend its permissions.") from error
        taken = [name for name in names if is_read(name) or _is_text(name)]
        left = [name for name in names if name not in taken and not name.startswith(".")]
        told = ", ".join(unread(name) or name for name in left[:3]) + (", ..." if len(left) > 3 else "")
        if not taken:
            holds = f"it holds {told}" if left else "it is empty"
            raise SourceError(
                f"{folder}: no ads in this folder ({holds}). Read are text files with one ad each ({', '.join(TEXT_SUFFIXES)}) "
                f"and files of rows ({', '.join(SUFFIXES[:6])}); folders in it are not looked into."
            )
        if left:
            self.notes.append(f"{folder}: {len(left)} files are left out: {told}")
        return [str(folder / name) for name in taken]

    def _ads(self, file: str) -> Iterator[Text | Unread]:
        if file == STDIN:
            # Not its buffer: that waits until it is full, and would hold back what a pipe brings line by line.
            raw = cast(BinaryIO, getattr(self._stdin, "raw", self._stdin))
            yield from self._from(file, peekable(raw), self._kind)
            return
        if not Path(file).is_file():
            with Path(file).open("rb", buffering=0) as pipe:  # as a shell's <(...) names it
                yield from self._from(file, peekable(pipe), self._kind)
            return
        with Path(file).open("rb") as opened:
            kind = format_of(file) if self._kind is None else None
            self._stream = _Counted(opened, None if kind and kind.read is None else _AT_ONCE)
            if kind:
                yield from self._rows(file, read_rows(_source(file), cast(BinaryIO, self._stream), self.notes.append))
            else:
                yield from self._from(file, peekable(self._stream), self._kind or "text")

    def _from(self, file: str, stream: BufferedReader, kind: Kind | None) -> Iterator[Text | Unread]:
        """The ads of what has no name that tells its format."""
        start = stream.peek(FIRST_BYTES)[:FIRST_BYTES]
        if not start.lstrip().startswith(b"<"):  # a page is text here: the version's cleaning takes its tags out
            check_content(_source(file), "text", start)
        if kind is None:
            kind = "jsonl" if start.removeprefix(BOM).lstrip().startswith(b"{") else "text"
        if kind == "jsonl":
            yield from self._rows(file, jsonl.read(_source(file), stream, self.notes.append))
        else:
            yield Text(file, None, file, _whole(file, stream), self._share())

    def _rows(self, file: str, rows: Iterator[RawRow]) -> Iterator[Text | Unread]:
        none = True
        for row in rows:
            none = False
            where = f"{_shown(file)}:{row.place}"
            try:
                if row.values is None:
                    raise RowError(row.reason or "not readable", row.detail)
                text = self._text(row.values)
                yield Text(file, row.place, id_of(row.values.get(self._id_field)) or where, text, self._share())
            except RowError as error:
                mend = _MENDS.get(error.reason, "")
                yield Unread(f"{where}: {error}.{f' {mend}' if mend else ''}")
        if none:
            raise SourceError(f"{_shown(file)}: empty; there is no ad to read.")

    def _text(self, row: Mapping[str, Any]) -> str:
        if self._text_field not in row:
            there = ", ".join(f"`{name[:40]}`" for name in islice(row, 8)) or "none"
            raise RowError(f"no field `{self._text_field}`", f"there are {there}. Name the ad's own with --text-field")
        text = text_of(row, self._text_field)
        if len(text) > MAX_TEXT:
            raise RowError("the text is too long", f"{len(text):,} characters; {MAX_TEXT:,} are read. Part it")
        return text

    def _share(self) -> float | None:
        if self._size is None or self._stream is None:
            return None
        return min(1.0, (self._before + self._stream.count) / self._size) if self._size else 1.0


class _Counted:
    """Counts the bytes that are read; those that are read again, as in Parquet, count again."""

    closed = False
    """Asked for by pyarrow."""

    def __init__(self, stream: BinaryIO, at_once: int | None) -> None:
        self._stream, self._at_once, self.count = stream, at_once, 0

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._stream.read(size if self._at_once is None else min(size, self._at_once))
        self.count += len(chunk)
        return chunk

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _whole(file: str, stream: BufferedReader) -> str:
    """A text that is one ad. Raises SourceError."""
    where = _shown(file)
    raw = stream.read(4 * MAX_TEXT + 1).removeprefix(BOM)
    if b"\0" in raw:
        raise SourceError(f"{where}: no text, for NUL bytes stand in it. Write the ad as text, in UTF-8.")
    if len(raw) <= 4 * MAX_TEXT:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            mend = iconv("ad.txt" if file == STDIN else file, LATIN)
            raise SourceError(
                f"{where}:{line}: not UTF-8: byte {raw[error.start]:#04x}. Convert it first, for example: {mend}"
            ) from error
        if not text.strip():
            raise SourceError(f"{where}: empty; there is no ad to read.")
        if len(text) <= MAX_TEXT:
            return text
    raise SourceError(
        f"{where}: over {MAX_TEXT:,} characters, which no ad has. If many ads stand in it, write them as JSON lines, one "
        'a line: {"job_description": "..."}'
    )


def _is_text(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(TEXT_SUFFIXES)


def _source(file: str) -> SourceFile:
    return SourceFile(_shown(file), UNREAD)


def _shown(file: str) -> str:
    return "standard input" if file == STDIN else file
