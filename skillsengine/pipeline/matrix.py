"""The matrix: every version of a model, with its baselines, against every partition of its data, and which cells are missing.

Read from the catalog, and from the source as far as it has to be hashed: a partition whose bytes changed has another digest,
and the cells of before are outdated. Nothing is computed here; `evaluations` fills what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from skillsengine.pipeline.cells import CellLayout, trained_on, trained_partitions
from skillsengine.pipeline.drift import drifted
from skillsengine.pipeline.plan import PlanError, RunOptions, Step
from skillsengine.pipeline.rejected import counts
from skillsengine.pipeline.source import source_of
from skillsengine.settings import Settings
from skillsengine.sources import keys
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.sources.find import Source
from skillsengine.sources.keys import STATIC_KEY
from skillsengine.spec.schema import Drift, Experiment
from skillsengine.storage.catalog import Catalog, CatalogError, CellRow, VersionRow
from skillsengine.storage.opening import open_store

State = Literal["scored", "unlabelled", "trained on", "missing"]
"""Of a cell. `unlabelled`: scored by what needs no labels. `trained on`: never filled, since the version was trained on the
partition, or on its ads or near copies of them from elsewhere."""
Presence = Literal["data", "no data", "unfinished", "unknown"]
"""Of a partition: there, a hole in the history, or a period that is not over. `unknown` is one that nobody has looked for yet,
where the source is not asked (`known_partitions`)."""
BASELINES = ("base", "lexicon")


@dataclass(frozen=True)
class Cell:
    """One version, or a baseline of it, on one partition."""

    version: int
    """Of a baseline that several versions share, the first of them."""
    partition: str
    state: State
    digest: str
    """Of the `evaluate` artifact that is or would be the cell."""
    subject: str = "adapter"
    """Or the baseline: `base`, `lexicon`."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    outdated: Mapping[str, Any] | None = None
    """Of a missing cell: what stood here before the partition's data, its labels or the way of scoring changed."""


