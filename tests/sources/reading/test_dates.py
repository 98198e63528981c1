"""Dates: what is read, what is refused, and the words it is refused with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.sources.reading.dates import DateError, parse_date

DAY = date(2021, 3, 9)


@pytest.mark.parametrize(
    "value",
    [
        DAY,
        datetime(2021, 3, 9, 23, 59),
        datetime(2021, 3, 10, 1, tzinfo=timezone(timedelta(hours=2))),
        "2021-03-09",
        " 2021-03-09\n",
        "20210309",
        20210309,
        "2021-03-09T10:00:00",
        "2021-03-09 10:00:00.123456",
        "2021-03-09T23:59:59Z",
        "2021-03-10T01:00:00+02:00",
        "2021-03-08T23:00:00-05:00",
        "2021-03-09 10:00:00 UTC",
        "20210309T100000Z",
        "2021-W10-2",
        "2021/03/09",
        "2021/3/9 10:00",
        "2021.03.09",
        1615248000,
        "1615248000",
        1615248000.75,
        1615334399999,
        "1615248000000.0",
    ],
)
def test_a_day_is_read(value: Any) -> None:
    assert parse_date(value) == DAY


ISO = "write it as YYYY-MM-DD, such as 2026-03-09"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "it is null"),
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("03/04/2021", f"`03/04/2021` can be read as day and month or as month and day; {ISO}"),
        ("3.4.2021 10:00", f"`3.4.2021 10:00` can be read as day and month or as month and day; {ISO}"),
        ("25/12/2021", f"`25/12/2021` can be read as day and month or as month and day; {ISO}"),
        ("03-04-21", f"`03-04-21` can be read as day and month or as month and day; {ISO}"),
        ("2021-03", f"`2021-03` names no day; {ISO}"),
        ("2021-W10", f"`2021-W10` names no day; {ISO}"),
        ("2021-Q1", f"`2021-Q1` names no day; {ISO}"),
        ("2021-02-30", f"`2021-02-30` is no date; {ISO}"),
        ("0000-00-00", f"`0000-00-00` is no date; {ISO}"),
        ("3 days ago", f"`3 days ago` is no date; {ISO}"),
        ("March 4, 2021", f"`March 4, 2021` is no date; {ISO}"),
        ("N/A", f"`N/A` is no date; {ISO}"),
        (20211301, f"20211301 is no date; {ISO}"),
        (44264, f"44264 is a number, and neither seconds or milliseconds since 1970 nor YYYYMMDD; {ISO}"),
        ("2021", f"`2021` is a number, and neither seconds or milliseconds since 1970 nor YYYYMMDD; {ISO}"),
        (-1615248000, f"-1615248000 is no date; {ISO}"),
        (float("nan"), f"nan is no date; {ISO}"),
        (1e300, f"1e+300 is no date; {ISO}"),
        ("٢٠٢١٠٣٠٩", f"`٢٠٢١٠٣٠٩` is no date; {ISO}"),
        (True, f"true or false is no date; {ISO}"),
        (["2021-03-09"], f"a list is no date; {ISO}"),
        ("0001-01-01T00:00:00+01:00", f"`0001-01-01T00:00:00+01:00` is no date; {ISO}"),
        (
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            f"0001-01-01T00:00:00+01:00 is out of the calendar in UTC; {ISO}",
        ),
        ("x" * 1000, f"`{'x' * 40}` is no date; {ISO}"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_day_is_refused(value: Any, why: str) -> None:
    with pytest.raises(DateError) as caught:
        parse_date(value)
    assert str(caught.value) == why


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.timezones() | st.none())
)
def test_the_day_is_that_of_utc(moment: datetime) -> None:
    expected = moment.date() if moment.tzinfo is None else moment.astimezone(UTC).date()
    assert parse_date(moment) == expected
    if moment.utcoffset() is None or moment.utcoffset() == timedelta(
        hours=round(moment.utcoffset() / timedelta(hours=1))
    ):
        assert parse_date(moment.isoformat()) == expected


@given(st.none() | st.text(max_size=30) | st.integers() | st.floats() | st.binary(max_size=3))
def test_nothing_else_is_raised(value: Any) -> None:
    try:
        assert isinstance(parse_date(value), date)
    except DateError as error:
        assert str(error)
