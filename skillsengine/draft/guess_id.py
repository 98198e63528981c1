"""Which column tells the rows apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skillsengine.draft.choice import Choice
from skillsengine.draft.columns import Column, chosen
from skillsengine.draft.errors import DraftError
from skillsengine.draft.names import DATE, ID, LATER_DATE, NO_LABELS, name_parts
from skillsengine.sources.reading.dates import DateError, parse_date

_LONGEST = 80
_NEARLY = 0.9
"""Share of the rows with a value of their own from which on a column called like an id is taken for one."""
_FEWEST_ROWS = 5
"""In which a column without a telling name has to be different everywhere: in fewer, most columns are."""
_UNIQUE = "short, and different in every row"


def guess_id(columns: Sequence[Column], option: str | None) -> Choice | None:
    """The column with the rows' identifiers, None where file and line have to serve. `option` is what --id says.

    Raises DraftError for a column that is not there, or whose values no row can be called by.
    """
    if option is not None:
        column = chosen(columns, option, "--id")
        if wrong := [value for value in column.filled if not _names_a_row(value)]:
            raise DraftError(
                f"--id {column.name}: {len(wrong):,} of {len(column.values):,} rows would be rejected: an id is a string or a "
                f"number, and the column holds {column.kinds}. Name another one, or leave --id out: file and line serve then."
            )
        return Choice(column.name, f"as --id says; {_described(column)}")
    candidates = [column for column in columns if len(column.filled) == column.distinct and _short(column)]
    # `id` itself first; the ids of something else, such as the company, last.
    called = sorted((column for column in columns if column.says(ID)), key=_rank)
    whole = [column for column in candidates if len(column.filled) == len(column.values)]
    if named := [column for column in called if column in whole and len(column.values) > 1]:
        return Choice(named[0].name, _UNIQUE)
    nearly = [column for column in called if column.distinct > _NEARLY * len(column.values) and _short(column)]
    if nearly:
        return Choice(
            nearly[0].name,
            f"by its name; {_described(nearly[0])}: to equal ones the place in the file is added, and stands for missing ones",
        )
    like_ids = [column for column in whole if len(column.values) >= _FEWEST_ROWS and _looks_like_ids(column)]
    return Choice(like_ids[0].name, _UNIQUE) if like_ids else None


def _rank(column: Column) -> tuple[bool, int]:
    parts = name_parts(column.name)[:-1]
    return column.says(NO_LABELS), len(parts)


def _names_a_row(value: Any) -> bool:
    """What the reader takes as an id."""
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _short(column: Column) -> bool:
    return all(_names_a_row(value) and len(str(value)) <= _LONGEST for value in column.filled)


def _looks_like_ids(column: Column) -> bool:
    """Without a telling name: one word with a digit in it (`ad-0017`), or numbers one after the other; no dates."""
    if column.says((*DATE, *LATER_DATE)) or _is_day(column.filled[0]):
        return False
    if all(isinstance(value, int) or (isinstance(value, str) and value.strip().isdecimal()) for value in column.filled):
        numbers = [int(value) for value in column.filled]
        return numbers == sorted(numbers)
    texts = column.texts
    return len(texts) == len(column.filled) and all(
        len(text.split()) == 1 and any(char.isdigit() for char in text) for text in texts
    )


def _is_day(value: Any) -> bool:
    if not isinstance(value, str) or value.strip().isdecimal():
        return False
    try:
        parse_date(value)
    except DateError:
        return False
    return True


def _described(column: Column) -> str:
    missing = len(column.values) - len(column.filled)
    told = f"{column.distinct:,} different of {len(column.filled):,}"
    return told + (f", {missing:,} missing" if missing else "")
