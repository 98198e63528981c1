"""Which crons a spec may have: five fields, and a moment that comes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from croniter import CroniterBadDateError, croniter

_LONGEST = 200
"""Characters."""
_KEPT = 1024
"""Crons whose answer is kept: experiments share a few, and each is asked when it is compiled and whenever it is parsed."""


@lru_cache(maxsize=_KEPT)
def is_cron(text: str) -> bool:
    """Whether `text` is a cron of five fields. `R` and `H`, a moment drawn at random at each reading, are none."""
    if len(text) > _LONGEST or len(text.split()) != 5 or re.search(r"(?i)(?<![a-z])[rh](?![a-z])", text):
        return False
    return bool(croniter.is_valid(text))


@lru_cache(maxsize=_KEPT)
def ever(cron: str) -> bool:
    """Whether a cron names a moment that comes at all: `0 0 30 2 *` would stop Airflow's timetable with an error."""
    try:
        croniter(cron, datetime(2024, 1, 1, tzinfo=UTC)).get_next()
    except CroniterBadDateError:
        return False
    return True
