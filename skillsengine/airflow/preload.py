"""What every task needs. Tasks are forks of forks of the scheduler or of a Celery worker: loaded there once, it is there when a
task begins, which saves each of them a second of a core."""

from __future__ import annotations

import importlib
from contextlib import suppress
from importlib.util import find_spec

from sqlalchemy.orm import configure_mappers

from skillsengine.settings import SettingsError, load_settings
from skillsengine.storage.database import CatalogError, connect

FOR_TASKS = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "skillsengine.airflow.dag",
    "skillsengine.pipeline.run",
)
_FOR_BUCKETS = ("boto3.session", "boto3.s3.transfer", "botocore.config")


def preload() -> None:
    """Load the modules, and what the settings of this machine make every task load; call before the first fork. Nothing is
    connected to, and what is wrong with the settings is left to the tasks, which say it where people look."""
    for module in FOR_TASKS:
        importlib.import_module(module)
    configure_mappers()
    with suppress(SettingsError, CatalogError):
        settings = load_settings()
        connect(settings.catalog_url, reads_only=True).dispose()  # loads the driver, and makes no folder
        if isinstance(settings.store, str) and find_spec("boto3") is not None:
            for module in _FOR_BUCKETS:
                importlib.import_module(module)
