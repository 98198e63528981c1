"""The next runs and the tasks of a spec's DAGs, held against the DAGs that Airflow is given."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from skillsengine.airflow.dag import build
from skillsengine.pipeline.upcoming import UpcomingDag, upcoming
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment

DATED = {"source": "ads/{partition}.jsonl"}
NOW = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)


def spec(**fields: Any) -> Experiment:
    return Experiment.model_validate({"name": "demo", "start_date": "2021-01-01", "data": DATED} | fields)


def built(experiment: Experiment) -> tuple[DAG, DAG]:
    return build(json.dumps(resolved(experiment)), source="s", digest="d" * 64, project="/p")


def both(experiment: Experiment) -> list[tuple[UpcomingDag, DAG]]:
    return list(zip(upcoming(experiment, NOW), built(experiment), strict=True))


def in_order(dag: DAG) -> list[str]:
    return [task.task_id for task in dag.topological_sort()]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"schedule": "none", "paused": True},
        {"schedule": "0 3 * * 1", "register": {"hub": "org/demo"}},
        {
            "resources": {
                "queue": "q",
                "pool": "p",
                "stages": {"finetune": {"queue": "huge"}, "evaluate": {"pool": "small"}, "format": {"timeout": "1h"}},
            }
        },
    ],
)
def test_the_dags_are_those_that_airflow_is_given(fields: dict[str, Any]) -> None:
    for told, dag in both(spec(**fields)):
        assert told.dag_id == dag.dag_id
        assert told.paused == dag.is_paused_upon_creation
        assert sorted(task.name for task in told.tasks) == sorted(in_order(dag))
        assert {task.name: (task.queue, task.pool) for task in told.tasks} == {
            task.task_id: (task.queue, task.pool) for task in dag.tasks
        }
    assert [task.name for task in told.tasks] == in_order(dag)


@pytest.mark.parametrize(
    ("fields", "now"),
    [
        ({"data": DATED | {"period": period}, "start_date": start}, now)
        for period in ("day", "week", "month", "quarter")
        for start in ("2021-01-01", "2026-12-16")
        for now in ("2026-11-25T10:30", "2026-12-31T23:59", "2027-01-01T00:00")
    ]
    + [
        ({"schedule": cron, "start_date": start}, "2026-11-25T10:30")
        for cron in ("0 3 * * 1", "30 10 25 * *", "*/7 * * * *")
        for start in ("2021-01-01", "2027-01-04")
    ],
)
def test_the_next_run_is_the_one_that_the_scheduler_makes(
    fields: dict[str, Any], now: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, moment = spec(**fields), datetime.fromisoformat(now).replace(tzinfo=UTC)
    dag = DagSerialization.deserialize_dag(
        json.loads(json.dumps(DagSerialization.to_dict(built(experiment)[0])["dag"]))
    )
    monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda: moment)
    info, restriction = None, TimeRestriction(dag.start_date, None, catchup=False)
    while True:
        # What is due by now is not the next one: the newest partition that is over, which a new DAG runs at once.
        info = dag.timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction)
        if info.run_after > moment:
            break
    told, _ = upcoming(experiment, moment)
    assert told.next_run == info.run_after
    assert told.partition == info.partition_key


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        (
            {},
            [
                "demo: one run a month, next 2026-12-01 00:00 UTC for 2026-11",
                "demo.evaluations: one run a month, next 2026-12-01 00:00 UTC for 2026-11",
            ],
        ),
        (
            {"schedule": "0 3 * * 1", "paused": True},
            ["demo: 0 3 * * 1 (cron, UTC), next 2026-11-30 03:00 UTC (starts paused)", "demo.evaluations: by hand"],
        ),
        ({"schedule": "none"}, ["demo: by hand", "demo.evaluations: by hand"]),
    ],
)
def test_in_words(fields: dict[str, Any], texts: list[str]) -> None:
    assert [str(dag) for dag in upcoming(spec(**fields), NOW)] == texts


def test_as_json() -> None:
    told = json.loads(json.dumps(upcoming(spec(), NOW)[0].as_json()))
    assert told.pop("tasks")[0] == {"name": "wait_for_data", "queue": "gpu", "pool": "default_pool"}
    assert told == {
        "dag_id": "demo",
        "schedule": "partition",
        "paused": False,
        "next_run": "2026-12-01T00:00:00+00:00",
        "next_partition": "2026-11",
    }
