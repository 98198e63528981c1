"""Read JSON lines row by row, so that a bad row costs itself and never the file.

Why not `datasets.load_dataset("json")`: it reads blocks of 10 MB through Arrow. One broken line there fails the whole
file without saying which line, a column that is a list in one row and a string in another is re-encoded for the whole
block, and a text that looks like a date comes back as one. Here each line is parsed by itself, checked, and handed over
to `datasets.IterableDataset` with one fixed schema; cleaning is its batched `map`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

from datasets import Features, IterableDataset, List, Value

from skillsengine.stages.contract import SourceFile, StageError

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_FEATURES = Features(
    {
        "file": Value("string"),
        "line": Value("int64"),
        "split": Value("string"),
        "id": Value("large_string"),
        "text": Value("large_string"),
        "labels": List(Value("large_string")),
        "reason": Value("string"),
        "detail": Value("string"),
    }
)


class Record(TypedDict):
    """One line of a source. With a `reason` it is rejected; `text` is the raw line where no text could be read."""

    file: str
    line: int
    """From 1."""
    split: str | None
    id: str
    text: str
    labels: list[str] | None
    reason: str | None
    """The kind of mistake, one of few, so that it can be counted."""
    detail: str
    """What exactly is wrong in this line; may be empty."""


class RowError(Exception):
    """One row cannot be used; `reason` is the kind of mistake, `detail` what it is in this row."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Columns:
    """What the source calls its columns."""

    text: str
    labels: str
    id: str


class _HashedFile:
    """A file whose bytes are hashed as they are read, so that what was read is what the plan promised."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.bytes_read = 0
        self._sha = hashlib.sha256()
        try:
            self.handle: BinaryIO = file.path.open("rb")
        except OSError as error:
            raise StageError(
                f"{file.path}: cannot be read any more ({error.strerror}). It was there when the plan was made: "
                "put it back, or run again so that a new plan is made."
            ) from error

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """(number from 1, bytes) of each line."""
        for number, line in enumerate(self.handle, 1):
            self._sha.update(line)
            self.bytes_read += len(line)
            yield number, line

    def verify(self) -> None:
        """Read on to the end. Raises StageError if the file is not the one that was planned with."""
        while chunk := self.handle.read(1 << 20):
            self._sha.update(chunk)
        self.handle.close()
        if self._sha.hexdigest() != self.file.sha256:
            raise StageError(
                f"{self.file.path}: the file has changed since the plan was made (sha256 {self._sha.hexdigest()[:12]}, "
                f"planned {self.file.sha256[:12]}). Run again once nothing writes to it: a new plan takes it as it is."
            )


class SourceReader:
    """Reads the files of one source, in the order given.

    After reading: `columns` counts in how many rows each column stands, `lines` how many lines were not blank.
    """

    def __init__(self, files: tuple[SourceFile, ...], named: Columns) -> None:
        self.files, self.named = files, named
        self.columns: Counter[str] = Counter()
        self.lines = 0
        self._opened: dict[Path, _HashedFile] = {}
        self._size = sum(file.path.stat().st_size for file in files if file.path.exists())

    def __getstate__(self) -> dict[str, Any]:
        # `datasets` pickles the generator to name its cache (of which this one has none); open files cannot be.
        return {"files": self.files, "named": self.named}

    @property
    def fraction(self) -> float:
        """Share of the bytes read so far, 0 to 1."""
        return min(1.0, sum(opened.bytes_read for opened in self._opened.values()) / self._size) if self._size else 1.0

    def dataset(self) -> IterableDataset:
        """The records as a lazily read data set with a fixed schema (columns as in `Record`)."""
        return IterableDataset.from_generator(self.records, features=_FEATURES)

    def records(self) -> Iterator[Record]:
        """One record a line that is not blank, good or rejected. Raises StageError if a file cannot be opened."""
        for file in self.files:
            opened = self._opened[file.path] = _HashedFile(file)
            for number, line in opened.lines():
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    self.lines += 1
                    yield self._record(file, number, line)

    def verify(self) -> None:
        """Raises StageError if the bytes of a file are not those that the plan knew; reads what was left unread."""
        for file in self.files:
            (self._opened.get(file.path) or _HashedFile(file)).verify()

    def _record(self, file: SourceFile, number: int, line: bytes) -> Record:
        record = Record(
            file=file.path.name,
            line=number,
            split=file.split,
            id=f"{file.path.name}:{number}",
            text=_legal(line.decode("utf-8", "replace").strip()),
            labels=None,
            reason=None,
            detail="",
        )
        try:
            row = _parse(line)
            self.columns.update(row.keys())
            record["id"] = _id(row.get(self.named.id)) or record["id"]
            record["text"] = _text(row, self.named.text)
            record["labels"] = _labels(row.get(self.named.labels), self.named.labels)
        except RowError as error:
            record["reason"], record["detail"] = error.reason, error.detail
        return record


def _legal(text: str) -> str:
    """Half a surrogate pair (`\\ud83d` alone) is legal JSON and cannot be written to any file: it becomes U+FFFD."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def _kind(value: Any) -> str:
    """A JSON value's type in words."""
    names = {bool: "true or false", str: "a string", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")


def _parse(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RowError("not UTF-8", f"byte {line[error.start]:#04x} at position {error.start + 1}") from error
    except json.JSONDecodeError as error:
        # Not error.msg: its words differ between versions of Python, and the artifact must not.
        raise RowError("not JSON", f"unreadable at column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
        raise RowError("not JSON", "nested too deep or a number too long") from error
    if not isinstance(row, dict):
        raise RowError("not a JSON object", f"the line is {_kind(row)}")
    return row


def _id(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise RowError("the id is neither a string nor a number", f"it is {_kind(value)}")
    return _legal(str(value).strip())


def _labels(value: Any, column: str) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise RowError("the labels are not a list", f"`{column}` is {_kind(value)}")
    for place, label in enumerate(value, 1):
        if not isinstance(label, str):
            raise RowError("a label is not a string", f"item {place} of `{column}` is {_kind(label)}")
    return [_legal(label) for label in value]


def _text(row: dict[str, Any], column: str) -> str:
    value = row.get(column)
    if value is None:
        raise RowError("the text is missing", f"`{column}` is null" if column in row else f"no column `{column}`")
    if not isinstance(value, str):
        raise RowError("the text is not a string", f"`{column}` is {_kind(value)}")
    return _legal(value)
