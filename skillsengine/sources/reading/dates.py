"""The day that a cell names, in UTC. What can be read in two ways is not read at all."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from skillsengine.sources.reading.rows import kind

_ISO = "write it as YYYY-MM-DD, such as 2026-03-09"
_NUMBER = re.compile(r"\d+(\.\d*)?")
_SLASHED = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?!\d)(.*)", re.DOTALL)
_TWO_WAYS = re.compile(r"\d{1,2}[/.\-]\d{1,2}[/.\-](\d{4}|\d{2})\b")
_MONTH = re.compile(r"\d{4}[-/]\d{1,2}|\d{4}-?[Ww]\d{1,2}|\d{4}-?[Qq][1-4]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Seconds and milliseconds since 1970 that cannot be anything else: from 2001-09-09 to 2286-11-20 the first have 10 digits,
# the second 13; days written as YYYYMMDD have 8.
_SECONDS, _MILLISECONDS, _DIGITS_OF_DAY = 10, 13, 8


class DateError(ValueError):
    """A cell names no day, or not surely one; the text says why, and how to write it."""


def parse_date(value: Any) -> date:
    """The day in UTC that `value` names. Raises DateError.

    Read are: dates and date-times of Parquet; ISO 8601 with `-` or, year first, `/` or `.` (2026-03-09, 20260309,
    2026/3/9), with or without a time; a time's zone is reckoned with, and without one it is UTC; and numbers that are
    seconds (10 digits) or milliseconds (13) since 1970, or days as YYYYMMDD.
    Refused are 03/04/2021 and the like (3 April or 4 March?), months, quarters, weeks without a day, and words.
    """
    if value is None:
        raise DateError("it is null")
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, date):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _of_number(repr(value), repr(value))
    if not isinstance(value, str):
        raise DateError(f"{kind(value)} is no date; {_ISO}")
    return _of_text(value.strip())


def _of_text(text: str) -> date:
    if not text:
        raise DateError("it is empty")
    shown = f"`{text[:40]}`"
    if _NUMBER.fullmatch(text):
        return _of_number(text, shown)
    if _TWO_WAYS.match(text):
        raise DateError(f"{shown} can be read as day and month or as month and day; {_ISO}")
    if _MONTH.fullmatch(text):
        raise DateError(f"{shown} names no day; {_ISO}")
    if slashed := _SLASHED.fullmatch(text):
        text = f"{slashed[1]}-{int(slashed[2]):02}-{int(slashed[3]):02}{slashed[4]}"
    try:
        return _in_utc(datetime.fromisoformat(re.sub(r"\s*(UTC|GMT)$", "+00:00", text)))
    except ValueError as error:
        raise DateError(f"{shown} is no date; {_ISO}") from error


def _of_number(text: str, shown: str) -> date:
    whole = text.partition(".")[0]
    if not whole.isascii() or not _NUMBER.fullmatch(text):
        raise DateError(f"{shown} is no date; {_ISO}")
    if len(whole) == _SECONDS:
        return (_EPOCH + timedelta(seconds=int(whole))).date()
    if len(whole) == _MILLISECONDS:
        return (_EPOCH + timedelta(milliseconds=int(whole))).date()
    if len(whole) == _DIGITS_OF_DAY and whole == text:
        try:
            return date(int(whole[:4]), int(whole[4:6]), int(whole[6:]))
        except ValueError as error:
            raise DateError(f"{shown} is no date; {_ISO}") from error
    raise DateError(f"{shown} is a number, and neither seconds or milliseconds since 1970 nor YYYYMMDD; {_ISO}")


def _in_utc(moment: datetime) -> date:
    if moment.tzinfo is None:
        return moment.date()
    try:
        return moment.astimezone(UTC).date()
    except OverflowError as error:  # the first or last day of the calendar, moved beyond it
        raise DateError(f"{moment.isoformat()} is out of the calendar in UTC; {_ISO}") from error
