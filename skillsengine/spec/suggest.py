"""Did you mean: the known word that a mistyped one resembles."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MAX_WORD = 60


def closest(word: str, known: Iterable[str]) -> str | None:
    """The word of `known` that `word` was probably meant to be, also by case and `-` for `_`; None if none is near."""
    if len(word) > _MAX_WORD:
        return None
    by_form = {_form(option): option for option in known}
    near = difflib.get_close_matches(_form(word), by_form, n=1, cutoff=0.6)
    return by_form[near[0]] if near else None


def _form(word: str) -> str:
    return word.strip().lower().replace("-", "_")
