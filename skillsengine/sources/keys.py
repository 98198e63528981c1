"""Keys of partitions: a day `2026-03-09`, an ISO week `2026-W10`, a month `2026-03`, a quarter `2026-Q1`. All in UTC.

Keys of one period sort as their partitions follow each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from skillsengine.sources.errors import SourceError
from skillsengine.spec.scalars import shorten
from skillsengine.spec.schema import Period

STATIC_KEY = "all"
"""Key of the only partition of a source that is not dated."""
KEY_PATTERN: Mapping[Period, str] = {
    "day": r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
    "week": r"^[0-9]{4}-W(0[1-9]|[1-4][0-9]|5[0-3])$",
    "month": r"^[0-9]{4}-(0[1-9]|1[0-2])$",
    "quarter": r"^[0-9]{4}-Q[1-4]$",
}
"""How a key looks; whether there is such a day or week, `parse_key` says."""
_FORMS: Mapping[Period, str] = {
    "day": "YYYY-MM-DD, such as 2026-03-09",
    "week": "YYYY-Www (ISO), such as 2026-W10",
    "month": "YYYY-MM, such as 2026-03",
    "quarter": "YYYY-Qn, such as 2026-Q1",
}


def parse_key(key: str, period: Period = "month") -> date:
    """The first day of a partition: `2026-Q2` -> 2026-04-01. Raises SourceError for anything that is no key."""
    if re.fullmatch(KEY_PATTERN[period], key):
        try:
            return _first_day(key, period)
        except ValueError:
            pass  # no such day or week, or the year 0: told below
    raise SourceError(
        f"`{shorten(key)}` is no partition: a {period} is written as {_FORMS[period]}.{_several(key, period)}"
    )


def _several(key: str, period: Period) -> str:
    """The mend for a list of keys in the place of one."""
    keys = re.split(r"\s*[,;\s]\s*", key[:1000].strip())
    if len(keys) < 2 or not all(re.fullmatch(KEY_PATTERN[period], each) for each in keys):
        return ""
    return (
        f" A run is for one: start a run for each of the {len(keys)}, first {keys[0]}, or a backfill from {min(keys)} to "
        f"{max(keys)}."
    )


def _first_day(key: str, period: Period) -> date:
    if period == "day":
        return date.fromisoformat(key)
    if period == "week":
        return date.fromisocalendar(int(key[:4]), int(key[6:]), 1)
    month = int(key[5:]) if period == "month" else int(key[6:]) * 3 - 2
    return date(int(key[:4]), month, 1)


def key_of(day: date, period: Period = "month") -> str:
    """The key of the partition that a day belongs to."""
    if period == "day":
        return day.isoformat()
    if period == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04d}-W{week:02d}"
    if period == "month":
        return f"{day.year:04d}-{day.month:02d}"
    return f"{day.year:04d}-Q{(day.month + 2) // 3}"


def period_end(key: str, period: Period = "month") -> date:
    """The first day after a partition. Raises SourceError for a bad key, or where the calendar ends."""
    first = parse_key(key, period)
    try:
        if period in ("day", "week"):
            return first + timedelta(days=1 if period == "day" else 7)
        months = first.year * 12 + first.month - 1 + (1 if period == "month" else 3)
        return date(months // 12, months % 12 + 1, 1)
    except (ValueError, OverflowError) as error:
        raise SourceError(f"{key}: the calendar ends with the year 9999.") from error


def previous(key: str, n: int, period: Period = "month") -> list[str]:
    """The `n` keys before `key`, oldest first. Raises SourceError for a bad key, or before the year 1."""
    first, keys = parse_key(key, period), []
    try:
        for _ in range(n):
            first = parse_key(key_of(first - timedelta(days=1), period), period)
            keys.append(key_of(first, period))
    except (OverflowError, SourceError) as error:
        raise SourceError(f"there are no {n} {period}s before {key}: choose a smaller data.window.") from error
    return keys[::-1]


def spans(found: Iterable[str], period: Period = "month") -> list[tuple[str, str]]:
    """(first, last) of each unbroken row of keys: what is left between them are holes. Raises SourceError for a bad key."""
    rows: list[tuple[str, str]] = []
    for key in sorted(found):
        if rows and key_of(period_end(rows[-1][1], period), period) == key:
            rows[-1] = (rows[-1][0], key)
        else:
            rows.append((key, key))
    return rows


def is_complete(key: str, now: datetime, period: Period = "month") -> bool:
    """Whether the period of `key` is over in UTC at the aware time `now`. Raises SourceError for a bad key."""
    if now.tzinfo is None:
        raise ValueError(f"{now}: whether a {period} is over needs an aware time")
    return now.astimezone(UTC).date() >= period_end(key, period)
