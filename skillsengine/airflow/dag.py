"""Experiment -> its two DAGs: `<name>` trains, scores and registers; `<name>.evaluations` scores versions on a
partition.

Called by every compiled DAG file, in the processes that parse it thousands of times a day: keep it light.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, CronTriggerTimetable

from skillsengine.airflow.describe import retrain_doc, scores_doc
from skillsengine.airflow.report import ReportTask
from skillsengine.airflow.request import Kind, evaluation_params, retrain_params
from skillsengine.airflow.tasks import ExperimentTask, RegisterTask, WaitForData, model_alias
from skillsengine.airflow.work import EVALUATIONS, RETRAIN
from skillsengine.spec.schema import Experiment, StageResources

_ACTIVE_RUNS = 4
"""More than one, or a run that waits for its data for days would hold up whoever triggers another one by hand. What
must not run twice at once is each single task: `max_active_tis_per_dag`."""
_MAX_RETRY_DELAY = timedelta(hours=1)
_LOOK_SECONDS = 60.0
_LIGHT_TIMEOUT = timedelta(minutes=30)
"""For tasks that only look or write a line."""


def build(resolved: str, *, source: str, digest: str, project: str) -> tuple[DAG, DAG]:
    """The DAGs of one experiment.

    `resolved` is the spec's JSON as `spec.load.resolved` gives it, `source` the spec's path in the project, `digest`
    that of its text, `project` the folder that holds `experiments/`. Raises pydantic.ValidationError if the JSON is
    no experiment, which only an installation of another version than the one that compiled it can bring about.
    """
    experiment = Experiment.model_validate_json(resolved)
    shared = {"experiment": experiment, "project": project}
    return (
        _retrain(experiment, retrain_doc(experiment, source, digest), shared),
        _evaluations(experiment, scores_doc(experiment, source, digest), shared),
    )


def _retrain(experiment: Experiment, doc: str, shared: dict[str, Any]) -> DAG:
    with _dag(
        experiment,
        experiment.name,
        doc,
        tags=("retrain",),
        params=retrain_params(experiment),
        schedule=experiment.effective_schedule,
        max_active_runs=_ACTIVE_RUNS,
    ) as dag:
        before = _wait(experiment, "retrain", shared)
        for name in RETRAIN:
            kind = RegisterTask if name == "register" else ExperimentTask
            outlets = [model_alias(experiment.model_name)] if name == "register" else None
            task = kind(
                task_id=name,
                kind="retrain",
                outlets=outlets,
                max_active_tis_per_dag=1,
                **shared,
                **_stage_settings(experiment, name),
            )
            if before is not None:
                before >> task
            before = task
        before >> _report("retrain", shared)
    return dag


def _evaluations(experiment: Experiment, doc: str, shared: dict[str, Any]) -> DAG:
    schedule = experiment.effective_schedule
    with _dag(
        experiment,
        f"{experiment.name}.evaluations",
        doc,
        tags=("evaluations",),
        params=evaluation_params(experiment),
        schedule=schedule if schedule == "partition" else "none",
    ) as dag:
        before = _wait(experiment, "evaluations", shared)
        for name in EVALUATIONS:
            task = ExperimentTask(task_id=name, kind="evaluations", **shared, **_stage_settings(experiment, "evaluate"))
            if before is not None:
                before >> task
            before = task
        before >> _report("evaluations", shared)
    return dag


def _dag(experiment: Experiment, dag_id: str, doc: str, *, tags: tuple[str, ...], schedule: str, **kwargs: Any) -> DAG:
    timetable, start = _when(schedule, experiment.start_date)
    resources = experiment.resources
    return DAG(
        dag_id,
        description=_first_line(experiment.description),
        doc_md=doc,
        schedule=timetable,
        start_date=start,
        catchup=False,  # the past is filled by a backfill, on purpose
        is_paused_upon_creation=experiment.paused,
        tags=["skillsengine", *tags, *experiment.tags],
        default_args={
            "owner": experiment.owner,
            "queue": resources.queue,
            "pool": resources.pool,
            "retries": resources.retries,
            "retry_delay": resources.retry_delay,
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": _MAX_RETRY_DELAY,
            "execution_timeout": resources.timeout,
            # Where slots are few, runs that are nearly done finish before others begin.
            "weight_rule": "upstream",
        },
        **kwargs,
    )


def _when(schedule: str, start: date | None) -> tuple[Any, datetime | None]:
    """(what starts runs, the DAG's own start date)."""
    begins = datetime(start.year, start.month, start.day, tzinfo=UTC) if start else None
    if schedule == "none":
        return None, begins
    if schedule != "partition":
        return CronTriggerTimetable(schedule, timezone="UTC"), begins
    # At midnight, or Airflow does not recognize manual runs as being of the same partition. The offset makes the run
    # of a month start when the month is over. Airflow holds the start date against the time of the run, not against
    # the partition: the run of the first month comes one month later.
    months = CronPartitionTimetable("0 0 1 * *", timezone="UTC", run_offset=-1, key_format="%Y-%m")
    return months, _month_after(start) if start else None


def _month_after(day: date) -> datetime:
    return datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)


def _wait(experiment: Experiment, kind: Kind, shared: dict[str, Any]) -> Any:
    if experiment.effective_schedule != "partition":
        return None
    every = min(_LOOK_SECONDS, max(1.0, experiment.data.wait.total_seconds() / 3))
    return WaitForData(
        task_id="wait_for_data", kind=kind, poke_interval=every, execution_timeout=_LIGHT_TIMEOUT, **shared
    )


def _report(kind: Kind, shared: dict[str, Any]) -> Any:
    report = ReportTask(task_id="report", kind=kind, execution_timeout=_LIGHT_TIMEOUT, **shared)
    return report.as_teardown()


def _stage_settings(experiment: Experiment, stage: str) -> dict[str, Any]:
    """What a stage's task departs in from the experiment's own resources."""
    stages: dict[str, StageResources] = dict(experiment.resources.stages)  # type: ignore[arg-type]  # narrower keys
    own = stages.get(stage, StageResources())
    values = {"queue": own.queue, "pool": own.pool, "retries": own.retries, "execution_timeout": own.timeout}
    return {name: value for name, value in values.items() if value is not None}


def _first_line(text: str) -> str | None:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[0].strip() if lines else None
