"""When the run of a partition starts: a timetable for each period of `data.period`.

A run starts when its partition is over, at midnight UTC: with another hour Airflow would not recognize a run by hand as being
of the same partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from airflow.exceptions import AirflowTimetableInvalid, InvalidPartitionKeyError
from airflow.sdk import CronPartitionTimetable
from airflow.timetables.trigger import CronPartitionTimetable as CoreTimetable

from skillsengine.sources.errors import SourceError
from skillsengine.sources.keys import key_of, parse_key, period_end
from skillsengine.spec.schema import Period

CRONS: Mapping[Period, str] = {
    "day": "0 0 * * *",
    "week": "0 0 * * 1",
    "month": "0 0 1 * *",
    "quarter": "0 0 1 1,4,7,10 *",
}
"""The moments at which one partition is over and the next begins; ISO weeks begin on Mondays."""
_FORMATS: Mapping[Period, str] = {"day": "%Y-%m-%d", "month": "%Y-%m"}
"""Keys that `strftime` can write and `strptime` can read back. It has no quarters, and reads no week without a weekday."""


class PeriodTimetable(CoreTimetable):  # type: ignore[misc]  # airflow ships no types
    """One run a week or a quarter, keyed `2026-W10` or `2026-Q1`, for which Airflow's own timetable has no words.

    Known to Airflow through `skillsengine.airflow.plugin`. Its runs start when their period is over; a backfill takes the
    periods that begin within its dates.
    """

    def __init__(self, period: Period) -> None:
        super().__init__(CRONS[period], timezone="UTC", run_offset=-1)
        self._period: Period = period
        self.description = f"Once a {period}, when the {period} is over"

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PeriodTimetable:
        return cls(data["period"])

    def serialize(self) -> dict[str, Any]:
        return {"period": self._period}

    def validate(self) -> None:
        """Airflow's own complaint would speak of database access."""
        from airflow.plugins_manager import get_timetables_plugins

        super().validate()
        if type(self) not in get_timetables_plugins().values():
            raise AirflowTimetableInvalid(
                f"data.period: {self._period} needs the plugin of skillsengine, which this Airflow has not loaded. Install the "
                "package with pip where the scheduler, the API server and the DAG processor run (`airflow plugins` then "
                "lists `skillsengine`), or put a file with the line `from skillsengine.airflow.plugin import "
                "SkillsenginePlugin` into their plugins folder."
            )

    def _format_key(self, partition_date: datetime) -> str:
        return key_of(partition_date.date(), self._period)

    def _decode_partition_date(self, partition_key: str) -> datetime:
        try:
            return _midnight(parse_key(partition_key, self._period))
        except SourceError as error:
            raise InvalidPartitionKeyError(str(error)) from error


def timetable(period: Period) -> CronPartitionTimetable | PeriodTimetable:
    """What starts one run for each partition that is over."""
    if period in _FORMATS:
        return CronPartitionTimetable(CRONS[period], timezone="UTC", run_offset=-1, key_format=_FORMATS[period])
    return PeriodTimetable(period)


def first_run(start: date, period: Period) -> datetime:
    """When the run of the partition that holds `start` is due: a DAG's start date is held against the time of the run, not
    against its partition."""
    return _midnight(period_end(key_of(start, period), period))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
