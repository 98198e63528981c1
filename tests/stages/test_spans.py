"""Gold spans: how a row holds them, and where they stand after cleaning."""

from __future__ import annotations

from typing import Any

import pytest

from skillsengine.sources.reading.rows import RowError
from skillsengine.spec.schema import Data
from skillsengine.stages.cleaning import clean
from skillsengine.stages.spans import parse_spans, place_spans

STEPS = Data.model_fields["cleaning"].default


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        (None, None),
        ("  ", None),
        ([], []),
        ([[1, 3], [4, 9, "Go"]], [(1, 3, None), (4, 9, "Go")]),
        ('[[1, 3], {"start": 4, "end": 9}]', [(1, 3, None), (4, 9, None)]),
        ([{"start": 4, "end": 9, "text": "Go", "labels": ["SKILL"]}], [(4, 9, "Go")]),
    ],
)
def test_ways_to_hold_spans(value: Any, spans: Any) -> None:
    assert parse_spans({"a": value}, ("a",)) == spans


def test_columns_are_joined() -> None:
    values = {"hard": [[0, 2]], "soft": None, "more": [[5, 6]]}
    assert parse_spans(values, ("hard", "soft", "more", "gone")) == [(0, 2, None), (5, 6, None)]
    assert parse_spans(values, ("soft", "gone")) is None
    assert parse_spans(values, ()) is None


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (3, "the spans are not a list: `a` is a number"),
        ("0-2", "the spans are not a list: `a` is a string that is no JSON"),
        ("[" * 100_000, "the spans are not a list: `a` is a string that is no JSON"),
        ({"start": 1, "end": 2}, "the spans are not a list: `a` is an object"),
        ([7], "a span is not [start, end]: item 1 of `a` is a number"),
        ([[1, 2], [3]], "a span is not [start, end]: item 2 of `a` has 1 parts"),
        ([[1, "2"]], "a span is not [start, end]: the end of item 1 of `a` is a string"),
        ([[True, 2]], "a span is not [start, end]: the start of item 1 of `a` is true or false"),
        ([[1.5, 2]], "a span is not [start, end]: the start of item 1 of `a` is a number"),
        ([{"end": 2}], "a span is not [start, end]: the start of item 1 of `a` is null"),
        ([[1, 2, 3]], "a span is not [start, end]: the text of item 1 of `a` is a number"),
    ],
)
def test_what_is_no_span(value: Any, told: str) -> None:
    with pytest.raises(RowError) as caught:
        parse_spans({"a": value}, ("a",))
    assert str(caught.value) == told


def placed(raw: str, *marked: tuple[str, int]) -> tuple[list[tuple[str, int]], int]:
    """Mark occurrences (from 0) of strings in `raw`; (string, occurrence) in the clean text, and how many are lost."""
    spans = [(start := _nth(raw, part, nth), start + len(part), part) for part, nth in marked]
    text = clean(raw, STEPS)
    found, lost = place_spans(raw, text, spans, STEPS)
    return [(text[start:end], text[:start].count(text[start:end])) for start, end in found], lost


def _nth(text: str, part: str, nth: int) -> int:
    at = -1
    for _ in range(nth + 1):
        at = text.index(part, at + 1)
    return at


@pytest.mark.parametrize(
    ("raw", "marked", "found"),
    [
        ("Go and Go", [("Go", 1)], [("Go", 1)]),
        ("<b>Go</b>  and\u00a0Go", [("Go", 1)], [("Go", 1)]),
        ("C&amp;C, then C&amp;C, then C&C", [("C&amp;C", 1), ("C&C", 0)], [("C&C", 1), ("C&C", 2)]),
        ('<a title="SQL">SQL</a> and SQL', [("SQL", 1), ("SQL", 2)], [("SQL", 0), ("SQL", 1)]),
        ("aa<br>aaa", [("aa", 1), ("aa", 2)], [("aa", 1), ("aa", 1)]),
        ("Deep  learning, <i>Go</i> ", [("Deep  learning", 0), (" <i>Go</i> ", 0)], [("Deep learning", 0), ("Go", 0)]),
        ("Cafe\u0301 and Caf\u00e9", [("Cafe\u0301", 0), ("Caf\u00e9", 0)], [("Caf\u00e9", 0), ("Caf\u00e9", 1)]),
    ],
)
def test_a_span_is_found_again(raw: str, marked: list[tuple[str, int]], found: list[tuple[str, int]]) -> None:
    assert placed(raw, *marked) == (found, 0)


def test_white_space_around_a_span_is_left_out() -> None:
    assert place_spans("Know Go now", "Know Go now", [(4, 8, " Go ")], STEPS) == (((5, 7),), 0)


def test_spans_are_ascending_and_each_once() -> None:
    spans = [(5, 7, None), (0, 4, None), (5, 7, "Go")]
    assert place_spans("Know Go", "Know Go", spans, STEPS) == (((0, 4), (5, 7)), 0)


@pytest.mark.parametrize(
    ("start", "end", "told"), [(-1, 2, None), (2, 2, None), (3, 2, None), (0, 8, None), (5, 7, "go"), (4, 5, None)]
)
def test_what_does_not_fit_is_counted(start: int, end: int, told: str | None) -> None:
    assert place_spans("Know Go", "Know Go", [(start, end, told)], STEPS) == ((), 1)


def test_what_cleaning_took_away_is_counted() -> None:
    assert placed('<img alt="SQL"> and Go', ("SQL", 0), ("<img", 0)) == ([], 2)
