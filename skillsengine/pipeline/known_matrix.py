"""The matrix as far as the catalog knows it, without a look at the data: for a page that must be fast, and for a report of a
version whose source is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skillsengine.pipeline.cells import trained_partitions
from skillsengine.pipeline.matrix import BASELINES, Cell, Matrix, Presence, State
from skillsengine.spec.schema import Drift
from skillsengine.storage.catalog import Catalog, CellRow, VersionRow


def known_matrix(
    experiment: str,
    model: str,
    catalog: Catalog,
    *,
    drift: Drift,
    versions: Sequence[VersionRow] | None = None,
) -> Matrix:
    """Versions (by default all ready ones of the model) against the partitions that any of them was scored on.

    Of each version and partition the newest cell counts, also where the partition's bytes have changed since: only
    `build_matrix` sees that, and holes of the history. Empty where there is no version.
    """
    rows = versions if versions is not None else [row for row in catalog.versions(model) if row.state == "ready"]
    known = catalog.cells(experiment)
    newest = {(cell.adapter_digest, cell.partition): cell for cell in known if cell.kind == "adapter"}
    keys = sorted({cell.partition for cell in known})
    partitions: Mapping[str, Presence] = {key: "data" for key in keys}
    cells: dict[tuple[int, str], Cell] = {}
    for row in rows:
        trained = set(trained_partitions(row))
        for key in keys:
            found = newest.get((row.adapter_digest, key))
            if found is not None:
                cells[row.number, key] = _scored(row.number, key, found, "adapter")
            else:
                state: State = "trained on" if key in trained else "missing"
                cells[row.number, key] = Cell(row.number, key, state, "")
    baselines = _baselines(known, rows)
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
