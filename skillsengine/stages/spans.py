"""Gold spans (`data.spans`): where skills stand in the ad as its source holds it, and where in the cleaned text.

A span is (first character, behind the last), counted in characters of Python, which are Unicode's code points.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from skillsengine.sources.reading.rows import RowError, kind
from skillsengine.spec.schema import CleaningStep
from skillsengine.stages.cleaning import clean

Span = tuple[int, int]
SourceSpan = tuple[int, int, str | None]
"""First character, behind the last, and the string that should stand there, where the source says it."""

SPANS_NOT_A_LIST = "the spans are not a list"
NOT_A_SPAN = "a span is not [start, end]"


def parse_spans(values: Mapping[str, Any], columns: Sequence[str]) -> list[SourceSpan] | None:
    """The spans of one row, of all `columns` together; None if it has none, which is not the same as the empty list.

    A column holds a list (or its JSON) whose items are `[start, end]`, `[start, end, text]` or objects with `start` and `end`.
    Raises RowError.
    """
    found: list[SourceSpan] | None = None
    for column in columns:
        listed = _list(values.get(column), column)
        if listed is not None:
            found = (found or []) + [_span(item, place, column) for place, item in enumerate(listed, 1)]
    return found


def place_spans(
    raw: str, text: str, spans: Sequence[SourceSpan], steps: Sequence[CleaningStep]
) -> tuple[tuple[Span, ...], int]:
    """(the spans in the cleaned text, ascending and each once; how many could not be placed).

    Cleaning moves characters, so a span is found again by its string, cleaned, and by the how-manieth of its kind it is. Not
    placed are spans that do not fit into `raw`, hold no character, say another string than stands there, or whose string
    does not occur as often after cleaning as before.
    """
    placed: set[Span] = set()
    lost = 0
    for start, end, told in spans:
        here = None
        if 0 <= start < end <= len(raw) and told in (None, raw[start:end]):
            here = _place(raw, text, start, end, steps)
        if here is None:
            lost += 1
        else:
            placed.add(here)
    return tuple(sorted(placed)), lost


def _place(raw: str, text: str, start: int, end: int, steps: Sequence[CleaningStep]) -> Span | None:
    stripped = raw[start:end].strip()
    if not stripped:
        return None
    start += raw[start:end].index(stripped)
    if raw == text:
        return start, start + len(stripped)
    skill = clean(stripped, steps).strip()
    if not skill:
        return None
    now, before = _occurrences(skill, text), _occurrences(stripped, raw)
    if len(now) == len(before):
        return now[before.index(start)], now[before.index(start)] + len(skill)
    # An entity, or a tag that holds the string too: counted in both parts of the ad, each cleaned by itself.
    ahead, rest = (len(_occurrences(skill, clean(part, steps))) for part in (raw[:start], raw[start:]))
    return (now[ahead], now[ahead] + len(skill)) if rest and ahead + rest == len(now) else None


def _occurrences(part: str, text: str) -> list[int]:
    """Where `part`, not empty, stands in `text`, also where two overlap."""
    found = []
    at = text.find(part)
    while at >= 0:
        found.append(at)
        at = text.find(part, at + 1)
    return found


def _list(value: Any, column: str) -> list[Any] | None:
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise RowError(SPANS_NOT_A_LIST, f"`{column}` is a string that is no JSON") from error
    if value is not None and not isinstance(value, list):
        raise RowError(SPANS_NOT_A_LIST, f"`{column}` is {kind(value)}")
    return value


def _span(item: Any, place: int, column: str) -> SourceSpan:
    where = f"item {place} of `{column}`"
    parts = [item.get("start"), item.get("end"), item.get("text")] if isinstance(item, dict) else item
    if not isinstance(parts, list):
        raise RowError(NOT_A_SPAN, f"{where} is {kind(item)}")
    if len(parts) not in (2, 3):
        raise RowError(NOT_A_SPAN, f"{where} has {len(parts)} parts")
    start, end, text = (*parts, None)[:3]
    for name, value in (("start", start), ("end", end)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise RowError(NOT_A_SPAN, f"the {name} of {where} is {kind(value)}")
    if not isinstance(text, str | None):
        raise RowError(NOT_A_SPAN, f"the text of {where} is {kind(text)}")
    return start, end, text
