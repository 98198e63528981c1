"""A source that a column with dates cuts into partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import Found
from skillsengine.sources.reading.index import DateIndex

INDEX_VERSION = 2
"""Raised with any change of what a reader makes of a row, of `reading.dates` or of `reading.index.RowsHash`: indexes that
are remembered from before would tell other hashes than the rows have now."""
_SHOWN = 3


def question(column: str, period: str) -> str:
    """What the index of a file is remembered as."""
    return f"dates of {column!r} by {period} (version {INDEX_VERSION})"


def as_json(index: DateIndex) -> dict[str, Any]:
    return asdict(index)


def from_json(stored: Mapping[str, Any]) -> DateIndex:
    partitions = {key: (int(rows), str(sha256)) for key, (rows, sha256) in stored["partitions"].items()}
    return DateIndex(partitions, stored["undated"], tuple(stored["first_undated"]))


@dataclass(frozen=True)
class Undated:
    """The rows of a source that belong to no partition."""

    rows: int
    of: int
    first: tuple[str, ...]

    @classmethod
    def among(cls, indexes: Iterable[DateIndex]) -> Undated:
        indexes = list(indexes)
        undated = sum(index.undated for index in indexes)
        dated = sum(rows for index in indexes for rows, _ in index.partitions.values())
        first = tuple(place for index in indexes for place in index.first_undated)
        return cls(undated, undated + dated, first[:_SHOWN])

    @property
    def share(self) -> float:
        return self.rows / self.of if self.of else 0.0


def check_dates(source: str, column: str, found: Undated, max_rejected: float) -> tuple[str, ...]:
    """A note on the rows without a date, if there are any. Raises SourceError if there are too many, or no row at all."""
    if not found.of:
        raise SourceError(f"data.source {source}: no rows. Put the data there, or mend data.source.")
    if not found.rows:
        return ()
    counted = f"{found.rows} of {found.of} rows have no date in the column `{column}` ({found.share:.1%})"
    first = "\n".join(f"  {place}" for place in found.first)
    if found.share > max_rejected or found.rows == found.of:
        raise SourceError(
            f"data.source {source}: {counted}, and data.max_rejected allows {max_rejected:.0%}. The first:\n{first}\n"
            "Set data.date_column to the column with the date, mend the rows, or raise data.max_rejected."
        )
    return (f"{counted} and belong to no partition; the first: {'; '.join(found.first)}",)


def keys_of(indexes: Sequence[tuple[Found, DateIndex]]) -> list[str]:
    """The partitions that have a row, sorted."""
    return sorted({key for _, index in indexes for key in index.partitions})
