"""Look at data: a bounded number of rows of a bounded number of files, as the readers of a run would give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skillsengine.draft.errors import DraftError
from skillsengine.draft.place import DataFile, Place
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.formats import read_rows
from skillsengine.sources.reading.rows import TOO_LONG, RawRow, legal

MAX_ROWS = 5000
MAX_CHARACTERS = 32_000_000
"""Of all values together."""
MAX_FILES = 48
_KEPT = 3
_TOO_LONG = 4_000_000
"""Characters that an overlong row counts for: it was passed over, which took as long as reading it."""


@dataclass
class Sample:
    """What was seen of the data."""

    rows: list[RawRow] = field(default_factory=list)
    """Those that could be read, in their order."""
    splits: list[str | None] = field(default_factory=list)
    """Of each of `rows`, the split that its file is named for."""
    rejected: list[RawRow] = field(default_factory=list)
    """The first of those that could not."""
    rejected_count: int = 0
    notes: list[str] = field(default_factory=list)
    """What the readers found out by themselves."""
    files: int = 0
    """How many files were opened."""
    whole: bool = True
    """Whether every row of every file was looked at."""
    characters: int = 0

    @property
    def columns(self) -> list[str]:
        """All columns, in the order in which they first appear; those without a name that can be written are left out."""
        names = dict.fromkeys(name for row in self.rows for name in row.values or ())
        return [name for name in names if name.strip() and legal(name) == name]

    @property
    def values(self) -> list[Mapping[str, Any]]:
        return [row.values or {} for row in self.rows]

    @property
    def extent(self) -> str:
        """`all 2,110 rows`, `the first 5,000 rows`, `5,000 rows of 48 files`, `its only row`."""
        count = len(self.rows) + self.rejected_count
        rows = f"{count:,} row{'s' if count != 1 else ''}"
        if self.whole:
            return f"all {rows}" if count != 1 else "the only row"
        return f"the first {rows}" if self.files == 1 else f"{rows} of {self.files} files"


def look(place: Place) -> Sample:
    """Read the beginning of the files: of many, of some that lie evenly between the first and the last.

    Raises SourceError if a file cannot be read, DraftError if there is no row in any of them.
    """
    chosen = _evenly(place.files, MAX_FILES)
    sample = Sample(whole=len(chosen) == len(place.files))
    for number, file in enumerate(chosen):
        left = len(chosen) - number
        _read(file, sample, (MAX_ROWS - len(sample.rows)) // left, (MAX_CHARACTERS - sample.characters) // left)
    if not sample.rows:
        raise DraftError(_no_rows(place, sample))
    return sample


def _evenly(files: tuple[DataFile, ...], most: int) -> list[DataFile]:
    if len(files) <= most:
        return list(files)
    return [files[place * (len(files) - 1) // (most - 1)] for place in range(most)]


def _read(file: DataFile, sample: Sample, rows: int, characters: int) -> None:
    sample.files += 1
    try:
        stream = file.path.open("rb")
    except OSError as error:
        mend = "Mend its permissions, or copy it to where you may read it."
        raise DraftError(f"--data: {file.path} cannot be read: {error.strerror}. {mend}") from error
    with stream:
        for row in read_rows(SourceFile(file.path, sha256="", split=file.split), stream, sample.notes.append):
            if rows <= 0 or characters <= 0:
                sample.whole = False
                return
            rows -= 1
            if row.values is None:
                sample.rejected_count += 1
                characters -= _TOO_LONG if row.reason == TOO_LONG else len(row.excerpt)
                if len(sample.rejected) < _KEPT:
                    sample.rejected.append(row)
                continue
            sample.rows.append(row)
            sample.splits.append(file.split)
            size = sum(_size(value) for value in row.values.values())
            sample.characters += size
            characters -= size


def _size(value: Any) -> int:
    """Roughly the characters of a value. Not recursive: JSON may be nested as deep as Python's own stack."""
    size, left = 0, [value]
    while left:
        value = left.pop()
        if isinstance(value, (str, bytes)):
            size += len(value)
        elif isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, (list, tuple)):
            left += value
        else:
            size += 8
    return size


def _no_rows(place: Place, sample: Sample) -> str:
    where = place.files[0].path if len(place.files) == 1 else f"{place.root / place.rest} ({len(place.files)} files)"
    if sample.rejected:
        first = "\n".join(f"  {row.file}:{row.place}: {row.reason}: {row.detail}" for row in sample.rejected)
        many = f"none of {'the' if sample.whole else 'the first'} {sample.rejected_count:,} rows can be read"
        return (
            f"--data: {where}: {many}. The first:\n{first}\nMend them where they were written, or write the file again."
        )
    if place.size == 0:
        return f"--data: {where}: empty (0 bytes). Was it saved, downloaded whole?"
    return f"--data: {where}: no rows: there is nothing below the header, or the lines are blank."
