"""The answer part of a training text: a JSON list of verbatim skills, and how a generated one is read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

_DECODER = json.JSONDecoder()
_BETWEEN = " \t\r\n,"


def render_answer(skills: Iterable[str]) -> str:
    """A space and a JSON list: ("TIG welding", "SQL") -> ` ["TIG welding", "SQL"]`, none -> ` []`.

    The space parts the answer from `### Skills:`; letters of all scripts stand as they are, since an escaped one would
    not be verbatim.
    """
    return " " + json.dumps(list(skills), ensure_ascii=False)


def parse_answer(text: str) -> tuple[list[str], bool]:
    """(skills, parsed) of a generated text: the items of the first list in it, each once, in their order.

    `parsed` says that the text begins with one whole JSON list of strings; what follows the list is passed over, since
    a base that was not tuned goes on talking. Otherwise the whole items are still taken: those before a cut, and those
    of a list after other words. Items that are not strings are dropped. Never raises.
    """
    start = text.find("[")
    if start < 0:
        return [], False
    items, whole = _items_from(text, start)
    strings = [item for item in items if isinstance(item, str)]
    # `\ud83d` alone is legal JSON and no legal text; it could not be written to a file.
    cleaned = [string.encode("utf-8", "replace").decode("utf-8").strip() for string in strings]
    skills = list(dict.fromkeys(skill for skill in cleaned if skill))
    return skills, whole and not text[:start].strip() and len(strings) == len(items)


def is_whole_answer(text: str) -> bool:
    """Whether `text` begins with a whole JSON list, so that `parse_answer` passes over whatever is written after it."""
    start = len(text) - len(text.lstrip())
    return text[start : start + 1] == "[" and _items_from(text, start)[1]


def _items_from(text: str, start: int) -> tuple[list[Any], bool]:
    """The items of the list that opens at `start`, and whether it is closed and correct."""
    try:
        items: list[Any] = _DECODER.raw_decode(text, start)[0]
        return items, True
    except (ValueError, RecursionError):
        return list(_whole_items(text, start + 1)), False


def _whole_items(text: str, position: int) -> Iterator[Any]:
    """The items that can be read one after the other, up to the first that cannot."""
    while True:
        while position < len(text) and text[position] in _BETWEEN:
            position += 1
        try:
            item, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return
        yield item
