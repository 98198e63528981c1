"""The matrix as one user may read it, at one moment: of what the catalog and Airflow's database know. No file of data is looked
at, and it takes the same few queries however many versions and partitions there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated

from fastapi import HTTPException
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from skillsengine.airflow.ui.access import Access
from skillsengine.airflow.ui.fills import Fills, fills
from skillsengine.airflow.ui.readable import Readable, runs_readable
from skillsengine.pipeline.fill_cost import FillCost, fill_cost
from skillsengine.pipeline.known_matrix import known_matrix
from skillsengine.pipeline.known_partitions import known_partitions
from skillsengine.pipeline.matrix import BASELINES, Cell, Matrix, Presence
from skillsengine.reporting.figures.grid import METRICS
from skillsengine.settings import Settings
from skillsengine.spec.schema import Drift, Experiment
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.runs import OpenScore

MOST_SQUARES = 6000
"""Cells on one page; of more, the newest partitions are shown."""
_USUAL = 120
"""Partitions that are shown where nobody says which."""


def _checked(metric: str) -> str:
    if metric not in METRICS:
        raise ValueError(f"there is no such score; there are {', '.join(METRICS)}")
    return metric


class Ask(BaseModel):
    """What the query string asks for."""

    metric: Annotated[str, AfterValidator(_checked)] = "f1"
    first: str = Field("", alias="from", max_length=20)
    last: str = Field("", alias="to", max_length=20)
    drift: Annotated[int | None, Field(ge=1, le=10**9), BeforeValidator(lambda told: told or None)] = None
    """The version whose drift is told; by default the champion, else the newest."""


@dataclass(frozen=True)
class Known:
    """All that the page and its answers are made of."""

    found: Readable
    experiment: Experiment | None
    """None where no spec is known: then nothing can be filled."""
    keys: Sequence[str]
    """All partitions, also those that are not shown."""
    matrix: Matrix
    """Of those that are shown."""
    fills: Fills
    scores: Sequence[OpenScore]
    mark: str
    """`mark_of` this moment."""

    def missing(self, versions: Collection[int] | None = None) -> list[Cell]:
        """What can be filled: cells that no run is at, version by version; only those of `versions`, where they are given."""
        under_way = self.fills.under_way
        return [
            cell
            for cell in self.matrix.missing()
            if cell.subject == "adapter"
            and (cell.version, cell.partition) not in under_way
            and (versions is None or cell.version in versions)
        ]

    def cost(self, missing: Sequence[Cell]) -> FillCost:
        """What filling them will take, with the baselines that the spec wants beside them. The catalog does not tell which base
        a cell is of: each partition is taken to lack one where it has none."""
        cells, wanted = self.matrix.cells.values(), self.experiment.evaluations.baselines if self.experiment else ()
        beside = [Cell(c.version, c.partition, "missing", "", "lexicon") for c in missing if "lexicon" in wanted]
        if "base" in wanted:
            lacking = dict.fromkeys(c.partition for c in missing if self.matrix.baseline("base", c.partition) is None)
            beside += [Cell(0, key, "missing", "", "base") for key in lacking]
        return fill_cost((*cells, *self.matrix.distinct_baselines()), [*missing, *beside])


def look(name: str, ask: Ask, access: Access, catalog: Catalog, settings: Settings, now: datetime) -> Known:
    """Raises HTTPException 404 for what there is not or may not be read, 422 for a partition that is not in the matrix;
    CatalogUnavailable."""
    found = runs_readable(name, access, catalog, settings)
    # Before the cells are read: what changes meanwhile gives another mark, and is looked at again.
    at_work, scores = fills(name, access.session), catalog.open_scores(name)
    mark = mark_of(at_work, scores, catalog.newest_cell(name))
    experiment = _experiment(found, catalog)
    rows = [found.rows[number] for number in sorted(found.rows)]
    partitions = known_partitions(experiment, rows, catalog, now) if experiment is not None else None
    if partitions is None:
        partitions = {key: "data" for key in catalog.scored_partitions(name)}
    shown = _shown(partitions, ask, len(rows) + len(BASELINES))
    drift = experiment.drift if experiment is not None else Drift()
    return Known(
        found,
        experiment,
        list(partitions),
        known_matrix(name, found.model, catalog, drift=drift, versions=rows, partitions=shown),
        at_work,
        scores,
        mark,
    )


def mark_of(at_work: Fills, scores: Sequence[OpenScore], newest_cell: int) -> str:
    """Another one says that a page shows what is no longer true."""
    runs = [(run.run_id, run.state) for run in (*at_work.active, *filter(None, [at_work.last]))]
    told = (runs, at_work.paused, at_work.missing, [(score.step_id, score.state) for score in scores], newest_cell)
    return sha256(repr(told).encode()).hexdigest()[:16]


def _experiment(found: Readable, catalog: Catalog) -> Experiment | None:
    """By the spec as it is; for whoever may not read that, by what the newest run was pinned to."""
    try:
        if found.compiled is not None:
            return Experiment.model_validate_json(found.compiled.resolved)
        newest = catalog.list_runs(found.name, limit=1)
        return Experiment.model_validate(newest[0].spec) if newest else None
    except ValidationError:
        return None  # compiled, or pinned, by an installation whose specs were others


def _shown(partitions: Mapping[str, Presence], ask: Ask, lines: int) -> dict[str, Presence]:
    keys = list(partitions)
    if not keys:
        return {}
    places = {"from": ask.first, "to": ask.last}
    for field, key in places.items():
        if key and key not in partitions:
            raise HTTPException(
                422, f"{field}: the matrix has no partition {key}; it goes from {keys[0]} to {keys[-1]}."
            )
    end = keys.index(ask.last) + 1 if ask.last else len(keys)
    most = max(12, MOST_SQUARES // lines)
    begin = keys.index(ask.first) if ask.first else max(0, end - _USUAL)
    if begin >= end:
        raise HTTPException(422, f"from {ask.first} is after to {ask.last}: change them over.")
    return {key: partitions[key] for key in keys[max(begin, end - most) : end]}


def usual_first(keys: Sequence[str]) -> str:
    """The first of the partitions that are shown where nobody says which."""
    return keys[max(0, len(keys) - _USUAL)]
