"""The column with the ads' dates, in which form ever, and the partitions that it makes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from skillsengine.draft.errors import DraftError
from skillsengine.draft.guess_dates import Dates, choose_period, guess_dates, refused_dates
from skillsengine.sources.keys import key_of
from tests.draft.support import NOW, Rows, columns, read_jsonl

_FIRST = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def moments(count: int, every: timedelta = timedelta(hours=8)) -> list[datetime]:
    return [_FIRST + number * every for number in range(count)]


def dates_in(rows: Rows, option: str | None = None) -> Dates | None:
    return guess_dates(columns(rows), option, NOW)


def of(column: str, values: list[Any], option: str | None = None) -> Dates | None:
    return dates_in([{column: value} for value in values], option)


_FORMS: list[Callable[[datetime], Any]] = [
    lambda moment: f"{moment:%Y-%m-%d}",
    lambda moment: f"{moment:%Y/%m/%d}",
    lambda moment: f"{moment.year}/{moment.month}/{moment.day}",
    lambda moment: f"{moment:%Y.%m.%d}",
    lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}",
    lambda moment: moment.isoformat(),
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.123Z}",
    lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC",
    lambda moment: f"  {moment:%Y-%m-%d} ",
    lambda moment: moment,
    lambda moment: moment.date(),
]
_NUMBERS: list[Callable[[datetime], Any]] = [
    lambda moment: int(moment.timestamp()),
    lambda moment: moment.timestamp(),
    lambda moment: int(moment.timestamp()) * 1000,
    lambda moment: str(int(moment.timestamp())),
    lambda moment: int(f"{moment:%Y%m%d}"),
    lambda moment: f"{moment:%Y%m%d}",
]


@pytest.mark.parametrize("write", [*_FORMS, *_NUMBERS])
@pytest.mark.parametrize(
    "column", ["posted", "Veröffentlichungsdatum", "date de publication", "created_at", "listed_time"]
)
def test_dates_of_all_forms(column: str, write: Callable[[datetime], Any]) -> None:
    dates = of(column, [write(moment) for moment in moments(600)])
    assert dates is not None and dates.active
    assert (dates.column.value, dates.column.doubt, dates.period) == (column, "", "month")
    assert dates.keys == ("2026-03", "2026-04", "2026-05", "2026-06", "2026-07", "2026-08", "2026-09")
    assert dates.column.why == "all are dates, 2026-03-01 to 2026-09-17"
    assert dates.period_why == "7 months, 92 rows in the middling one"


@pytest.mark.parametrize("write", _FORMS)
def test_dates_are_known_without_a_telling_name(write: Callable[[datetime], Any]) -> None:
    dates = of("x", [write(moment) for moment in moments(600)])
    assert dates is not None and dates.active


@pytest.mark.parametrize("write", _NUMBERS)
@pytest.mark.parametrize("column", ["x", "salary", "phone", "job_id"])
def test_numbers_without_a_telling_name_are_no_dates(column: str, write: Callable[[datetime], Any]) -> None:
    values = [write(moment) for moment in moments(600)]
    assert of(column, values) is None
    asked = of(column, values, column)
    assert asked is not None and asked.active and len(asked.keys) == 7


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (
            "3/9/2026",
            "`3/9/2026` can be read as day and month or as month and day; write it as YYYY-MM-DD, such as 2026-03-09",
        ),
        (
            "09.03.2026",
            "`09.03.2026` can be read as day and month or as month and day; write it as YYYY-MM-DD, such as 2026-03-09",
        ),
        ("2026-03", "`2026-03` names no day; write it as YYYY-MM-DD, such as 2026-03-09"),
        ("9 March 2026", "`9 March 2026` is no date; write it as YYYY-MM-DD, such as 2026-03-09"),
        (20269, "20269 is a number, and neither seconds or milliseconds since 1970 nor YYYYMMDD; write it as"),
        ("1826-03-09", "1826-03-09 is not of this time"),
        ("2226-03-09", "2226-03-09 is not of this time"),
    ],
)
def test_dates_that_are_not_read_are_told(value: Any, why: str) -> None:
    rows = [{"posted": value, "n": n} for n in range(30)]
    assert dates_in(rows) is None
    assert (refused_dates(columns(rows), NOW) or "").startswith(f"`posted` is called like a date, but {why}")
    with pytest.raises(DraftError) as error:
        dates_in(rows, "posted")
    assert str(error.value).startswith(f"--date posted: no value of it can be read as a day. {why}")


def test_some_ambiguous_dates_among_others_are_counted() -> None:
    rows = [{"posted": "03/09/2026" if n % 4 == 0 else f"{moment:%Y-%m-%d}"} for n, moment in enumerate(moments(400))]
    assert dates_in(rows) is None
    told = refused_dates(columns(rows), NOW)
    assert told is not None
    assert told.startswith(
        "`posted` is called like a date, but 100 of 400 values are no dates: `03/09/2026` can be read as day"
    )
    asked = dates_in(rows, "posted")
    assert asked is not None and asked.active
    assert asked.column.why.startswith(
        "as --date says; 2026-03-01 to 2026-07-12; 100 of 400 rows have none (`03/09/2026` can be read"
    )


@pytest.mark.parametrize(
    "values", [["unknown"] * 9, [None] * 9, [""] * 9, ["we post an ad, of 2 pages or more, for all of our jobs"] * 9]
)
def test_what_is_no_date_at_all_is_not_told(values: list[Any]) -> None:
    assert refused_dates(columns([{"posting": value} for value in values]), NOW) is None


@pytest.mark.parametrize("later", ["closing", "expires_at", "Bewerbungsfrist", "date_limite", "last_updated"])
@pytest.mark.parametrize("first", [True, False])
def test_when_an_ad_appeared_wins_over_when_it_closes(later: str, first: bool) -> None:
    rows = [
        {
            **({later: f"{day + timedelta(30):%Y-%m-%d}"} if first else {}),
            "posted": f"{day:%Y-%m-%d}",
            later: f"{day + timedelta(30):%Y-%m-%d}",
        }
        for day in moments(600)
    ]
    dates = dates_in(rows)
    assert dates is not None and dates.active
    assert (dates.column.value, dates.column.doubt) == ("posted", "")


def test_of_two_dates_of_the_ads_appearance_the_fuller_is_taken_and_the_other_told() -> None:
    rows = [
        {"created": f"{day:%Y-%m-%d}" if n % 50 else None, "posted": f"{day:%Y-%m-%d}", "x": f"{day:%Y-%m-%d}"}
        for n, day in enumerate(moments(600))
    ]
    dates = dates_in(rows)
    assert dates is not None and dates.active
    assert dates.column.value == "posted"
    assert dates.column.doubt == "`created`, `x` hold dates too: `--date created` takes that"


def test_a_closing_date_alone_dates_nothing_unasked() -> None:
    days = [f"{day:%Y-%m-%d}" for day in moments(600)]
    dates = of("closing_date", days)
    assert dates is not None and not dates.active
    assert dates.column.doubt == (
        "`closing_date` holds dates, but by its name not of the ads' appearance, which is what partitions are made of: "
        "`--date closing_date` makes it dated all the same"
    )
    asked = of("closing_date", days, "closing_date")
    assert asked is not None and asked.active and asked.column.doubt == ""


def test_many_rows_without_a_date_are_told() -> None:
    rows = [{"posted": f"{moment:%Y-%m-%d}" if n % 10 else None} for n, moment in enumerate(moments(600))]
    dates = dates_in(rows)
    assert dates is not None and not dates.active
    assert dates.column.why == "2026-03-01 to 2026-09-17; 60 of 600 rows have none"
    assert dates.column.doubt == (
        "10% of the rows have no date in `posted`, and rows without one are in no partition: `--date posted` makes it dated "
        "all the same"
    )
    asked = dates_in(rows, "posted")
    assert asked is not None and asked.active


@pytest.mark.parametrize(
    ("count", "every", "period", "keys"),
    [
        (600, timedelta(hours=8), "month", 7),
        (100, timedelta(days=2.5), "quarter", 4),
        (300, timedelta(hours=4), "week", 9),
        (300, timedelta(minutes=30), "day", 7),
        (27, timedelta(days=10), "quarter", 4),  # thin in any case: 9 rows a quarter are more than 3 a month
    ],
)
def test_the_period_is_such_that_a_partition_has_rows(count: int, every: timedelta, period: str, keys: int) -> None:
    dates = of("posted", [f"{moment:%Y-%m-%d}" for moment in moments(count, every)])
    assert dates is not None
    assert (dates.period, len(dates.keys), dates.active) == (period, keys, True)


@pytest.mark.parametrize(
    ("count", "every"), [(12, timedelta(days=20)), (100, timedelta(minutes=5)), (2, timedelta(days=200))]
)
def test_too_few_rows_or_partitions_make_no_dated_source_unasked(count: int, every: timedelta) -> None:
    days = [f"{moment:%Y-%m-%d}" for moment in moments(count, every)]
    dates = of("posted", days)
    if dates is None:
        assert len(set(days)) == 1
    else:
        assert not dates.active
        assert "too few to learn from some and be tested on the next: `--date posted`" in dates.column.doubt.replace(
            "; `", ": `"
        )
    asked = of("posted", days, "posted")
    assert asked is not None and asked.active


def test_the_partition_that_is_not_over_does_not_count() -> None:
    this_and_two_before = [date(2026, month, day) for month in (9, 10, 11) for day in range(1, 20)]
    assert choose_period(this_and_two_before * 5, NOW)[0] == "week"
    assert choose_period(this_and_two_before * 5, datetime(2026, 12, 1, tzinfo=UTC))[0] == "month"


def test_one_day_for_all_is_no_date_of_ads() -> None:
    assert of("posted", ["2026-03-09"] * 100) is None
    asked = of("posted", ["2026-03-09"] * 100, "posted")
    assert asked is not None and asked.keys == ("2026-03",)


def test_an_option_that_holds_no_dates_is_refused() -> None:
    with pytest.raises(DraftError, match=r"--date x: no value of it can be read as a day. It is empty.$"):
        of("x", [None, None], "x")
    with pytest.raises(
        DraftError, match=r"--date x: no value of it can be read as a day. a list is no date; write it as"
    ):
        of("x", [["2026-03-09"]], "x")
    with pytest.raises(DraftError, match=r"--date posted: there is no such column. The columns are `x`."):
        of("x", [1], "posted")


def test_ads_and_other_columns_are_no_dates() -> None:
    rows = [
        {"text": f"Ad {n} of 2026-03-09", "n": n, "list": ["2026-03-09"], "flag": True, "none": None} for n in range(50)
    ]
    assert dates_in(rows) is None


@pytest.mark.shared
@pytest.mark.parametrize("column", ["posted", "Datum", "x"])
def test_real_months_in_one_table(shared_data: Path, column: str) -> None:
    files = [shared_data / "history" / "hn" / f"2016-{month:02}.jsonl" for month in (3, 4, 5, 6)]
    rows = [row for file in files for row in read_jsonl(file)]
    dates = dates_in([{"text": row["job_description"], column: row["posted"]} for row in rows])
    assert dates is not None and dates.active
    assert (dates.column.value, dates.period) == (column, "month")
    assert dates.keys == ("2016-03", "2016-04", "2016-05", "2016-06")
    assert dates.period_why == "4 months, 120 rows in the middling one"


@pytest.mark.shared
def test_real_ads_of_thin_months_become_quarters(shared_data: Path) -> None:
    rows = [row for file in sorted((shared_data / "history" / "skillspan").glob("*.jsonl")) for row in read_jsonl(file)]
    dates = dates_in([{"veröffentlicht": row["posted"]} for row in rows])
    assert dates is not None and dates.active
    assert (dates.period, dates.keys) == ("quarter", ("2020-Q4", "2021-Q1", "2021-Q2", "2021-Q3"))
    assert set(dates.keys) == {key_of(date.fromisoformat(row["posted"]), "quarter") for row in rows}


@pytest.mark.shared
def test_real_ads_of_which_half_are_dated(shared_data: Path) -> None:
    rows = read_jsonl(shared_data / "skillspan" / "document" / "train.jsonl")
    dates = dates_in([{"posted": row["posted"]} for row in rows])
    assert dates is not None and not dates.active
    assert dates.column.doubt.startswith("43% of the rows have no date in `posted`")
