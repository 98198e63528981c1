"""The matrix as far as the catalog knows it, without a look at the data: for a page that must be fast, and for a report of a
version whose source is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skillsengine.pipeline.cells import trained_partitions
from skillsengine.pipeline.matrix import BASELINES, Cell, Matrix, Presence, State
from skillsengine.sources.keys import STATIC_KEY
from skillsengine.spec.schema import Drift
from skillsengine.storage.catalog import Catalog, CellRow, VersionRow


def known_matrix(
    experiment: str,
    model: str,
    catalog: Catalog,
    *,
    drift: Drift,
    versions: Sequence[VersionRow] | None = None,
    partitions: Mapping[str, Presence] | None = None,
) -> Matrix:
    """Versions (by default all ready ones of the model) against `partitions` (by default those that any of them was scored on).

    Of each version and partition the newest cell counts, also where the partition's bytes have changed since: only
    `build_matrix` sees that. Empty where there is no version.
    """
    rows = versions if versions is not None else [row for row in catalog.versions(model) if row.state == "ready"]
    known = catalog.cells(experiment)
    barred = catalog.barred(experiment)
    newest = {(cell.adapter_digest, cell.partition): cell for cell in known if cell.kind == "adapter"}
    if partitions is None:
        partitions = {key: "data" for key in sorted({cell.partition for cell in known})}
    keys = [key for key, presence in partitions.items() if presence == "data"]
    cells: dict[tuple[int, str], Cell] = {}
    for row in rows:
        # Of a source that is not dated, only `evaluate` knows which rows were trained on.
        trained = {key for key in trained_partitions(row) if key != STATIC_KEY}
        for key in keys:
            found = newest.get((row.adapter_digest, key))
            if found is not None:
                cells[row.number, key] = _scored(row.number, key, found, "adapter")
            else:
                never = key in trained or (row.adapter_digest, key) in barred
                state: State = "trained on" if never else "missing"
                cells[row.number, key] = Cell(row.number, key, state, "")
    baselines = {place: cell for place, cell in _baselines(known, rows).items() if place[2] in partitions}
    return Matrix(experiment, model, tuple(rows), partitions, cells, baselines, catalog.aliases(model), drift)


def _scored(number: int, key: str, found: CellRow, subject: str) -> Cell:
    state: State = "scored" if found.metrics.get("labelled_rows") else "unlabelled"
    return Cell(number, key, state, found.artifact_digest, subject, found.metrics)


def _baselines(known: Sequence[CellRow], rows: Sequence[VersionRow]) -> dict[tuple[str, int, str], Cell]:
    """A baseline's newest cell of each partition, under the newest version: the catalog does not tell whose base it is of."""
    if not rows:
        return {}
    newest = {(cell.kind, cell.partition): cell for cell in known if cell.kind in BASELINES}
    number = rows[-1].number
    return {(kind, number, key): _scored(number, key, found, kind) for (kind, key), found in newest.items()}
