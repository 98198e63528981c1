"""Run one stage: the same door for Airflow, the command line and tests.

    run = open_run(experiment, dag_id=..., run_id=..., settings=...)
    for stage in run.plan.stages:
        run_stage(run, stage)
    run_gate(run); run_promote(run)  # pipeline.promotion
    finish_run(run, "success")

Every call may be repeated, in another process too: a run is pinned in the catalog by its first call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from skillsengine.pipeline.adapters import input_of, trained_spec
from skillsengine.pipeline.cells import record_cell
from skillsengine.pipeline.drift import drift_lines, with_drift
from skillsengine.pipeline.execute import Observer, StepResult, Surroundings, execute
from skillsengine.pipeline.note import run_note
from skillsengine.pipeline.plan import (
    SEVERAL,
    Plan,
    PlanError,
    RunOptions,
    Sources,
    cached,
    find_cells,
    find_sources,
    make_plan,
    steps_of_stage,
)
from skillsengine.pipeline.provenance import spec_commit
from skillsengine.settings import Settings
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.sources.files import SourceFile
from skillsengine.spec.laid_over import differences, lay_values_over
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment
from skillsengine.stages.contract import Diverged, Limit, never
from skillsengine.storage.catalog import Catalog, RunRow
from skillsengine.storage.opening import open_store
from skillsengine.storage.patient import PatientCatalog
from skillsengine.storage.store import Store

Trigger = Literal["cli", "scheduled", "manual", "backfill", "asset"]
Kind = Literal["retrain", "evaluations"]


@dataclass(frozen=True)
class Run:
    """A pinned run: its spec, its partition, its files and options no longer change."""

    id: int
    """Key of the run in the catalog."""
    run_id: str
    experiment: Experiment
    sources: Sources
    options: RunOptions
    settings: Settings
    trigger: str
    versions: tuple[str, ...] = ()
    """`evaluations` only: the references to score."""
    cells: tuple[tuple[int, str], ...] = ()
    """`evaluations` only: (version, partition) of each cell to fill, instead of `versions` on the run's partition."""
    overrides: tuple[str, ...] = ()
    """What this run alone has otherwise than the spec: `train.epochs: 3.0 -> 1.0`."""
    connect: Connect = environment_connect
    """Who gives the credentials of the source's connection."""
    stopping: Callable[[], bool] = never
    """Whether the worker was told to stop."""

    @property
    def partition(self) -> str:
        return self.sources.partition

    @cached_property
    def plan(self) -> Plan:
        return make_plan(self.experiment, self.sources, self.settings, self.options)

    @cached_property
    def store(self) -> Store:
        return open_store(self.settings)

    @cached_property
    def catalog(self) -> Catalog:
        return PatientCatalog.of(Catalog.open(self.settings.catalog_url), self.settings.catalog_wait)

    def around(self, observer: Observer | None = None) -> Surroundings:
        return Surroundings(
            self.settings,
            self.store,
            self.catalog,
            self.id,
            self.run_id,
            self.options,
            observer,
            self.connect,
            None if self.cells else self.partition,
            self.stopping,
        )


def open_run(
    experiment: Experiment,
    *,
    dag_id: str,
    run_id: str,
    settings: Settings,
    partition: str | None = None,
    options: RunOptions | None = None,
    force: bool = False,
    trigger: Trigger = "cli",
    kind: Kind = "retrain",
    versions: tuple[str, ...] = (),
    cells: Sequence[tuple[int, str]] = (),
    overrides: Mapping[str, Any] | None = None,
    connect: Connect = environment_connect,
    stopping: Callable[[], bool] = never,
) -> Run:
    """Pin the run, or find what its first call pinned. The first call reads the source's files, to hash them.

    `overrides` (dotted path -> plain JSON data) are laid over the spec for this run alone.

    Raises SpecError where an override is wrong or does not go with the spec, PlanError and SourceError where the data does
    not allow the run, SourceUnavailable where the source does not answer, CatalogError where the catalog does not.
    """
    catalog = Catalog.open(settings.catalog_url)
    row = catalog.get_run(dag_id, run_id)
    if row is None:
        cells = list(dict.fromkeys(cells))
        own, experiment = experiment, lay_values_over(experiment, overrides or {}, "conf")
        options = options or RunOptions()
        look: dict[str, Any] = {"trusted": options.trusted, "connect": connect, "memory": catalog}
        if cells:
            sources = find_cells(experiment, list(dict.fromkeys(key for _, key in cells)), settings, **look)
        else:
            sources = find_sources(experiment, partition, settings, trains=kind == "retrain", **look)
        if force:
            options = _forced(experiment, sources, settings, options)
        row = catalog.pin_run(
            dag_id,
            run_id,
            experiment=experiment.name,
            kind=kind,
            partition=sources.partition if not cells else None,
            spec=resolved(experiment),
            options=_pinned(sources, options, versions, differences(own, experiment)) | {"cells": [*map(list, cells)]},
            trigger=trigger,
            spec_commit=spec_commit(settings, experiment.name),
        )
    return replace(_unpinned(row, settings), connect=connect, stopping=stopping)


def _forced(experiment: Experiment, sources: Sources, settings: Settings, options: RunOptions) -> RunOptions:
    """The first rerun number whose `finetune` does not exist yet."""
    store = open_store(settings)
    while True:
        options = replace(options, rerun=options.rerun + 1)
        if not cached(make_plan(experiment, sources, settings, options).adapter, store):
            return options