@dataclass(frozen=True)
class Matrix:
    """What is known of an experiment's model and data."""

    experiment: str
    model: str
    versions: tuple[VersionRow, ...]
    partitions: Mapping[str, Presence]
    """In their order; holes of the history stand among them."""
    cells: Mapping[tuple[int, str], Cell]
    """By version and partition, for all partitions that have data."""
    baselines: Mapping[tuple[str, int, str], Cell]
    """By baseline, version and partition, beside each cell that is filled or will be: those that are there, and those that
    `evaluations.baselines` asks for. Versions that share a baseline share its cell."""
    aliases: Mapping[str, int]
    drift: Drift
    """What is called drift."""
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Partition -> `rejected.counts`, where its rows were read before."""

    def distinct_baselines(self) -> list[Cell]:
        """Each cell of a baseline once."""
        return list({cell.digest: cell for cell in self.baselines.values()}.values())

    def baseline(self, name: str, partition: str) -> Cell | None:
        """That of the newest version that has one there: each version brings its own lexicon."""
        found = [self.baselines.get((name, row.number, partition)) for row in reversed(self.versions)]
        return next((cell for cell in found if cell is not None), None)

    def missing(self) -> list[Cell]:
        """Version by version, so that each model is loaded once; partitions in their order; then the baselines."""
        return [cell for cell in (*self.cells.values(), *self.distinct_baselines()) if cell.state == "missing"]

    def as_json(self) -> dict[str, Any]:
        sharing: dict[str, list[int]] = {}
        for (_, number, _), cell in self.baselines.items():
            sharing.setdefault(cell.digest, []).append(number)
        return {
            "experiment": self.experiment,
            "model": self.model,
            "aliases": dict(self.aliases),
            "partitions": [
                {"key": key, "state": state, **self.rows.get(key, {})} for key, state in self.partitions.items()
            ],
            "versions": [
                {"number": row.number, "experiment": row.experiment, "trained_on": trained_partitions(row)}
                for row in self.versions
            ],
            "cells": [
                {"version": c.version, "partition": c.partition, "state": c.state, "metrics": dict(c.metrics)}
                | ({"drifted": [found.name for found in drifted(c.metrics, self.drift)]} if c.metrics else {})
                | ({"outdated": dict(c.outdated)} if c.outdated is not None else {})
                for c in self.cells.values()
            ],
            "baselines": [
                {
                    "baseline": c.subject,
                    "versions": sharing[c.digest],
                    "partition": c.partition,
                    "state": c.state,
                    "metrics": dict(c.metrics),
                }
                for c in self.distinct_baselines()
            ],
        }


def build_matrix(
    experiment: Experiment,
    settings: Settings,
    catalog: Catalog,
    *,
    versions: Sequence[str] = (),
    first: str | None = None,
    last: str | None = None,
    connect: Connect = environment_connect,
    trusted: bool = False,
    now: datetime | None = None,
) -> Matrix:
    """The matrix of `versions` (aliases or numbers; all ready ones by default) and the partitions from `first` to `last` (all
    from the experiment's `start_date` on that are over).

    Raises CatalogError for a version that does not exist and where there is none, PlanError for a range that is empty,
    SourceError and SourceUnavailable for the data.
    """
    now = now or datetime.now(UTC)
    rows = _versions(experiment, catalog, versions)
    source = source_of(experiment, settings, trusted=trusted, connect=connect, memory=catalog)
    present = _partitions(experiment, source, first, last, now)
    files = {key: source.files(key) for key, state in present.items() if state == "data"}
    known = catalog.cells(experiment=experiment.name)
    by_digest = {(cell.artifact_digest, cell.partition): cell for cell in known}
    newest = {(cell.adapter_digest, cell.partition): cell for cell in known if cell.kind == "adapter"}
    marks = catalog.marks(experiment.name)
    cells: dict[tuple[int, str], Cell] = {}
    baselines: dict[tuple[str, int, str], Cell] = {}
    shared: dict[str, Cell] = {}
    rows_of: dict[str, Mapping[str, Any]] = {}
    store = open_store(settings)
    for row in rows:
        layout = CellLayout(experiment, settings, RunOptions(trusted=trusted), row)
        for key, found in files.items():
            formatted, step = layout.steps(key, found)
            if key not in rows_of and (made := store.get(formatted.stage, formatted.digest)):
                rows_of[key] = counts(made.summary)
            cell = _cell(row, key, step, by_digest.get((step.digest, key)))
            if cell.state == "missing":
                if (step.digest, key) in marks or trained_on(row, experiment, key, formatted.digest):
                    cell = replace(cell, state="trained on")
                elif before := newest.get((row.adapter_digest, key)):
                    cell = replace(cell, outdated=before.metrics)
            cells[row.number, key] = cell
            if cell.state == "trained on":
                continue
            for name in BASELINES:
                step = layout.baseline(name, formatted)
                beside = _cell(row, key, step, by_digest.get((step.digest, key)))
                if beside.state != "missing" or name in experiment.evaluations.baselines:
                    baselines[name, row.number, key] = shared.setdefault(step.digest, beside)
    model = experiment.model_name
    aliases = catalog.aliases(model)
    return Matrix(experiment.name, model, tuple(rows), present, cells, baselines, aliases, experiment.drift, rows_of)


def _versions(experiment: Experiment, catalog: Catalog, wanted: Sequence[str]) -> list[VersionRow]:
    model = experiment.model_name
    if wanted:
        rows = {row.number: row for row in (catalog.resolve(model, reference) for reference in wanted)}
        return [rows[number] for number in sorted(rows)]
    ready = [row for row in catalog.versions(model) if row.state == "ready"]
    if not ready:
        raise CatalogError(
            f"{model} has no version yet, so there is nothing to score. Run the experiment first: "
            f"`skillsengine run experiments/{experiment.name}.yaml`, or trigger its DAG."
        )
    return ready


def _partitions(
    experiment: Experiment, source: Source, first: str | None, last: str | None, now: datetime
) -> dict[str, Presence]:
    data = experiment.data
    if not data.dated:
        if first or last:
            raise PlanError(
                f"--from and --to: data.source `{data.source}` is not dated, so it is one partition. Leave them out."
            )
        return {STATIC_KEY: "data"}
    there = source.partitions()
    if not there:
        raise PlanError(f"there is no data at {data.source} for any {data.period}.")
    begins = max(there[0], keys.key_of(experiment.start_date, data.period)) if experiment.start_date else there[0]
    low, high = first or begins, last or there[-1]
    for name, key in (("--from", low), ("--to", high)):
        keys.parse_key(key, data.period)
        if name == "--to" and not keys.is_complete(key, now, data.period) and last:
            raise PlanError(f"--to {key}: this {data.period} is not over yet (UTC), so its data may still grow.")
    if low > high:
        if first and last:
            raise PlanError(f"--from {first} is after --to {last}: the range is empty. Change them over.")
        raise PlanError(
            f"no partition is left: there is data for {there[0]} to {there[-1]}, and the range is {low} to {high}."
        )
    return {key: _presence(key, there, now, experiment) for key in _range(low, high, experiment)}


def _presence(key: str, there: Sequence[str], now: datetime, experiment: Experiment) -> Presence:
    if not keys.is_complete(key, now, experiment.data.period):
        return "unfinished"
    return "data" if key in there else "no data"


def _range(low: str, high: str, experiment: Experiment) -> Iterator[str]:
    period, key = experiment.data.period, low
    while key <= high:
        yield key
        key = keys.key_of(keys.period_end(key, period), period)


def _cell(version: VersionRow, key: str, step: Step, found: CellRow | None) -> Cell:
    subject = str(step.key)
    if found is None:
        return Cell(version.number, key, "missing", step.digest, subject)
    state: State = "scored" if found.metrics.get("labelled_rows") else "unlabelled"
    return Cell(version.number, key, state, step.digest, subject, found.metrics)
