"""Artifacts and cells in the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skillsengine.storage.catalog import Catalog, CellRow
from tests.storage.support import Clock, at_once


def put(catalog: Catalog, **changes: Any) -> CellRow:
    values: dict[str, Any] = {
        "subject": "ab" * 32,
        "kind": "adapter",
        "experiment": "job-skills",
        "partition": "2026-06",
        "data_digest": "cd" * 32,
        "artifact_digest": "ef" * 32,
        "stage_version": 1,
        "metrics": {"f1": 0.61},
        "adapter_digest": "ab" * 32,
    }
    return catalog.put_cell(**(values | changes))


def test_an_artifact_is_known_once_at_its_newest_place(catalog: Catalog, clock: Clock) -> None:
    first = catalog.record_artifact("ab" * 32, "format", "2026-03", Path("/old"), 5_000_000_000)
    clock.forward(60)
    catalog.record_artifact("ab" * 32, "format", "2026-03", "/new", 5_000_000_000)
    row = catalog.artifact("ab" * 32)
    assert row is not None
    assert (row.path, row.bytes, row.key, row.created) == ("/new", 5_000_000_000, "2026-03", first.created)
    assert catalog.artifact("cd" * 32) is None


def test_a_cell_is_put_once(catalog: Catalog) -> None:
    first = put(catalog)
    again = put(catalog, metrics={"f1": 0.0})
    assert (again.id, again.metrics) == (first.id, {"f1": 0.61})
    assert len(catalog.cells()) == 1


def test_what_is_measured_later_is_laid_beside_the_scores(catalog: Catalog) -> None:
    row, other = put(catalog), put(catalog, partition="2026-07")
    catalog.add_to_cell(row.id, "drift", {"unknown": "why"})
    catalog.add_to_cell(row.id, "drift", {"ads": 24})
    metrics = {cell.id: cell.metrics for cell in catalog.cells()}
    assert metrics == {row.id: {"f1": 0.61, "drift": {"ads": 24}}, other.id: {"f1": 0.61}}
    assert put(catalog, metrics={"f1": 0.0}).metrics == metrics[row.id], "and stays when the score is told again"


def test_two_experiments_share_an_artifact_and_have_a_cell_each(catalog: Catalog) -> None:
    put(catalog, subject="base:12345678", kind="base", adapter_digest=None)
    put(catalog, subject="base:12345678", kind="base", adapter_digest=None, experiment="other")
    assert [cell.experiment for cell in catalog.cells()] == ["job-skills", "other"]
    assert [cell.kind for cell in catalog.cells(experiment="other")] == ["base"]


def test_many_processes_put_one_cell(catalog: Catalog) -> None:
    assert len(set(at_once(6, lambda index: put(catalog, metrics={"f1": index}).id))) == 1
    assert len(catalog.cells()) == 1


def test_cells_are_found_by_all_that_is_given(catalog: Catalog) -> None:
    for month in ("2026-05", "2026-06"):
        for adapter in ("aa" * 32, "bb" * 32):
            put(catalog, partition=month, adapter_digest=adapter, subject=adapter, artifact_digest=f"{month}{adapter}")
    assert len(catalog.cells("job-skills")) == 4
    assert len(catalog.cells("unknown")) == 0
    assert [cell.partition for cell in catalog.cells(adapter_digest="aa" * 32)] == ["2026-05", "2026-06"]
    (cell,) = catalog.cells("job-skills", "bb" * 32, "2026-06")
    assert (cell.subject, cell.stage_version) == ("bb" * 32, 1)


def test_a_mark_is_no_score_and_is_put_once(catalog: Catalog) -> None:
    put(catalog)
    for _ in range(2):
        put(catalog, partition="2026-05", artifact_digest="99" * 32, metrics={}, marked="all of it was trained on")
    put(catalog, experiment="other", partition="2026-05", artifact_digest="99" * 32, metrics={}, marked="so it was")
    assert [cell.partition for cell in catalog.cells("job-skills")] == ["2026-06"]
    assert catalog.marks("job-skills") == {("99" * 32, "2026-05"): "all of it was trained on"}
