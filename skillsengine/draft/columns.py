"""What can be said of a column without knowing what it means: how full, how long, how different its values are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from skillsengine.draft.errors import DraftError


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
        return len({value if isinstance(value, (str, int)) else repr(value) for value in self.filled})

    @cached_property
    def characters(self) -> float:
        """Mean length of the texts; 0 without any."""
        return sum(map(len, self.texts)) / len(self.texts) if self.texts else 0.0

    @cached_property
    def words(self) -> float:
        """Mean number of the texts' words; 0 without any."""
        return sum(len(text.split()) for text in self.texts) / len(self.texts) if self.texts else 0.0

    def says(self, words: Sequence[str]) -> bool:
        """Whether its name holds one of `words`: `Job_Description` and `jobDescription` hold `description`."""
        return bool(set(name_parts(self.name)) & set(words))


def columns_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Column]:
    """The columns `names` of the rows. A blank text counts as no value."""
    return [Column(name, tuple(_value(row.get(name)) for row in rows)) for name in names]


def _value(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def name_parts(name: str) -> list[str]:
    """The words of a column's name, in small letters, and all of it in one: `jobDescription` -> job, description,
    jobdescription."""
    parts = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", name))
    lowered = [part.casefold() for part in parts]
    return [*lowered, "".join(lowered)]


def chosen(columns: Sequence[Column], name: str, option: str) -> Column:
    """The column that an option names. Raises DraftError that lists what there is."""
    for column in columns:
        if column.name == name:
            return column
    same = [column.name for column in columns if column.name.casefold() == name.strip().casefold()]
    there = ", ".join(f"`{column.name}`" for column in columns)
    hint = f" Did you mean `{same[0]}`?" if same else ""
    raise DraftError(f"{option} {name}: there is no such column.{hint} The columns are {there}.")


def shown(names: Sequence[str], most: int = 12) -> str:
    """`a`, `b` and 3 more."""
    told = ", ".join(f"`{name}`" for name in names[:most])
    return told + (f" and {len(names) - most} more" if len(names) > most else "")
