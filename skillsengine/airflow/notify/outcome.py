"""What the report task tells of a run that is over: at most one message a run, a failure or the gate's verdict."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillsengine.airflow.notify.message import About, Message, failure, verdict, waiting
from skillsengine.airflow.notify.send import NotifyError, send
from skillsengine.spec.schema import Experiment, format_duration

if TYPE_CHECKING:
    from skillsengine.pipeline.run import Run

log = logging.getLogger(__name__)

_TOLD = "notified"
"""Name under which a run in the catalog keeps what was told of it, so that a report that runs again tells it once."""


def tell(experiment: Experiment, about: About, error: str | None, run: Run | None, cleared: int) -> str | None:
    """Tell what there is to tell of a run that is over, and mark it as told.

    `error` is what the first failed task said, None after a success; `run` is None where the run never opened; `cleared`
    is a number that another clearing of the run makes another one: what comes of it then is news. Returns what a person
    should know beside: the reason why a message could not be sent, or None. That is no failure of the run.
    """
    message = _message(experiment, about, error, run)
    connection = experiment.notify.connection
    if message is None or connection is None or message.event not in experiment.notify.on:
        return None
    told = [message.event, message.headline, cleared]
    if run is not None and run.catalog.run_by_id(run.id).data.get(_TOLD) == told:
        log.info("told already: %s", message.headline)
        return None
    try:
        where = send(message, connection, experiment.notify.to)
    except NotifyError as problem:
        log.error("the %s is not told: %s", message.event, problem)
        return f"the {message.event} is not told: {problem}"
    log.info("told the %s: %s", message.event, where)
    if run is not None:
        run.catalog.set_run_data(run.id, **{_TOLD: told})
    return None


def tell_waiting(experiment: Experiment, about: About, run: Run, found: Mapping[str, Any]) -> None:
    """Tell that a promotion waits for a person; who is told verdicts is who can say something. Never a reason to fail."""
    connection = experiment.notify.connection
    if connection is None or "verdict" not in experiment.notify.on:
        return
    wait = format_duration(run.experiment.gate.approval_timeout)
    try:
        where = send(waiting(about, experiment.model_name, found, wait), connection, experiment.notify.to)
    except NotifyError as problem:
        log.error("nobody is told that an approval is waited for: %s", problem)
        return
    log.info("told that an approval is waited for: %s", where)


def _message(experiment: Experiment, about: About, error: str | None, run: Run | None) -> Message | None:
    judged = _judged(experiment, about, run) if run is not None else None
    return judged if error is None else failure(about, error, judged)


def _judged(experiment: Experiment, about: About, run: Run) -> Message | None:
    """The verdict, if there is one and it is news."""
    data = run.catalog.run_by_id(run.id).data
    found = data.get("gate")
    # A backfilled retrain cannot promote: ten years of months would be so many mails that say nothing.
    if found is None or run.trigger == "backfill":
        return None
    moved = data.get("promoted") == found["number"]
    version = run.catalog.resolve(experiment.model_name, str(found["number"]))
    if found["verdict"] == "promote" and not moved and (outcome := data.get("promotion")):
        found = {**found, "reason": outcome["reason"]}  # refused by somebody, say
    # Neither is a run news that found everything done, and moved nothing.
    return verdict(about, experiment.model_name, found, moved=moved) if moved or version.run_id == run.id else None
