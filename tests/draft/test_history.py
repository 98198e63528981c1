"""A window that the data can fill, and where a backfill may begin."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from skillsengine.draft.guess_dates import WINDOWS
from skillsengine.draft.history import fit_history
from skillsengine.sources.keys import previous
from skillsengine.spec.schema import Period

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def months(count: int, last: str = "2026-10") -> list[str]:
    return [*previous(last, count - 1), last]


@pytest.mark.parametrize(("count", "window"), [(2, 1), (3, 2), (6, 5), (7, 6), (18, 6)])
def test_the_window_is_no_longer_than_what_lies_before_the_newest(count: int, window: int) -> None:
    history = fit_history(months(count), "month", NOW, whole=True)
    assert history.window == window
    assert history.doubt == ""
    assert ("is all there is" in history.window_why) == (window < WINDOWS["month"])


def test_a_month_that_is_not_over_is_no_runs_own() -> None:
    """September is the first run's own: one month lies before it."""
    history = fit_history(["2026-08", "2026-09", "2026-11"], "month", NOW, whole=True)
    assert (history.window, history.start) == (1, date(2026, 9, 1))


def test_backfills_begin_where_there_is_something_to_learn_from() -> None:
    history = fit_history(["2026-05", "2026-08", "2026-09"], "month", NOW, whole=True)
    assert history.start == date(2026, 8, 1)
    assert history.window == 4  # from May to August, June and July among them


def test_a_gap_before_the_newest_widens_the_window() -> None:
    history = fit_history(["2025-01", "2025-02", "2026-10"], "month", NOW, whole=True)
    assert previous("2026-10", history.window)[0] == "2025-02"


def test_what_was_not_looked_at_may_reach_further_back() -> None:
    history = fit_history(months(3), "month", NOW, whole=False)
    assert history.window == WINDOWS["month"]


@pytest.mark.parametrize(
    ("keys", "doubt"),
    [
        (["2026-10"], "only one month is over (2026-10), and a run is tested on one and learns from those before it"),
        (["2026-10", "2026-11"], "only one month is over (2026-10)"),
        (["2026-11"], "no month is over yet (UTC)"),
    ],
)
def test_too_little_history_is_said(keys: list[str], doubt: str) -> None:
    history = fit_history(keys, "month", NOW, whole=True)
    assert history.doubt.startswith(doubt)
    assert history.window == WINDOWS["month"]


def test_of_a_part_only_what_was_seen_is_said() -> None:
    assert "only one month of what was looked at is over" in fit_history(["2026-10"], "month", NOW, whole=False).doubt


def test_weeks_and_quarters() -> None:
    weeks = fit_history(["2026-W40", "2026-W41", "2026-W42"], "week", NOW, whole=True)
    assert (weeks.window, weeks.start) == (2, date(2026, 10, 5))
    assert fit_history(["2025-Q4", "2026-Q3"], "quarter", NOW, whole=True).window == 3


@pytest.mark.parametrize(
    ("period", "newest", "awaited"),
    [
        ("month", "2026-10", ""),
        ("month", "2026-09", "2026-10"),
        ("quarter", "2026-Q3", ""),
        ("quarter", "2026-Q2", "2026-Q3"),
        ("week", "2026-W46", ""),
        ("week", "2026-W45", "2026-W46"),
        ("day", "2026-11-17", ""),  # two days late: within `data.wait`
        ("day", "2026-11-16", "2026-11-19"),
    ],
)
def test_what_a_schedule_would_wait_for(period: Period, newest: str, awaited: str) -> None:
    keys = [*previous(newest, 3, period), newest]
    history = fit_history(keys, period, NOW, whole=True)
    assert (history.newest, history.awaited) == (newest, awaited)
    assert fit_history(keys, period, NOW, whole=False).awaited == "", "more may be there"
