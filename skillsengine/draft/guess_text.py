"""Which column holds the ad."""

from __future__ import annotations

import re
from collections.abc import Sequence

from skillsengine.draft.choice import Choice
from skillsengine.draft.columns import Column, chosen, shown
from skillsengine.draft.errors import DraftError
from skillsengine.draft.names import NO_TEXT, TEXT

_FEWEST_CHARACTERS = 60
"""Mean length of the shortest ads that are taken for texts."""
_FEWEST_WORDS = 8
_NAMED = 2.0
"""How much longer a column without a telling name has to be, to be preferred to one that has it; and how much longer one
about the employer."""
_NEAR = 0.5
_SEPARATOR = re.compile(r"[,;|\n]")
_WORDS_OF_A_PIECE = 4.0
"""Mean words between two separators from which on a text is prose rather than a list of skills."""


def guess_text(columns: Sequence[Column], option: str | None) -> tuple[Column, Choice]:
    """The column with the ads, and why. `option` is what --text says.

    Raises DraftError if there is no column of that name, or none with long texts.
    """
    if option is not None:
        column = chosen(columns, option, "--text")
        if not column.texts:
            raise DraftError(
                f"--text {option}: no row has a text there, so there would be no ad to read. {_facts(columns)}"
            )
        return column, Choice(column.name, f"as --text says; {_described(column)}")
    candidates = sorted((column for column in columns if _is_text(column)), key=_score, reverse=True)
    if not candidates:
        raise DraftError(_none(columns))
    best = candidates[0]
    others = [column for column in candidates[1:] if _score(column) > _NEAR * _score(best)]
    longest = best.characters == max(column.characters for column in candidates)
    doubt = ""
    if others:
        doubt = (
            f"{shown([column.name for column in others], 3)} hold{'s' if len(others) == 1 else ''} long texts too "
            f"({others[0].characters:,.0f} characters on average): `--text {others[0].name}` takes that"
        )
    reason = "the longest texts" if longest else "long texts, and its name"
    return best, Choice(best.name, f"{reason} ({_described(best)})", doubt)


def _is_text(column: Column) -> bool:
    enough = len(column.texts) >= max(1, len(column.values) // 3) and len(column.texts) > len(column.filled) / 2
    return enough and column.characters >= _FEWEST_CHARACTERS and column.words >= _FEWEST_WORDS and not _listed(column)


def _listed(column: Column) -> bool:
    """Whether it holds lists written as text: a long list of skills is no ad."""
    lists = sum(text.strip().startswith("[") and text.strip().endswith("]") for text in column.texts)
    if lists > len(column.texts) / 2:
        return True
    separators = sum(len(_SEPARATOR.findall(text)) for text in column.texts)
    return column.words * len(column.texts) < _WORDS_OF_A_PIECE * (separators + len(column.texts))


def _score(column: Column) -> float:
    """The mean length; less where texts are repeated (a notice that stands in every row) or missing."""
    different = column.distinct / len(column.filled)
    filled = len(column.filled) / len(column.values)
    name = 1 / _NAMED if column.says(NO_TEXT) else _NAMED if column.says(TEXT) else 1.0
    return column.characters * different * filled * name


def _described(column: Column) -> str:
    missing, others = len(column.values) - len(column.filled), len(column.filled) - len(column.texts)
    told = f"{column.characters:,.0f} characters on average, {column.distinct:,} different of {len(column.filled):,}"
    return told + (f", {missing:,} missing" if missing else "") + (f", {others:,} are no text" if others else "")


def _facts(columns: Sequence[Column]) -> str:
    if not columns:
        return "The rows have no columns."
    told = [
        f"`{column.name}` ({column.characters:,.0f} characters, {column.words:.0f} words on average)"
        if column.texts
        else f"`{column.name}` ({column.kinds})"
        for column in columns[:12]
    ]
    return f"The columns are {', '.join(told)}{f' and {len(columns) - 12} more' if len(columns) > 12 else ''}."


def _none(columns: Sequence[Column]) -> str:
    nested = [column.name for column in columns if column.filled and isinstance(column.filled[0], dict)]
    mend = (
        f"An ad inside of an object ({shown(nested, 3)}) is not found: write it as a column of its own."
        if nested
        else "If one of them holds short ads, name it with --text; if the columns look wrong, is the first line the names of "
        "the columns, and the separator the file's own?"
    )
    return (
        f"no column looks like the text of an ad (at least {_FEWEST_WORDS} words and {_FEWEST_CHARACTERS} characters on "
        f"average). {_facts(columns)} {mend}"
    )
