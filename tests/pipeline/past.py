"""Runs of the past: rows in a real catalog and artifacts in a real store, without the work of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skillsengine.pipeline.plan import Plan, RunOptions, find_sources, make_plan
from skillsengine.settings import Settings
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment
from skillsengine.stages.contract import Limit
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store

PROFILE = {
    "max_length": 64,
    "longest": 60,
    "rows": 100,
    "tokens": 5000,
    "train_rows": 90,
    "validation_rows": 10,
    "rows_split": 0,
    "parts": 0,
    "rows_dropped": 0,
    "rows_left_out": 0,
}
FINETUNE = {
    "steps": 23,
    "epochs": 1.0,
    "train_rows": 90,
    "validation_rows": 10,
    "tokens": 4500,
    "tokens_per_second": 90.0,
    "seconds": 50.0,
    "peak_memory_gb": 2.5,
}
CELL = {"rows": 8, "seconds": 16.0}
FORMAT = {"rows": 50, "with_labels": 50}
SUMMARIES: Mapping[str, Mapping[str, Any]] = {
    "format": FORMAT,
    "profile": PROFILE,
    "finetune": FINETUNE,
    "evaluate": CELL,
    "register": {"version": "tiny@1"},
}


def plan_of(
    experiment: Experiment, settings: Settings, partition: str | None = None, *, limit: int | None = None
) -> Plan:
    options = RunOptions(Limit(limit) if limit else None)
    return make_plan(experiment, find_sources(experiment, partition, settings), settings, options)


def remember(
    plan: Plan,
    settings: Settings,
    run_id: str = "first",
    *,
    versions: Mapping[str, int] | None = None,
    environment: Mapping[str, str] | None = None,
    only: tuple[str, ...] | None = None,
    limit: int | None = None,
    seconds: float = 60.0,
    **summaries: Mapping[str, Any],
) -> None:
    """Put a finished run of `plan` into the catalog, and an artifact for each step (of the stages `only`) into the store.

    `summaries` (by stage) are laid over `SUMMARIES`; `versions` (by stage) are what the manifests say.
    """
    store, catalog = Store(settings.store_root), Catalog.open(settings.catalog_url)
    spec = plan.experiment
    run = catalog.pin_run(
        spec.name,
        run_id,
        experiment=spec.name,
        kind="retrain",
        partition=plan.partition,
        spec=resolved(spec),
        options={"limit": vars(Limit(limit)) if limit else None},
        trigger="cli",
        spec_commit=None,
    )
    for step in plan.steps:
        summary = {**SUMMARIES[step.stage], **summaries.get(step.stage, {})}
        catalog.start_step(run.id, step.id, step.stage, step.key, step.digest)
        if only is not None and step.stage not in only:
            catalog.finish_step(run.id, step.id, "failed", 1.0, {}, error="broken")
            continue
        with store.building(step.stage, step.digest) as out:
            (out / "made.txt").write_text(step.id, encoding="utf-8")
            store.publish(
                out,
                Manifest(
                    stage=step.stage,
                    version=(versions or {}).get(step.stage, step.definition.version),
                    key=step.key,
                    digest=step.digest,
                    config=step.config,
                    inputs=step.inputs,
                    summary=summary,
                    environment=environment or {},
                ),
            )
        catalog.finish_step(run.id, step.id, "done", seconds, summary)
    catalog.finish_run(run.id, "success", "")
