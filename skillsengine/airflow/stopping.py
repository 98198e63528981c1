"""A Celery worker that is told to stop (SIGTERM: a warm shutdown) tells the trainings that it runs, so that they hand over.

Celery's worker waits for its tasks by itself, but tells them nothing; a training may take days, and whoever sent the signal
waits some minutes. Celery imports this module where its setting `imports` names it (deploy/env/worker.env): the worker then
leaves a file, named after its process, which each of its tasks looks for.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from skillsengine.storage.owners import owner_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stopping:
    """Whether the worker that runs this process has been told to stop. It can be pickled, and asked in other processes."""

    marks: tuple[Path, ...]

    def __call__(self) -> bool:
        return any(mark.exists() for mark in self.marks)


def stopping_here() -> Stopping:
    """For the worker above this process, whichever of its ancestors that is."""
    owners = (owner_of(parent.pid) for parent in psutil.Process().parents())
    return Stopping(tuple(_folder() / owner for owner in owners))


def mark() -> None:
    """Tell the tasks below this process that it stops. The file goes with the folder, or stays: the name never comes back."""
    _folder().mkdir(parents=True, exist_ok=True)
    (_folder() / owner_of(os.getpid())).touch()


def _folder() -> Path:
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "stopping"


def _tell(**_: Any) -> None:
    try:
        mark()
    except OSError as error:  # in a signal's handler: the worker stops all the same
        log.warning("the trainings of this worker are not told that it stops: %s", error)


def connect() -> None:
    """Have Celery call us when its worker is told to stop."""
    from celery.signals import worker_shutting_down

    worker_shutting_down.connect(_tell, weak=False)
