"""Queues: does a worker listen to each that a task goes to, and does Celery's broker wait long enough for its end?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from skillsengine.airflow.broker import ConfigError, executor_set, find_broker, timeout_problem
from skillsengine.airflow.workers import WorkersUnknown, celery_queues
from skillsengine.doctor.airflow_side import AirflowState, queues_of
from skillsengine.doctor.finding import Finding, listed, ok, problem, unknown, warning
from skillsengine.spec.schema import Experiment

_LOCAL = ("LocalExecutor", "SequentialExecutor")
_ELSEWHERE = "run doctor in the environment of a scheduler or worker"


def examine_queues(state: AirflowState, experiments: Collection[Experiment]) -> Iterator[Finding]:
    """Who serves the queues of the specs, by the executor of that Airflow; asks Celery's workers where it is theirs."""
    queues = queues_of(experiments)
    names, executor = listed(list(queues)), state.executor
    if not queues:
        return
    if executor in _LOCAL:
        yield ok("queues", f"{names}: the scheduler itself runs the tasks of every queue ({executor})")
    elif executor == "KubernetesExecutor":
        yield ok("queues", f"{names}: they mean nothing to {executor}; its pod template decides where tasks run")
    elif executor == "CeleryExecutor":
        yield from _celery(state, queues)
        yield from _broker(experiments)
    elif executor is None:
        yield unknown(
            "queues",
            f"{names}: Airflow does not tell which executor it has, so who serves them is not known",
            f"{_ELSEWHERE}, or let its API show it ([api] expose_config = non-sensitive-only)",
        )
    else:
        yield unknown(
            "queues",
            f"{names}: the workers of {executor} cannot be asked from here",
            "look in Airflow that a worker serves each of them",
        )


def _celery(state: AirflowState, queues: dict[str, list[str]]) -> Iterator[Finding]:
    try:
        if executor_set() != "CeleryExecutor":
            raise WorkersUnknown("the configuration of Airflow in this environment names no CeleryExecutor")
        workers = celery_queues()
    except (ConfigError, WorkersUnknown) as error:
        yield unknown(
            "queues",
            f"{listed(list(queues))}: Celery's workers could not be asked: {error}",
            f"{_ELSEWHERE}; there, `airflow celery list-workers` shows the queues",
        )
        return
    served = {queue for names in workers.values() for queue in names}
    for queue, experiments in sorted(queues.items()):
        if queue not in served:
            there = f"they serve {listed(served)}" if served else "no worker answers"
            yield problem(
                f"queue {queue}",
                f"no Celery worker listens to it ({there}): tasks of {listed(experiments)} stay queued for ever",
                f"start one (`airflow celery worker -q {queue}`), or mend resources.queue",
            )
    well = sorted(queues.keys() & served)
    if well:
        yield ok("queues", f"{listed(well)}: served; Celery's workers are {listed(list(workers))}")


def _broker(experiments: Collection[Experiment]) -> Iterator[Finding]:
    subject = "broker"
    try:
        broker = find_broker()
    except ConfigError as error:
        yield problem(subject, str(error))
        return
    if broker is None or broker.unknown is not None:
        why = broker.unknown if broker else "the configuration of Airflow in this environment names no CeleryExecutor"
        yield unknown(subject, f"after which time it hands a task out again is not known: {why}", _ELSEWHERE)
        return
    too_long = defaultdict(list)
    for experiment in experiments:
        if (text := timeout_problem(experiment)) is not None:
            too_long[text].append(experiment.name)
    for text, names in too_long.items():
        what, _, mend = text.partition(". ")
        yield warning(subject, f"{listed(names)}: {what}", mend[:1].lower() + mend[1:].removesuffix("."))
    if not too_long:
        yield ok(subject, "no task may run longer than the broker waits for its end")