def _pinned(
    sources: Sources, options: RunOptions, versions: tuple[str, ...], overrides: Sequence[str]
) -> dict[str, Any]:
    return {
        "limit": asdict(options.limit) if options.limit else None,
        "rerun": options.rerun,
        "trusted": options.trusted,
        "window": list(sources.window),
        "notes": list(sources.notes),
        # For pages that tell what is missing without a look at the source.
        "there": [*map(list, sources.there)],
        "versions": list(versions),
        "overrides": list(overrides),
        "files": {key: [_pinned_file(file) for file in files] for key, files in sources.files.items()},
    }


def _pinned_file(file: SourceFile) -> dict[str, Any]:
    """As JSON. Of the credentials only the name of their connection is in it."""
    told = {name: value for name, value in vars(file).items() if value is not None and value is not False}
    return told | {"uri": str(file.uri)}


def _unpinned_file(pinned: Mapping[str, Any]) -> SourceFile:
    fields = dict(pinned)
    uri = fields.pop("path", None) or fields.pop("uri")  # `path` is how local files were pinned once
    return SourceFile(uri if "://" in uri else Path(uri), **fields)


def _unpinned(row: RunRow, settings: Settings) -> Run:
    pinned: Mapping[str, Any] = row.options
    files = {key: tuple(_unpinned_file(file) for file in found) for key, found in pinned["files"].items()}
    limit = Limit(**pinned["limit"]) if pinned["limit"] else None
    return Run(
        id=row.id,
        run_id=row.run_id,
        experiment=Experiment.model_validate(row.spec),
        sources=Sources(row.partition or SEVERAL, tuple(pinned["window"]), files, tuple(pinned["notes"])),
        options=RunOptions(limit, pinned["rerun"], pinned["trusted"]),
        settings=settings,
        trigger=row.trigger,
        versions=tuple(pinned["versions"]),
        overrides=tuple(pinned.get("overrides", ())),  # runs of before have none
        cells=tuple((int(number), str(key)) for number, key in pinned.get("cells", ())),
    )


def pinned_plan(row: RunRow, settings: Settings) -> Plan:
    """The plan of a retrain run as it was pinned. Raises pydantic.ValidationError or KeyError where another version of this
    package has pinned it, whose specs this one does not read."""
    return _unpinned(row, settings).plan


def run_stage(run: Run, stage: str, observer: Observer | None = None, only: str | None = None) -> dict[str, Any]:
    """Bring about all artifacts of one stage, or the one of its step `only`; what is cached is done in milliseconds.

    Returns `{"steps": [{"id", "digest", "cached", "seconds", "summary"}]}`, small enough for an XCom, and with the trials of a
    sweep that diverged `"diverged": [{"id", "reason"}]`: they stop nothing but themselves. Of `evaluate` also `"drift": {id:
    words}`.
    Raises StageError, PlanError, SpecError and CatalogError for what a retry cannot heal.
    """
    steps = run.plan.of(steps_of_stage(stage))
    if only is not None:
        steps = [step for step in steps if step.id == only]
    if stage == "register" and run.options.limit:
        return {"steps": [], "skipped": "a smoke test (--limit) registers nothing"}
    around = run.around(observer)
    results, diverged = [], []
    cells: dict[str, dict[str, Any]] = {}
    for step in steps:
        try:
            result = execute(step, around)
        except Diverged as error:
            if step.trial is None:
                raise
            diverged.append({"id": step.id, "reason": str(error)})
            continue
        if step.stage == "evaluate":
            cells[step.id] = with_drift(
                run, record_cell(run.catalog, run.experiment.name, run.partition, result), result
            )
        if step.stage == "register":
            _record_version(run, result)
        results.append(result)
    told: dict[str, Any] = {"steps": [result.as_json() for result in results]}
    told |= {"drift": drift} if (drift := drift_lines(cells, run.experiment.drift)) else {}
    return told | ({"diverged": diverged} if diverged else {})


def _record_version(run: Run, result: StepResult) -> None:
    """After the artifact: a crash between the two is healed by the next call, which finds the artifact cached."""
    step, card = result.step, result.artifact.json("version.json")
    adapter = input_of(run.store, "finetune", step.inputs["finetune"])
    row = run.catalog.allocate_version(
        run.experiment.model_name,
        step.inputs["finetune"],
        experiment=run.experiment.name,
        partition=run.partition,
        run_id=run.id,
        spec=resolved(trained_spec(run.experiment, adapter) if adapter else run.experiment),
    )
    if row.number != card["number"]:
        raise PlanError(
            f"the store knows this adapter as {card['model']}@{card['number']}, the catalog would make it "
            f"{row.model}@{row.number}: the catalog was emptied or swapped. Restore the catalog, or retrain with --force."
        )
    path = run.store.link_version(row.model, row.number, result.artifact)
    run.catalog.publish_version(row.model, row.number, step.digest, path, card["metrics"], card["lineage"])


def finish_run(run: Run, state: str, error: str | None = None) -> str:
    """Close the run in the catalog. Returns its note: one line for people."""
    plan = None if run.cells else run.plan
    note = with_overrides(run, run_note(run.experiment, plan, run.catalog, run.id, state, error))
    run.catalog.finish_run(run.id, state, note, error)
    return note


def with_overrides(run: Run, note: str) -> str:
    """A run's note, and what the run has otherwise than its spec."""
    return f"{note} · overridden: {', '.join(run.overrides)}" if run.overrides else note
