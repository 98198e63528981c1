"""The DAGs that a spec makes, when they run next and where their tasks run: what `airflow/dag.py` builds, without Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from croniter import croniter

from skillsengine.pipeline.bounds import resources_of
from skillsengine.sources.keys import key_of, period_end
from skillsengine.spec.schema import STAGES, Experiment, StageResources


@dataclass(frozen=True)
class UpcomingTask:
    """Where one task runs."""

    name: str
    queue: str
    pool: str


@dataclass(frozen=True)
class UpcomingDag:
    """One DAG of a spec."""

    dag_id: str
    schedule: str
    """`partition`, `none` or a cron."""
    each: str
    """For people: `one run a month`, `0 3 * * 1 (cron, UTC)`, `by hand`."""
    paused: bool
    """Whether the spec says that it starts paused; what was paused in Airflow since, Airflow knows."""
    next_run: datetime | None
    """UTC; None by hand."""
    partition: str | None
    """The partition of the next run, where the schedule decides it; a cron's run takes the newest complete one."""
    tasks: tuple[UpcomingTask, ...]
    """In the order in which they run."""

    def __str__(self) -> str:
        """`job-skills: one run a month, next 2026-12-01 00:00 UTC for 2026-11`."""
        told = f"{self.dag_id}: {self.each}"
        if self.next_run is not None:
            whose = f" for {self.partition}" if self.partition else ""
            told += f", next {self.next_run:%Y-%m-%d %H:%M} UTC{whose}"
        return told + (" (starts paused)" if self.paused and self.next_run is not None else "")

    def as_json(self) -> dict[str, Any]:
        return {
            "dag_id": self.dag_id,
            "schedule": self.schedule,
            "paused": self.paused,
            "next_run": self.next_run.isoformat() if self.next_run else None,
            "next_partition": self.partition,
            "tasks": [vars(task) for task in self.tasks],
        }


def upcoming(experiment: Experiment, now: datetime) -> tuple[UpcomingDag, UpcomingDag]:
    """The DAG that trains and the one that scores, as they are at the aware time `now`."""
    schedule = experiment.effective_schedule
    waits = ("wait_for_data",) if schedule == "partition" else ()
    pushes = ("push",) if experiment.register.hub is not None else ()
    sweep = {"finetune": ("trials", "finetune", "select")} if experiment.sweep is not None else {}
    stages = [name for stage in STAGES for name in sweep.get(stage, (stage,))]
    approves = ("approve",) if experiment.gate.approval == "required" else ()
    retrain = (*waits, *stages, "gate", *approves, "promote", *pushes, "report")
    evaluations = "partition" if schedule == "partition" else "none"
    return (
        _dag(experiment, experiment.name, schedule, [(name, resources_of(name)) for name in retrain], now),
        _dag(
            experiment,
            f"{experiment.name}.evaluations",
            evaluations,
            [(name, resources_of(name)) for name in (*waits, "score", "report")],
            now,
        ),
    )


def _dag(
    experiment: Experiment, dag_id: str, schedule: str, tasks: list[tuple[str, str]], now: datetime
) -> UpcomingDag:
    next_run, partition = _next(experiment, schedule, now.astimezone(UTC))
    each = {"none": "by hand", "partition": f"one run a {experiment.data.period}"}.get(
        schedule, f"{schedule} (cron, UTC)"
    )
    placed = tuple(_task(experiment, name, stage) for name, stage in tasks)
    return UpcomingDag(dag_id, schedule, each, experiment.paused, next_run, partition, placed)


def _task(experiment: Experiment, name: str, stage: str) -> UpcomingTask:
    resources = experiment.resources
    stages: Mapping[str, StageResources] = dict(resources.stages)  # type: ignore[arg-type]  # narrower keys
    own = stages.get(stage, StageResources())
    return UpcomingTask(name, own.queue or resources.queue, own.pool or resources.pool)


def _next(experiment: Experiment, schedule: str, now: datetime) -> tuple[datetime | None, str | None]:
    if schedule == "none":
        return None, None
    start, period = experiment.start_date, experiment.data.period
    if schedule != "partition":
        begins = _midnight(start) if start else now
        # A moment that is the start date itself counts; one that is now is under way already.
        if begins > now and croniter.match(schedule, begins):
            return begins, None
        return croniter(schedule, max(now, begins)).get_next(datetime), None
    key = key_of(max(now.date(), start) if start else now.date(), period)
    return _midnight(period_end(key, period)), key


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
