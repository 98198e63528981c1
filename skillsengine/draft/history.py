"""How far back a dated draft may reach: a window that the data can fill, and the first partition that has one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from skillsengine.draft.guess_dates import WINDOWS
from skillsengine.sources.keys import is_complete, key_of, parse_key, previous
from skillsengine.spec.schema import Period

_LATE: dict[Period, int] = {"day": 2}
"""Partitions by which ads may be late without a scheduled run's giving up (`data.wait`, three days)."""
_MOST = 600
"""The longest window that a spec allows."""


@dataclass(frozen=True)
class History:
    """What the partitions that were seen allow."""

    window: int
    window_why: str
    start: date
    start_why: str
    doubt: str = ""
    """Why the first run fails; empty where it does not."""
    awaited: str = ""
    """The newest partition that is over, where it has no ads: a scheduled run would wait for them and fail in the end."""
    newest: str = ""
    """The newest partition that is over and has ads; empty where there are not two such."""


def fit_history(keys: Sequence[str], period: Period, now: datetime, *, whole: bool) -> History:
    """`keys`: the partitions that were seen, sorted, at least one. `whole`: there are no others.

    The first run takes the newest partition that is over and trains on those before it, so at least one of the window has to
    have data, and a window that reaches behind the oldest would only be told to be missing.
    """
    complete = [key for key in keys if is_complete(key, now, period)]
    why = f"a run trains on so many {period}s before its own, and is tested on its own"
    if len(complete) < 2:
        return History(
            WINDOWS[period],
            why,
            parse_key(keys[0], period),
            f"the earliest {period} that a backfill may reach",
            _too_short(complete, period, whole=whole),
        )
    newest, window = complete[-1], WINDOWS[period]
    while window < _MOST and previous(newest, window, period)[0] > complete[-2]:
        window += 1  # a gap of more than the usual window lies before the newest
    if whole:
        held = sum(key >= keys[0] for key in previous(newest, window, period))
        why += f" ({held} is all there is)" if held < window else ""
        window = held
    start = f"the first {period} with data before it to learn from: no backfill reaches further"
    awaited = _awaited(newest, period, now) if whole else ""
    return History(window, why, parse_key(complete[1], period), start, awaited=awaited, newest=newest)


def _awaited(newest: str, period: Period, now: datetime) -> str:
    over = previous(key_of(now.astimezone(UTC).date(), period), 1 + _LATE.get(period, 0), period)
    return "" if newest >= over[0] else over[-1]


def _too_short(complete: Sequence[str], period: Period, *, whole: bool) -> str:
    seen = "" if whole else " of what was looked at"
    if not complete:
        return f"no {period}{seen} is over yet (UTC): a first run needs two that are, one to be tested on, one to learn from"
    return (
        f"only one {period}{seen} is over ({complete[0]}), and a run is tested on one and learns from those before it: "
        "it fails until the next is over too"
    )
