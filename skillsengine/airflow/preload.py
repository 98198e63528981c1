"""What every task needs. Tasks are forks of forks of the scheduler or of a Celery worker: loaded there once, it is there when a
task begins, which saves each of them a second of a core."""

from __future__ import annotations

import importlib

FOR_TASKS = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "skillsengine.airflow.dag",
    "skillsengine.pipeline.run",
)


def preload() -> None:
    """Load the modules; call before the first fork."""
    for module in FOR_TASKS:
        importlib.import_module(module)
