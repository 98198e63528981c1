"""What every task needs. Tasks are forks of forks of the scheduler or of a Celery worker: loaded there once, it is there when a
task begins, which saves each of them a second of a core."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.util import find_spec

from sqlalchemy import make_url
from sqlalchemy.orm import configure_mappers

from skillsengine.settings import Settings, SettingsError, load_settings

FOR_TASKS = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "skillsengine.airflow.dag",
    "skillsengine.pipeline.run",
)
_FOR_BUCKETS = ("boto3.session", "boto3.s3.transfer", "botocore.config")


def preload() -> None:
    """Load the modules, and what the settings of this machine make every task load; call before the first fork. Nothing is
    connected to."""
    for module in FOR_TASKS:
        importlib.import_module(module)
    configure_mappers()
    try:
        settings = load_settings()
    except SettingsError:
        return  # each task says it, where people look
    for module in _by_settings(settings):
        # One that is missing is told by the task that cannot do without it.
        if find_spec(module.partition(".")[0]) is not None:
            importlib.import_module(module)


def _by_settings(settings: Settings) -> Iterator[str]:
    if isinstance(settings.store, str):
        yield from _FOR_BUCKETS
    url = make_url(settings.catalog_url)
    if url.get_backend_name() == "postgresql":
        driver = url.get_driver_name()
        yield from (driver, f"sqlalchemy.dialects.postgresql.{driver}")
