"""The matrix: every version of a model against every partition of its data, and which cells are missing.

Read from the catalog, and from the source as far as it has to be hashed: a partition whose bytes changed has another digest,
and the cells of before are outdated. Nothing is computed here; `evaluations` fills what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from skillsengine.pipeline.cells import CellLayout, trained_on, trained_partitions
from skillsengine.pipeline.plan import PlanError, RunOptions
from skillsengine.settings import Settings
from skillsengine.sources import keys
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.sources.find import Source
from skillsengine.sources.keys import STATIC_KEY
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog, CatalogError, CellRow, VersionRow

State = Literal["scored", "unlabelled", "trained on", "missing"]
"""Of a cell. `unlabelled`: scored by what needs no labels. `trained on`: never filled."""
Presence = Literal["data", "no data", "unfinished"]
"""Of a partition: there, a hole in the history, or a period that is not over."""
BASELINES = ("base", "lexicon")


@dataclass(frozen=True)
class Cell:
    """One version on one partition."""

    version: int
    partition: str
    state: State
    digest: str
    """Of the `evaluate` artifact that is or would be the cell."""
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
    baselines: Mapping[tuple[str, str], Mapping[str, Any]]
    """Metrics by baseline and partition: the newest that was made."""
    aliases: Mapping[str, int]

    def missing(self) -> list[Cell]:
        """Version by version, so that each model is loaded once; partitions in their order."""
        return [cell for cell in self.cells.values() if cell.state == "missing"]

    def as_json(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "model": self.model,
            "aliases": dict(self.aliases),
            "partitions": [{"key": key, "state": state} for key, state in self.partitions.items()],
            "versions": [
                {"number": row.number, "experiment": row.experiment, "trained_on": trained_partitions(row)}
                for row in self.versions
            ],
            "cells": [
                {"version": c.version, "partition": c.partition, "state": c.state, "metrics": dict(c.metrics)}
                | ({"outdated": dict(c.outdated)} if c.outdated is not None else {})
                for c in self.cells.values()
            ],
            "baselines": [
                {"baseline": name, "partition": key, "metrics": dict(metrics)}
                for (name, key), metrics in self.baselines.items()
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
    source = Source(
        experiment.data, settings.project, settings.allowed_roots, trusted=trusted, connect=connect, memory=catalog
    )
    present = _partitions(experiment, source, first, last, now)
    files = {key: source.files(key) for key, state in present.items() if state == "data"}
    known = catalog.cells(experiment=experiment.name)
    by_digest = {(cell.artifact_digest, cell.partition): cell for cell in known}
    newest = {(cell.adapter_digest, cell.partition): cell for cell in known if cell.kind == "adapter"}
    cells = {}
    for row in rows:
        layout = CellLayout(experiment, settings, RunOptions(trusted=trusted), row)
        for key, found in files.items():
            formatted, step = layout.steps(key, found)
            cell = _cell(row, key, step.digest, by_digest.get((step.digest, key)))
            if cell.state == "missing":
                if trained_on(row, experiment, key, formatted.digest):
                    cell = Cell(row.number, key, "trained on", step.digest)
                elif before := newest.get((row.adapter_digest, key)):
                    cell = Cell(row.number, key, "missing", step.digest, outdated=before.metrics)
            cells[row.number, key] = cell
    baselines = {(cell.kind, cell.partition): cell.metrics for cell in known if cell.kind in BASELINES}
    shown = {pair: metrics for pair, metrics in baselines.items() if pair[1] in present}
    model = experiment.model_name
    return Matrix(experiment.name, model, tuple(rows), present, cells, shown, catalog.aliases(model))


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


def _cell(version: VersionRow, key: str, digest: str, found: CellRow | None) -> Cell:
    if found is None:
        return Cell(version.number, key, "missing", digest)
    labelled = bool(found.metrics.get("labelled_rows"))
    return Cell(version.number, key, "scored" if labelled else "unlabelled", digest, found.metrics)
