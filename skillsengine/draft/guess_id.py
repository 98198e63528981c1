"""Which column tells the rows apart."""

from __future__ import annotations

from collections.abc import Sequence

from skillsengine.draft.choice import Choice
from skillsengine.draft.columns import Column, chosen
from skillsengine.draft.names import ID

_LONGEST = 80


def guess_id(columns: Sequence[Column], option: str | None) -> Choice | None:
    """The column with the rows' identifiers, None where file and line have to serve. `option` is what --id says.

    Raises DraftError for a column that is not there.
    """
    if option is not None:
        column = chosen(columns, option, "--id")
        return Choice(column.name, f"as --id says; {_described(column)}")
    candidates = [column for column in columns if _tells_apart(column)]
    named = [column for column in candidates if column.says(ID)]
    if named:
        return Choice(named[0].name, "short, and different in every row")
    nearly = [column for column in columns if column.says(ID) and column.distinct > 0.9 * len(column.values)]
    if nearly and _short(nearly[0]):
        return Choice(
            nearly[0].name, f"by its name; {_described(nearly[0])}, of equal ones the place in the file is added"
        )
    like_ids = [column for column in candidates if _looks_like_ids(column)]
    return Choice(like_ids[0].name, "short, and different in every row") if like_ids else None


def _tells_apart(column: Column) -> bool:
    return len(column.values) > 1 and column.distinct == len(column.values) and _short(column)


def _short(column: Column) -> bool:
    return all(
        isinstance(value, (str, int)) and not isinstance(value, bool) and len(str(value)) <= _LONGEST
        for value in column.filled
    )


def _looks_like_ids(column: Column) -> bool:
    """Without a telling name: one word with a digit in it (`ad-0017`), or numbers one after the other."""
    if column.texts:
        return all(len(text.split()) == 1 and any(char.isdigit() for char in text) for text in column.texts)
    return list(column.filled) == sorted(column.filled)


def _described(column: Column) -> str:
    return f"{column.distinct:,} different of {len(column.values):,}"
