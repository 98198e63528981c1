"""A try that a run of `<name>.try` answers: started, looked at while it goes on, and its answer.

All of it stands in Airflow's database; the API server computes nothing. Whoever may read the runs of `<name>.try` may read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import select

from skillsengine.airflow.tasks import ERROR_KEY
from skillsengine.airflow.trying import SUFFIX, TASK
from skillsengine.reporting.render import took

PATIENCE_SECONDS = 20.0
"""After which it is told why nothing may be happening."""
_MOST_CHARS = 4_000

State = Literal["waiting", "running", "failed", "done"]


@dataclass(frozen=True)
class Attempt:
    """One run, as far as it is."""

    run_id: str
    state: State
    told: str
    """Where it is, in a few words with the time that it takes; of a failed one what it said."""
    hint: str
    """What to do where it waits for long; empty otherwise."""
    text: str
    """What was asked."""
    version: int | None
    answer: dict[str, Any] | None
    """What the task left, once it is done."""
    seconds: float
    """Since it was asked for; of one that is over, until its end."""
    has_log: bool

    @property
    def over(self) -> bool:
        return self.state in ("failed", "done")

    def as_json(self) -> dict[str, Any]:
        """For the page's script, which loads the page anew when anything but `told` is another."""
        return {"state": self.state, "told": self.told, "hint": self.hint, "over": self.over}


def attempt_of(name: str, run_id: str, session: Any, now: datetime | None = None) -> Attempt | None:
    """None where there is no such run."""
    dag_id, now = f"{name}{SUFFIX}", now or datetime.now(UTC)
    task = (TaskInstance.dag_id == DagRun.dag_id, TaskInstance.run_id == DagRun.run_id, TaskInstance.task_id == TASK)
    row = session.execute(
        select(DagRun, TaskInstance)
        .outerjoin(TaskInstance, task[0] & task[1] & task[2])
        .where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    ).one_or_none()
    if row is None:
        return None
    run, ti = row
    state, told, hint, answer = _told(run, ti, session, now)
    conf = run.conf if isinstance(run.conf, dict) else {}
    return Attempt(
        run_id=run_id,
        state=state,
        told=told,
        hint=hint,
        text=str(conf.get("text", "")),
        version=conf.get("version"),
        answer=answer,
        seconds=_since(run.queued_at, run.end_date or now),
        has_log=ti is not None and ti.start_date is not None,
    )


def _told(run: Any, ti: Any, session: Any, now: datetime) -> tuple[State, str, str, dict[str, Any] | None]:
    over = _word(run.state)
    if over == "success":
        answer = _xcom(run, session, "return_value")
        if isinstance(answer, dict):
            return "done", "", "", answer
        return "failed", "Its answer is no longer in Airflow's database.", "", None
    if over == "failed":
        return "failed", str(_xcom(run, session, ERROR_KEY) or _silent(ti))[:_MOST_CHARS], "", None
    if ti is not None and ti.start_date is not None and _word(ti.state) == "running":
        return "running", f"Loads the version and reads the text: {took(_since(ti.start_date, now))}", "", None
    asked = _since(run.queued_at, now)
    hint = _hint(run, ti, session) if asked >= PATIENCE_SECONDS or _paused(run, session) else ""
    return "waiting", f"Waits for a worker: {took(asked)}", hint, None


def _hint(run: Any, ti: Any, session: Any) -> str:
    if _paused(run, session):
        return (
            f"The DAG {run.dag_id} is paused in Airflow, so nothing of it starts. Unpause it there, and this goes on."
        )
    if ti is None or _word(run.state) == "queued":
        return (
            "The scheduler has not taken it yet: at most four tries of an experiment are under way at once, and it may be "
            "busy or away. Airflow's page Home tells whether it is well."
        )
    where = f"the queue {ti.queue} (pool {ti.pool})"
    if _word(ti.state) == "queued":
        return (
            f"No worker has taken it from {where} yet. Either all are busy, or none listens to that queue: `skillsengine "
            "doctor` tells which workers there are, and resources.queue of the spec names the queue. It begins by itself when "
            "one is free; Airflow's page of the run can end it."
        )
    return (
        f"It waits for a slot of {where}: others hold them, or the pool has none. `skillsengine doctor` tells whether the pool "
        "is there. It begins by itself when a slot is free; Airflow's page of the run can end it."
    )


def _silent(ti: Any) -> str:
    if ti is None or ti.start_date is None:
        return "It was ended before it began."
    return (
        "Its process was ended before it could say why: out of memory, or stopped by somebody. Its log may tell more."
    )


def _paused(run: Any, session: Any) -> bool:
    return bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == run.dag_id)))


def _xcom(run: Any, session: Any, key: str) -> Any:
    found = session.scalar(
        select(XComModel).where(XComModel.dag_run_id == run.id, XComModel.task_id == TASK, XComModel.key == key)
    )
    return None if found is None else XComModel.deserialize_value(found)


def _since(then: datetime | None, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds()) if then is not None else 0.0


def _word(state: Any) -> str:
    return str(getattr(state, "value", state))
