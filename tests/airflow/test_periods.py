"""When the run of a partition starts, for each length that a partition may have."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.exceptions import AirflowTimetableInvalid, InvalidPartitionKeyError
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DagRunInfo, TimeRestriction
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.airflow import periods
from skillsengine.airflow.dag import build
from skillsengine.airflow.periods import PeriodTimetable
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment, Period

PERIODS: tuple[Period, ...] = ("day", "week", "month", "quarter")


def scheduled(period: Period, start: str = "2021-01-01") -> SerializedDAG:
    """The retrain DAG as the scheduler reads it back from its database."""
    experiment = Experiment.model_validate(
        {"name": "demo", "start_date": start, "data": {"source": "ads/{partition}.jsonl", "period": period}}
    )
    retrain, _ = build(json.dumps(resolved(experiment)), source="s", digest="d" * 64, project="/p")
    dag: SerializedDAG = DagSerialization.deserialize_dag(
        json.loads(json.dumps(DagSerialization.to_dict(retrain)["dag"]))
    )
    return dag


def next_run(dag: SerializedDAG, now: str, last: DagRunInfo | None, monkeypatch: pytest.MonkeyPatch) -> DagRunInfo:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda: moment)
    info: DagRunInfo | None = dag.timetable.next_dagrun_info_v2(
        last_dagrun_info=last, restriction=TimeRestriction(dag.start_date, None, catchup=False)
    )
    assert info is not None
    return info


@pytest.mark.parametrize(
    ("period", "start", "now", "key", "at"),
    [
        # The newest partition that is over runs at once.
        ("day", "2021-01-01", "2026-11-22T10:00", "2026-11-21", "2026-11-22"),
        ("week", "2021-01-01", "2026-11-22T10:00", "2026-W46", "2026-11-16"),
        ("month", "2021-01-01", "2026-11-22T10:00", "2026-10", "2026-11-01"),
        ("quarter", "2021-01-01", "2026-11-22T10:00", "2026-Q3", "2026-10-01"),
        # The first one is under way: it runs when it is over, and the one before it does not.
        ("day", "2026-11-22", "2026-11-22T10:00", "2026-11-22", "2026-11-23"),
        ("week", "2026-11-18", "2026-11-22T10:00", "2026-W47", "2026-11-23"),
        ("month", "2026-11-15", "2026-11-22T10:00", "2026-11", "2026-12-01"),
        ("quarter", "2026-11-01", "2026-11-22T10:00", "2026-Q4", "2027-01-01"),
        # Over the turn of the year: the last ISO week of 2026 is the 53rd and ends in 2027.
        ("day", "2026-01-01", "2027-01-01T00:00", "2026-12-31", "2027-01-01"),
        ("week", "2026-01-01", "2027-01-04T00:00", "2026-W53", "2027-01-04"),
        ("week", "2026-01-01", "2027-01-03T23:59", "2026-W52", "2026-12-28"),
        ("month", "2026-01-01", "2027-01-20T00:00", "2026-12", "2027-01-01"),
        ("quarter", "2026-01-01", "2027-03-31T00:00", "2026-Q4", "2027-01-01"),
    ],
)
def test_the_first_run(
    period: Period, start: str, now: str, key: str, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = next_run(scheduled(period, start), now, None, monkeypatch)
    assert (info.partition_key, f"{info.run_after:%Y-%m-%dT%H:%M}") == (key, f"{at}T00:00")


@pytest.mark.parametrize(
    ("period", "keys"),
    [
        ("day", ["2026-11-21", "2026-11-22", "2026-11-23"]),
        ("week", ["2026-W46", "2026-W47", "2026-W48"]),
        ("month", ["2026-10", "2026-11", "2026-12"]),
        ("quarter", ["2026-Q3", "2026-Q4", "2027-Q1"]),
    ],
)
def test_one_run_a_partition(period: Period, keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    dag, found, last = scheduled(period), [], None
    for _ in keys:
        last = next_run(dag, "2026-11-22T10:00", last, monkeypatch)
        found.append(last.partition_key)
    assert found == keys


@pytest.mark.parametrize(
    ("period", "first", "last", "keys"),
    [
        ("day", "2026-02-27", "2026-03-01", ["2026-02-27", "2026-02-28", "2026-03-01"]),
        ("week", "2026-12-21", "2027-01-04", ["2026-W52", "2026-W53", "2027-W01"]),
        # A week that began before the first date is not among them.
        ("week", "2026-12-22", "2027-01-03", ["2026-W53"]),
        ("month", "2026-01-01", "2026-03-31", ["2026-01", "2026-02", "2026-03"]),
        ("quarter", "2025-10-01", "2026-06-30", ["2025-Q4", "2026-Q1", "2026-Q2"]),
    ],
)
def test_a_backfill(period: Period, first: str, last: str, keys: list[str]) -> None:
    infos = list(
        scheduled(period).iter_dagrun_infos_between(
            datetime.fromisoformat(first).replace(tzinfo=UTC), datetime.fromisoformat(last).replace(tzinfo=UTC)
        )
    )
    assert [info.partition_key for info in infos] == keys
    assert all(info.partition_date == info.run_after for info in infos)


@pytest.mark.parametrize("period", PERIODS)
@given(day=st.dates(min_value=datetime(1990, 1, 1).date(), max_value=datetime(2090, 1, 1).date()))
def test_a_key_leads_back_to_its_partition(period: Period, day: Any) -> None:
    """By hand Airflow gets a key alone, and finds the runs of the same partition by the date that it decodes."""
    timetable = scheduled_timetable(period)
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    infos = list(timetable.iter_partition_dagrun_infos(earliest=moment, latest=moment + timedelta(days=100)))
    assert infos
    for info in infos:
        assert timetable.resolve_partition_date(info.partition_key) == info.partition_date


_TIMETABLES: dict[Period, Any] = {}


def scheduled_timetable(period: Period) -> Any:
    if period not in _TIMETABLES:
        _TIMETABLES[period] = scheduled(period).timetable
    return _TIMETABLES[period]


@pytest.mark.parametrize(
    ("period", "key"),
    [
        ("day", "2026-02-30"),
        ("week", "2026-W54"),
        ("week", "2025-W53"),
        ("week", "2026-10"),
        ("month", "2026-13"),
        ("quarter", "2026-Q5"),
        ("quarter", "2026-01"),
    ],
)
def test_a_key_of_no_partition_is_refused(period: Period, key: str) -> None:
    with pytest.raises(InvalidPartitionKeyError, match=key):
        scheduled_timetable(period).resolve_partition_date(key)


def test_airflow_knows_the_timetable_by_the_installed_plugin() -> None:
    from airflow.plugins_manager import get_timetables_plugins

    assert get_timetables_plugins()["skillsengine.airflow.periods.PeriodTimetable"] is PeriodTimetable
    for period in ("week", "quarter"):
        found = scheduled(period).timetable
        assert type(found) is PeriodTimetable and found.description == f"Once a {period}, when the {period} is over"
        assert found.partitioned and found.summary == periods.CRONS[period]


def test_without_the_plugin_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow.plugins_manager.get_timetables_plugins", dict)
    with pytest.raises(AirflowTimetableInvalid) as caught:
        PeriodTimetable("week").validate()
    assert str(caught.value).startswith(
        "data.period: week needs the plugin of skillsengine, which this Airflow has not loaded. Install the package with pip"
    )
