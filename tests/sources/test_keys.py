"""Partition keys."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.sources.errors import SourceError
from skillsengine.sources.keys import is_complete, key_of, parse_key, previous, spans
from skillsengine.spec.schema import Period

days = st.dates(min_value=date(1, 1, 1))
keys = st.dates(min_value=date(100, 1, 1), max_value=date(9998, 12, 31)).map(key_of)


@given(days)
def test_a_key_stands_for_the_month_of_its_days(day: date) -> None:
    first = parse_key(key_of(day))
    assert (first.year, first.month, first.day) == (day.year, day.month, 1)
    assert key_of(first) == key_of(day)


@given(days, days)
def test_keys_sort_as_their_months(one: date, other: date) -> None:
    assert (key_of(one) < key_of(other)) == (parse_key(key_of(one)) < parse_key(key_of(other)))


@given(keys, st.integers(0, 600))
def test_previous_months_are_consecutive_and_end_just_before(key: str, n: int) -> None:
    chain = [*previous(key, n), key]
    assert len(chain) == n + 1
    for earlier, later in pairwise(chain):
        first = parse_key(earlier)
        assert key_of(first + timedelta(days=calendar.monthrange(first.year, first.month)[1])) == later


@given(keys, st.integers(-14 * 60, 14 * 60), st.integers(-3, 3))
def test_a_month_is_complete_from_the_first_second_after_it_in_utc(key: str, offset: int, seconds: int) -> None:
    first = parse_key(key)
    end = datetime(first.year, first.month, 1, tzinfo=UTC) + timedelta(
        days=calendar.monthrange(first.year, first.month)[1]
    )
    now = (end + timedelta(seconds=seconds)).astimezone(timezone(timedelta(minutes=offset)))
    assert is_complete(key, now) == (seconds >= 0)


def test_the_window_of_a_run() -> None:
    assert previous("2026-06", 5) == ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05"]
    assert previous("2026-02", 3) == ["2025-11", "2025-12", "2026-01"]
    assert previous("2026-02", 0) == []


NOT_KEYS = ["", "2026", "2026-3", "2026-13", "2026-00", "0000-01", "26-03", "2026-03-01", "2026-W10", "2026-Q1"]
NOT_KEYS += [" 2026-03", "2026-03\n", "٢٠٢٦-٠٣", "../../..", "all"]


@pytest.mark.parametrize("key", NOT_KEYS)
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_key(key)
    shown = key.replace("\n", " ")
    assert str(caught.value) == f"`{shown}` is no partition: a month is written as YYYY-MM, such as 2026-03."


@pytest.mark.parametrize(
    ("key", "period", "count", "first", "span"),
    [
        ("2026-02,2026-01", "month", 2, "2026-02", "2026-01 to 2026-02"),
        ("2026-W01; 2026-W02 ;2026-W03", "week", 3, "2026-W01", "2026-W01 to 2026-W03"),
    ],
)
def test_several_keys_for_one(key: str, period: Period, count: int, first: str, span: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_key(key, period)
    assert str(caught.value).startswith(f"`{key}` is no partition: a {period} is written as ")
    assert str(caught.value).endswith(
        f". A run is for one: start a run for each of the {count}, first {first}, or a backfill from {span}."
    )


@pytest.mark.parametrize("key", ["2026-01,", "2026-01,2026-Q1", ",", "2026-01," * 100_000])
def test_what_is_no_list_of_keys(key: str) -> None:
    with pytest.raises(SourceError, match=r"such as 2026-03\.$") as caught:
        parse_key(key)
    assert len(str(caught.value)) < 150


@given(st.text(max_size=12))
def test_any_other_text_is_refused_or_a_key(text: str) -> None:
    try:
        first = parse_key(text)
    except SourceError:
        return
    assert key_of(first) == text


def test_time_has_a_beginning() -> None:
    assert previous("0002-01", 12)[0] == "0001-01"
    with pytest.raises(SourceError, match=r"no 13 months before 0002-01: choose a smaller data\.window"):
        previous("0002-01", 13)


def test_completeness_needs_an_aware_time() -> None:
    with pytest.raises(ValueError, match="needs an aware time"):
        is_complete("2026-03", datetime(2026, 4, 1))


def test_unbroken_rows_of_keys() -> None:
    assert spans(["2026-01", "2025-12", "2026-03", "2026-04"]) == [("2025-12", "2026-01"), ("2026-03", "2026-04")]
    assert spans(["2026-W53", "2027-W01", "2027-W03"], "week") == [("2026-W53", "2027-W01"), ("2027-W03", "2027-W03")]
    assert spans(["9999-12"]) == [("9999-12", "9999-12")] and spans([]) == []
