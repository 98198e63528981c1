"""Who serves which queue: asked of Celery's workers by the command of Airflow's own provider."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from skillsengine.airflow.broker import config_file

SECONDS = 45.0
"""Longest wait. Where a broker answers it takes some seconds, where none does Celery gives up after a dozen."""
_PROVIDER = "apache-airflow-providers-celery"


class WorkersUnknown(Exception):
    """Celery's workers could not be asked; the text says why."""


def celery_queues() -> Mapping[str, tuple[str, ...]]:
    """Worker -> the queues that it serves now, by this environment's configuration of Airflow.

    Runs `airflow celery list-workers` in a process of its own, which is ended after `SECONDS`. Raises WorkersUnknown.
    """
    try:
        importlib.metadata.version(_PROVIDER)
    except importlib.metadata.PackageNotFoundError:
        raise WorkersUnknown(f"this Python lacks {_PROVIDER}") from None
    command = [sys.executable, "-m", "airflow", "celery", "list-workers", "--output", "json"]
    with tempfile.TemporaryDirectory() as home:
        # Airflow writes an airflow.cfg where there is none, and nothing may be left behind by a look.
        env = os.environ if config_file().exists() else os.environ | {"AIRFLOW_HOME": home}
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise WorkersUnknown(f"`airflow celery list-workers` was not done after {SECONDS:.0f} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = (done.stderr.strip() or "nothing").splitlines()[-1]
        raise WorkersUnknown(f"`airflow celery list-workers` failed: {said[:300]}")
    return {worker["worker_name"]: tuple(worker["queues"]) for worker in json.loads(lines[-1])}
