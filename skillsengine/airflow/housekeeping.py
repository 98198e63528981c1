"""The tasks of the platform's own DAG, `dags/housekeeping.py`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from skillsengine.airflow.process import die_with_parent
from skillsengine.settings import Settings, load_settings

log = logging.getLogger(__name__)

Chore = Callable[..., dict[str, Any]]
"""Called with the settings, the day, and those of the DAG's params that it names as keywords."""


def remove_leftovers(settings: Settings, day: str) -> dict[str, Any]:
    """Half-written folders and checkpoints of dead attempts, and old logs of the embedded Airflow."""
    from skillsengine.storage import housekeeping
    from skillsengine.storage.catalog import Catalog
    from skillsengine.storage.opening import open_store

    left = housekeeping.remove_leftovers(open_store(settings), Catalog.open(settings.catalog_url))
    logs = housekeeping.remove_old_logs(settings.home / "airflow" / "logs")
    for name in (*left.names, *logs.names):
        log.info("removed %s", name)
    freed = left.bytes + logs.bytes
    log.info("removed %d leftovers and %d old logs, %.1f MB", len(left.names), len(logs.names), freed / 1e6)
    return {"leftovers": len(left.names), "logs": len(logs.names), "bytes": freed}


def collect_garbage(settings: Settings, day: str, *, gc_older_than: str | None = None) -> dict[str, Any]:
    """Artifacts that nobody needs and nobody used for `gc_older_than`, old reports, W&B runs that were sent."""
    from datetime import UTC, datetime

    from skillsengine.airflow.connections import airflow_connect
    from skillsengine.pipeline.garbage import Busy, alone, look
    from skillsengine.spec.sections.fields import parse_duration
    from skillsengine.storage.catalog import Catalog
    from skillsengine.storage.opening import open_store

    if gc_older_than is None:
        log.info("gc_older_than is empty: nothing is collected")
        return {"removed": 0, "bytes": 0}
    try:
        age = parse_duration(gc_older_than)
    except ValueError as error:
        raise AirflowFailException(f"gc_older_than: {error}.") from error
    store, catalog = open_store(settings), Catalog.open(settings.catalog_url)
    try:
        with alone(catalog):
            found = look(settings, store, catalog, datetime.now(UTC), age, airflow_connect)
            for note in found.notes:
                log.info("%s", note)
            for fate in found.going:
                log.info("%s goes: %s", fate.artifact.name, fate.why)
            removed = found.remove(store, catalog)
    except Busy as error:
        log.info("%s Tomorrow is soon enough.", error)
        return {"removed": 0, "bytes": 0}
    for name in removed.spared:
        log.info("%s was needed again meanwhile and stays", name)
    log.info("removed %d things that nobody needs, %.1f MB", len(removed.names), removed.bytes / 1e6)
    return {"removed": len(removed.names), "bytes": removed.bytes}


def verify_artifacts(settings: Settings, day: str) -> dict[str, Any]:
    """A sample of the artifacts against their manifests, another one each day. A damaged one fails the task."""
    from skillsengine.storage import housekeeping
    from skillsengine.storage.opening import open_store

    found = housekeeping.verify_sample(open_store(settings), day)
    for problem in found.problems:
        log.error("%s", problem)
    if found.problems:
        raise AirflowFailException("\n".join(found.problems[:20]))
    log.info("%d artifacts are whole", found.checked)
    return {"checked": found.checked}


def send_offline_runs(settings: Settings, day: str) -> dict[str, Any]:
    """Weights & Biases runs that were kept offline. What cannot be sent stays for tomorrow and fails nothing."""
    from skillsengine.tracking.sync import send_kept_runs

    result = send_kept_runs(settings.home)
    if result is None:
        log.info("WANDB_API_KEY is not set: offline runs of Weights & Biases stay where they are")
        return {"sent": 0, "failed": 0}
    for name, reason in result.failed.items():
        log.warning("%s was not sent: %s", name, reason)
    if result.stopped:
        log.warning("not tried: %d; %s", len(result.left), result.stopped)
    log.info("sent %d runs; %d are going on", len(result.sent), result.going_on)
    return {"sent": len(result.sent), "failed": len(result.failed) + len(result.left)}


CHORES: Mapping[str, Chore] = {
    "remove_leftovers": remove_leftovers,
    "collect_garbage": collect_garbage,
    "verify_artifacts": verify_artifacts,
    "send_offline_runs": send_offline_runs,
}


class ChoreTask(BaseOperator):  # type: ignore[misc]  # airflow ships no types
    """One chore, named by the task's id."""

    ui_color = "#eeeeee"

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        die_with_parent()
        chore = CHORES[self.task_id]
        # A DAG file of before, copied into a folder of one's own, has fewer params: the chore's defaults hold then.
        asked = {name: context["params"][name] for name in chore.__kwdefaults__ or () if name in context["params"]}
        return chore(load_settings(), f"{context['dag_run'].run_after:%Y-%m-%d}", **asked)
