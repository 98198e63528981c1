"""Labels: how a row holds them (`data.label_format`), and where they stand in the text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal

from skillsengine.sources.reading.rows import RowError, kind, legal
from skillsengine.spec.schema import CleaningStep
from skillsengine.stages.cleaning import clean

LabelFormat = Literal["list", "comma", "semicolon", "json"]

NOT_A_LIST = "the labels are not a list"
WRITTEN_OTHERWISE = "the labels are written otherwise"
PRINTED_BY_NUMPY = "the labels are an array as numpy prints it"
_SEPARATORS: dict[str, str] = {"comma": ",", "semicolon": ";"}
# A list of strings as Python prints it. Checked before `ast` sees it, which would join 'a' 'b' (numpy prints its arrays so,
# without commas) to 'ab', and takes any other literal, however deep.
_STRING = r"""[uU]?(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
_PRINTED = re.compile(rf"\s*\[\s*(?:{_STRING}\s*+(?:,\s*{_STRING}\s*+)*+,?)?\s*\]\s*")
_NUMPY = re.compile(rf"\s*\[\s*{_STRING}\s+{_STRING}")
_REMEMBERED = 100
"""Characters of a label whose cleaned form is remembered."""
_LONGEST_PRINTED = 1 << 20
"""Characters of a printed list: a megabyte is some fifty thousand skills."""


def parse_labels(value: Any, column: str, label_format: LabelFormat) -> list[str] | None:
    """The labels of one row; None if it has none, which is not the same as the empty list: this ad asks for no skill.

    A list counts as one in every format; `label_format` says how a text is read. Null and a blank text are unlabelled, so
    `comma` and `semicolon` cannot say that an ad asks for nothing; `json` can (`[]`). Raises RowError.
    """
    if isinstance(value, str):
        value = _of_text(value, column, label_format)
    if value is None:
        return None
    if not isinstance(value, list):
        raise RowError(NOT_A_LIST, f"`{column}` is {kind(value)}")
    for place, label in enumerate(value, 1):
        if not isinstance(label, str):
            raise RowError("a label is not a string", f"item {place} of `{column}` is {kind(label)}")
    return [legal(label) for label in value]


def _of_text(text: str, column: str, label_format: LabelFormat) -> Any:
    stripped = text.strip()
    if not stripped:
        return None
    if label_format == "json":
        return _parsed(stripped, column)
    listed = stripped.startswith("[") and stripped.endswith("]")
    if label_format == "list":
        fitting = "json" if listed else "comma, semicolon or json"
        raise RowError(NOT_A_LIST, f"`{column}` is a string, which data.label_format: {fitting} reads")
    if listed:
        detail = f"`{column}` is a list written as text, which data.label_format: json reads, not {label_format}"
        raise RowError(WRITTEN_OTHERWISE, detail)
    return [label for part in stripped.split(_SEPARATORS[label_format]) if (label := part.strip())]


def _parsed(text: str, column: str) -> Any:
    """A list in JSON, or as Python prints a list of strings."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if len(text) <= _LONGEST_PRINTED and _PRINTED.fullmatch(text):
            try:
                return ast.literal_eval(text)
            except (ValueError, SyntaxError):
                pass  # an escape that is none (`\x` at the end): told below
        if _NUMPY.match(text):
            raise RowError(PRINTED_BY_NUMPY, f"`{column}` has no commas between its items") from error
        detail = f"`{column}` is neither a JSON list nor a list of strings as Python prints it"
        raise RowError(NOT_A_LIST, detail) from error


def verbatim(labels: Iterable[str], text: str, steps: Sequence[CleaningStep]) -> tuple[list[str], int]:
    """(skills, dropped): the labels as they stand in the cleaned text, in order of first occurrence, each once.

    A label is cleaned as the text was. One that does not stand in the text letter by letter is dropped and counted, for
    the answer must be verbatim; a repetition, also in another case, is left out and not counted.
    """
    placed: dict[str, tuple[int, int, str]] = {}
    dropped, steps = 0, tuple(steps)
    for label in labels:
        forms = (_forms if len(label) <= _REMEMBERED else _forms.__wrapped__)(label, steps)
        found = next((form for form in forms if form and form in text), None)
        if found is None:
            dropped += 1
            continue
        place = (_first_place(found, text), len(found), found)
        placed[found.casefold()] = min(place, placed.get(found.casefold(), place))
    return [skill for _, _, skill in sorted(placed.values())], dropped


@lru_cache(maxsize=10_000)  # ads name the same skills again and again
def _forms(label: str, steps: tuple[CleaningStep, ...]) -> tuple[str, str]:
    """How a label may stand in a cleaned text."""
    return clean(label, steps).strip(), label.strip()


def _first_place(skill: str, text: str) -> int:
    """Where the skill first stands as whole words, else where its letters do (`Java` in `JavaScript`)."""
    # Not a regular expression: it would be compiled anew for nearly every label, which took half of the stage's time.
    first = start = text.index(skill)
    while start >= 0:
        end = start + len(skill)
        if not (start and _in_word(text[start - 1])) and not (end < len(text) and _in_word(text[end])):
            return start
        start = text.find(skill, start + 1)
    return first


def _in_word(char: str) -> bool:
    return char == "_" or char.isalnum()
