"""A run that is not done in time: Airflow's own deadline alert, whose callback runs in the triggerer.

It is the message that comes even if no worker lives: the scheduler notices the moment, the triggerer sends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference  # type: ignore[attr-defined]  # loaded lazily

from skillsengine.airflow.notify.address import airflow_address
from skillsengine.airflow.notify.message import About, late, run_url
from skillsengine.airflow.notify.send import NotifyError, send
from skillsengine.airflow.request import TRIGGERS
from skillsengine.spec.schema import Experiment, format_duration

log = logging.getLogger(__name__)


def alert(experiment: Experiment) -> DeadlineAlert | None:
    """The deadline of both DAGs of an experiment, None where its spec sets none.

    It counts from the moment a run is queued, which for a scheduled run is the moment it is due: a partitioned run has no
    logical date, and Airflow drops a deadline that refers to one.
    """
    notify = experiment.notify
    if notify.connection is None or notify.deadline is None or "deadline" not in notify.on:
        return None
    told = {
        "experiment": experiment.name,
        "connection": notify.connection,
        "to": list(notify.to),
        "after": format_duration(notify.deadline),
        "failures_are_told": "failure" in notify.on,
    }
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=notify.deadline,
        callback=AsyncCallback(missed, kwargs=told),
        name="notify.deadline",
    )


async def missed(
    context: Mapping[str, Any],
    experiment: str,
    connection: str,
    to: Sequence[str],
    after: str,
    failures_are_told: bool,
) -> str:
    """Called by the triggerer, once a deadline. Returns what was done, which Airflow keeps as the callback's output.

    Raises NotifyError if the message could not be sent: Airflow then marks this callback as failed, never the run.
    """
    run = context["dag_run"]
    trigger = TRIGGERS.get(run["run_type"], "manual")
    silent = _silent(run["state"], trigger, failures_are_told)
    if silent:
        log.info("the deadline of %s %s is not told: %s", run["dag_id"], run["dag_run_id"], silent)
        return f"not told: {silent}"
    # In a thread: the mail hook's own asynchronous way fails where a server wants STARTTLS, and a slow server must not hold
    # up the other triggers.
    return await asyncio.to_thread(_tell, run, experiment, trigger, connection, to, after)


def _silent(state: str, trigger: str, failures_are_told: bool) -> str | None:
    if trigger == "backfill":
        return "a backfill queues all its runs at once and is done when it is done"
    if state == "failed" and failures_are_told:
        return "the run has failed, which was told already"
    return None


def _tell(run: Mapping[str, Any], experiment: str, trigger: str, connection: str, to: Sequence[str], after: str) -> str:
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    about = About(experiment, dag_id, run_id, trigger, run["partition_key"], run_url(airflow_address(), dag_id, run_id))
    queued = datetime.fromisoformat(run["queued_at"] or run["run_after"])
    message = late(about, after, f"{queued:%Y-%m-%d %H:%M} UTC", run["state"], _task_states(dag_id, run_id))
    try:
        where = send(message, connection, to)
    except NotifyError as error:
        log.error("%s: the missed deadline is not told: %s", about.dag_id, error)
        raise
    log.info("told the missed deadline: %s", where)
    return where


def _task_states(dag_id: str, run_id: str) -> dict[str, str]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    found: Mapping[str, Any] = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    return {task: str(getattr(state, "value", state)) for task, state in found.items() if state is not None}
