"""What can be said of a column without knowing what it means: how full, how long, how different its values are."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from skillsengine.draft import names
from skillsengine.draft.errors import DraftError
from skillsengine.sources.reading.rows import kind

MAX_COLUMNS = 300
"""That are looked at. Rows with keys of their own (an object by ids) would have one column a row."""


@dataclass(frozen=True)
class Column:
    """One column of the rows that were looked at."""

    name: str
    values: tuple[Any, ...]
    """One a row, in their order; None where there is none or a blank text."""

    @cached_property
    def filled(self) -> tuple[Any, ...]:
        return tuple(value for value in self.values if value is not None)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(value for value in self.filled if isinstance(value, str))

    @cached_property
    def lists(self) -> tuple[list[Any], ...]:
        return tuple(value for value in self.filled if isinstance(value, list))

    @cached_property
    def distinct(self) -> int:
        """Different values; lists and objects count as different from each other."""
        nested = sum(isinstance(value, (list, dict)) for value in self.filled)
        plain = {(type(value), value) for value in self.filled if not isinstance(value, (list, dict))}
        return len(plain) + nested

    @cached_property
    def characters(self) -> float:
        """Mean length of the texts; 0 without any."""
        return sum(map(len, self.texts)) / len(self.texts) if self.texts else 0.0

    @cached_property
    def words(self) -> float:
        """Mean number of the texts' words; 0 without any."""
        return sum(len(text.split()) for text in self.texts) / len(self.texts) if self.texts else 0.0

    @property
    def kinds(self) -> str:
        """What its values are: `a string, null`, the most frequent first."""
        counts = Counter(kind(value) for value in self.values)
        return ", ".join(name for name, _ in counts.most_common())

    def says(self, words: Sequence[str]) -> bool:
        """Whether its name holds one of `words`, a table of `skillsengine.draft.names`."""
        return names.says(self.name, words)


def columns_of(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], named: Collection[str] = ()
) -> tuple[list[Column], int]:
    """(the columns of the rows, how many more there are): of many, those that are filled most often, and those `named`.

    A blank text counts as no value.
    """
    if len(columns) > MAX_COLUMNS:
        counts = Counter(name for row in rows for name, value in row.items() if _value(value) is not None)
        fullest = set(sorted(columns, key=lambda name: -counts[name])[:MAX_COLUMNS]) | set(named)
        kept = [name for name in columns if name in fullest]
    else:
        kept = list(columns)
    return [Column(name, tuple(_value(row.get(name)) for row in rows)) for name in kept], len(columns) - len(kept)


def _value(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def chosen(columns: Sequence[Column], name: str, option: str) -> Column:
    """The column that an option names. Raises DraftError that lists what there is."""
    for column in columns:
        if column.name == name:
            return column
    by_fold = {names.folded(column.name.strip()): column.name for column in reversed(columns)}
    near = difflib.get_close_matches(names.folded(name.strip()), by_fold, n=1)
    hint = f" Did you mean `{by_fold[near[0]]}`?" if near else ""
    there = (
        f"The columns are {shown([column.name for column in columns], 30)}." if columns else "The rows have no columns."
    )
    raise DraftError(f"{option} {name}: there is no such column.{hint} {there}")


def shown(listed: Sequence[str], most: int = 12) -> str:
    """`a`, `b` and 3 more."""
    told = ", ".join(f"`{name}`" for name in listed[:most])
    return told + (f" and {len(listed) - most} more" if len(listed) > most else "")
