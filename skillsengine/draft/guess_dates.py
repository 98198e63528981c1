"""Which column says when an ad appeared, and how long the partitions that it makes should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

from skillsengine.draft.choice import Choice
from skillsengine.draft.columns import Column, chosen, shown
from skillsengine.draft.errors import DraftError
from skillsengine.draft.names import DATE, LATER_DATE
from skillsengine.sources.keys import is_complete, key_of
from skillsengine.sources.reading.dates import DateError, parse_date
from skillsengine.spec.schema import Period

_SURE = 0.95
"""Share of rows with a date from which on a source is dated unasked: the others are in no partition."""
_FROM = date(1990, 1, 1)
_AHEAD = timedelta(days=400)
_LOOKED_AT, _LONGEST = 100, 40
"""Values of a column that is called like a date, and characters of one, that tell whether it holds any."""
_FEWEST_KEYS = 3
"""Complete partitions: one to be tested on, two to learn from."""
_GOOD_ROWS, _FEWEST_ROWS = 20, 8
"""Rows of a middling partition: with fewer than the first, another period is taken if there is a better one; with fewer than
the second, none."""
WINDOWS: dict[Period, int] = {"day": 30, "week": 12, "month": 6, "quarter": 4}


@dataclass(frozen=True)
class Dates:
    """What is said about dates."""

    column: Choice
    period: Period
    period_why: str
    active: bool
    """Whether the spec is to be dated; otherwise it stands there commented out, with the reason in `column.doubt`."""
    keys: tuple[str, ...]
    """The partitions, sorted."""


@dataclass(frozen=True)
class _Dated:
    column: Column
    dates: tuple[date, ...]
    refused: str
    """Why the first value that is no date is none."""

    @property
    def share(self) -> float:
        return len(self.dates) / len(self.column.values) if self.column.values else 0.0

    @property
    def sound(self) -> float:
        """Share of the filled values."""
        return len(self.dates) / len(self.column.filled) if self.column.filled else 0.0


def guess_dates(columns: Sequence[Column], option: str | None, now: datetime | None = None) -> Dates | None:
    """The column with the ads' dates, None without one. `option` is what --date says. Raises DraftError for a column that is
    not there or holds no dates."""
    now = now or datetime.now(UTC)
    if option is not None:
        named = _read(chosen(columns, option, "--date"), now, any_number=True)
        if not named.dates:
            raise DraftError(f"--date {option}: no value of it can be read as a day. {named.refused or 'It is empty.'}")
        return _told(named, now, f"as --date says; {_described(named)}", asked=True)
    found = [_read(column, now) for column in columns]
    candidates = [dated for dated in found if dated.sound >= _SURE and dated.column.distinct > 1]
    if not candidates:
        return None
    candidates.sort(key=_rank)
    best = candidates[0]
    told = _told(best, now, _described(best), asked=False)
    # That an ad closes on a later day than it appears is no doubt.
    others = [dated.column.name for dated in candidates[1:] if not dated.column.says(LATER_DATE)]
    if others and not told.column.doubt:
        doubt = f"{shown(others, 3)} hold{'s' if len(others) == 1 else ''} dates too: `--date {others[0]}` takes that"
        return replace(told, column=replace(told.column, doubt=doubt))
    return told


def refused_dates(columns: Sequence[Column], now: datetime | None = None) -> str | None:
    """What to tell where a column is called like a date and cannot be read as one."""
    for column in columns:
        if column.says(DATE) and any(map(_like_a_date, column.filled[:_LOOKED_AT])):
            read = _read(column, now or datetime.now(UTC))
            if read.sound < _SURE and read.refused:
                many = f"{len(column.filled) - len(read.dates):,} of {len(column.filled):,} values are no dates: "
                return f"`{column.name}` is called like a date, but {many if read.dates else ''}{read.refused}"
    return None


def _like_a_date(value: Any) -> bool:
    """A number, or a short text with a digit: not an ad that its column calls `posting`."""
    if isinstance(value, str):
        return len(value) <= _LONGEST and any(char.isdigit() for char in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _read(column: Column, now: datetime, *, any_number: bool = False) -> _Dated:
    dates, refused = [], ""
    numbers = any_number or column.says(DATE)
    for value in column.filled:
        if not numbers and (isinstance(value, (int, float)) or (isinstance(value, str) and value.strip().isdigit())):
            continue  # a number of a job may have ten digits, as seconds since 1970 do
        try:
            day = parse_date(value)
        except DateError as error:
            refused = refused or str(error)
            continue
        if _FROM <= day <= now.date() + _AHEAD:
            dates.append(day)
        else:
            refused = refused or f"{day} is not of this time"
    return _Dated(column, tuple(dates), refused)


def _rank(dated: _Dated) -> tuple[bool, bool, float]:
    column = dated.column
    return column.says(LATER_DATE), not column.says(DATE), -dated.share


def _described(dated: _Dated) -> str:
    rows, told = len(dated.column.values), f"{min(dated.dates)} to {max(dated.dates)}"
    if len(dated.dates) == rows:
        return f"all are dates, {told}"
    told += f"; {rows - len(dated.dates):,} of {rows:,} rows have none"
    return f"{told} ({dated.refused.rstrip('.')})" if dated.refused else told


def _told(dated: _Dated, now: datetime, why: str, *, asked: bool) -> Dates:
    period, counts = choose_period(dated.dates, now)
    keys = tuple(sorted(counts))
    complete = [counts[key] for key in keys if is_complete(key, now, period)]
    rows = median(complete or counts.values())
    many = f"{len(keys)} {period}{'s' if len(keys) != 1 else ''}, {rows:.0f} rows in the middling one"
    doubt = ""
    if dated.share < _SURE:
        doubt = (
            f"{1 - dated.share:.0%} of the rows have no date in `{dated.column.name}`, and rows without one are in no "
            f"partition: `--date {dated.column.name}` makes it dated all the same"
        )
    elif dated.column.says(LATER_DATE):
        doubt = (
            f"`{dated.column.name}` holds dates, but by its name not of the ads' appearance, which is what partitions are made "
            f"of: `--date {dated.column.name}` makes it dated all the same"
        )
    elif len(complete) < _FEWEST_KEYS or rows < _FEWEST_ROWS:
        doubt = (
            f"`{dated.column.name}` holds dates, but of {many}: too few to learn from some and be tested on the next; "
            f"`--date {dated.column.name}` makes it dated all the same"
        )
    return Dates(
        Choice(dated.column.name, why, "" if asked else doubt),
        period=period,
        period_why=many,
        active=asked or not doubt,
        keys=keys,
    )


def choose_period(dates: Sequence[date], now: datetime) -> tuple[Period, Counter[str]]:
    """The period, and the rows of each partition: months, but quarters where months are thin, weeks or days where the dates
    span too little for months."""
    counts: dict[Period, Counter[str]] = {
        period: Counter(key_of(day, period) for day in dates) for period in ("month", "quarter", "week", "day")
    }

    def enough(period: Period, rows: float) -> bool:
        complete = [count for key, count in counts[period].items() if is_complete(key, now, period)]
        return len(complete) >= _FEWEST_KEYS and median(complete) >= rows

    periods: tuple[Period, ...] = ("month", "quarter", "week", "day")
    for rows in (_GOOD_ROWS, _FEWEST_ROWS):
        for period in periods:
            if enough(period, rows):
                return period, counts[period]
    return "month", counts["month"]
