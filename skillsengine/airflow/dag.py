"""Experiment -> its two DAGs: `<name>` trains, scores and registers; `<name>.evaluations` scores versions on a
partition. A third one, in which people try a version on a text, stands in `trying`.

Called by every compiled DAG file, in the processes that parse it thousands of times a day: keep it light.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, TriggerRule

from skillsengine.airflow.describe import retrain_doc, scores_doc
from skillsengine.airflow.form import Kind
from skillsengine.airflow.notify import deadline
from skillsengine.airflow.periods import first_run, timetable
from skillsengine.airflow.report import ReportTask
from skillsengine.airflow.request import evaluation_params, retrain_params
from skillsengine.airflow.tasks import (
    REPORT,
    ExperimentTask,
    RegisterTask,
    TrialsTask,
    TrialTask,
    WaitForData,
    model_alias,
)
from skillsengine.airflow.work import EVALUATIONS, RETRAIN
from skillsengine.pipeline.bounds import resources_of, slots_of
from skillsengine.spec.schema import Experiment, StageResources, Sweep

_ACTIVE_RUNS = 4
"""More than one, or a run that waits for its data for days would hold up whoever triggers another one by hand. What
must not run twice at once is each single task: `max_active_tis_per_dag`."""
_MAX_RETRY_DELAY = timedelta(hours=1)
STEPS = 16
"""More than a DAG has tasks: `resources.priority` weighs more than how far a run is."""
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
        schedule=experiment.effective_schedule,
        max_active_runs=_ACTIVE_RUNS,
    ) as dag:
        before, pushed = _wait(experiment, "retrain", shared), None
        for name in RETRAIN:
            if name == "finetune" and experiment.sweep is not None:
                before = _sweep(experiment, experiment.sweep, before, shared)
                continue
            if name == "promote" and experiment.gate.approval == "required":
                approve = _approve(shared)
                before >> approve
                before = approve
            kind = RegisterTask if name == "register" else ExperimentTask
            outlets = [model_alias(experiment.model_name)] if name == "register" else None
            task = kind(
                task_id=name,
                kind="retrain",
                outlets=outlets,
                max_active_tis_per_dag=1,
                **shared,
                **stage_settings(experiment, name),
            )
            if before is not None:
                before >> task
            if name == "register" and experiment.register.hub is not None:
                # Beside the gate, not before it: a Hub that is away must not keep a champion from its place.
                pushed = ExperimentTask(task_id="push", kind="retrain", **shared)
                task >> pushed
            before = task
        last = [before] if pushed is None else [before, pushed]
        last >> _report("retrain", shared)
    _offer(dag, retrain_params(experiment))
    _weigh(dag, experiment.resources.priority)
    return dag


def _sweep(experiment: Experiment, sweep: Sweep, before: Any, shared: dict[str, Any]) -> Any:
    """`trials >> finetune (mapped over them) >> select`, behind `before`. Returns `select`.

    At most `sweep.parallel` trainings of the experiment are at work at once, in all of its runs together.
    """
    trials = TrialsTask(task_id="trials", kind="retrain", **shared, execution_timeout=_LIGHT_TIMEOUT)
    finetune = TrialTask.partial(
        task_id="finetune",
        kind="retrain",
        max_active_tis_per_dag=sweep.parallel,
        map_index_template="{{ task.tried }}",
        **shared,
        **stage_settings(experiment, "finetune"),
    ).expand(trial=trials.output)
    # A trial that diverged is skipped. One that failed by chance stops the run: what is selected must not depend on it.
    select = ExperimentTask(
        task_id="select", kind="retrain", trigger_rule=TriggerRule.NONE_FAILED, max_active_tis_per_dag=1, **shared
    )
    before >> trials >> finetune >> select
    return select


def _approve(shared: dict[str, Any]) -> Any:
    # Only here: Airflow's provider of it is loaded for the specs that ask for it.
    from skillsengine.airflow.approve import ApproveTask

    return ApproveTask(task_id="approve", kind="retrain", execution_timeout=_LIGHT_TIMEOUT, **shared)


def _evaluations(experiment: Experiment, doc: str, shared: dict[str, Any]) -> DAG:
    schedule = experiment.effective_schedule
    with _dag(
        experiment,
        f"{experiment.name}.evaluations",
        doc,
        tags=("evaluations",),
        schedule=schedule if schedule == "partition" else "none",
    ) as dag:
        before = _wait(experiment, "evaluations", shared)
        for name in EVALUATIONS:
            task = ExperimentTask(task_id=name, kind="evaluations", **shared, **stage_settings(experiment, name))
            if before is not None:
                before >> task
            before = task
        before >> _report("evaluations", shared)
    _offer(dag, evaluation_params(experiment))
    _weigh(dag, experiment.resources.priority)
    return dag


def _dag(experiment: Experiment, dag_id: str, doc: str, *, tags: tuple[str, ...], schedule: str, **kwargs: Any) -> DAG:
    starts, start = _when(schedule, experiment)
    resources = experiment.resources
    return DAG(
        dag_id,
        description=_first_line(experiment.description),
        doc_md=doc,
        schedule=starts,
        start_date=start,
        catchup=False,  # the past is filled by a backfill, on purpose
        deadline=deadline.alert(experiment),
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
            # Airflow's other rules add up the tasks before or behind a task: a late task of an unimportant experiment would
            # outweigh an early one of an important experiment.
            "weight_rule": "absolute",
        },
        **kwargs,
    )


def _offer(dag: DAG, params: dict[str, Any]) -> None:
    """Give a DAG its trigger form, once its tasks are there.

    Each task that is made later than the params gets a copy of them, and Airflow holds each copy against its schema whenever
    it reads or writes the DAG: the form of a retrain made parsing and serializing ten times as long.
    """
    dag.params.update(params)


def _weigh(dag: DAG, priority: int) -> None:
    """Give the tasks their weights: above all the experiment's priority, then how far a task is in its run.

    Where slots are few, runs that are nearly done finish before others begin. With priority 1 the weights are 1, 2, 3 ..., as
    a chain of tasks has under Airflow's own rules: an experiment that asks for nothing gets no more than its neighbours.
    """
    for place, task in enumerate(dag.topological_sort(), start=1):
        task.priority_weight = (priority - 1) * STEPS + place


def _when(schedule: str, experiment: Experiment) -> tuple[Any, datetime | None]:
    """(what starts runs, the DAG's own start date)."""
    start = experiment.start_date
    begins = datetime(start.year, start.month, start.day, tzinfo=UTC) if start else None
    if schedule == "none":
        return None, begins
    if schedule != "partition":
        return CronTriggerTimetable(schedule, timezone="UTC"), begins
    period = experiment.data.period
    return timetable(period), first_run(start, period) if start else None


def _wait(experiment: Experiment, kind: Kind, shared: dict[str, Any]) -> Any:
    if experiment.effective_schedule != "partition":
        return None
    every = min(_LOOK_SECONDS, max(1.0, experiment.data.wait.total_seconds() / 3))
    return WaitForData(
        task_id="wait_for_data", kind=kind, poke_interval=every, execution_timeout=_LIGHT_TIMEOUT, **shared
    )


def _report(kind: Kind, shared: dict[str, Any]) -> Any:
    report = ReportTask(task_id=REPORT, kind=kind, execution_timeout=_LIGHT_TIMEOUT, **shared)
    return report.as_teardown()


def stage_settings(experiment: Experiment, task: str) -> dict[str, Any]:
    """What the task of a stage departs in from the experiment's own resources."""
    stages: dict[str, StageResources] = dict(experiment.resources.stages)  # type: ignore[arg-type]  # narrower keys
    own = stages.get(resources_of(task), StageResources())
    values = {"queue": own.queue, "pool": own.pool, "retries": own.retries, "execution_timeout": own.timeout}
    told = {name: value for name, value in values.items() if value is not None}
    return told | ({"pool_slots": slots} if (slots := slots_of(experiment, task)) > 1 else {})


def _first_line(text: str) -> str | None:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[0].strip() if lines else None
