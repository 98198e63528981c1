"""A catalog as one file, and back; on PostgreSQL too where there is one (see conftest)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from skillsengine.storage.catalog import Catalog
from skillsengine.storage.models import Table
from skillsengine.storage.owners import this_owner
from tests.storage.support import pin

A, B, C = "a" * 64, "b" * 64, "c" * 64


def filled(catalog: Catalog) -> Catalog:
    """A row in each table, and None where None may stand."""
    run = pin(catalog, "r").id
    catalog.start_step(run, "format[2026-03]", "format", "2026-03", A)
    catalog.finish_step(run, "format[2026-03]", "done", 1.5, {"rows": 8})
    catalog.start_step(run, "finetune", "finetune", None, B)
    catalog.record_artifact(A, "format", "2026-03", f"/old/store/artifacts/format/aa/{A}", 10)
    catalog.record_artifact(C, "register", None, f"/old/store/artifacts/register/cc/{C}", 20)
    spec: dict[str, Any] = {"name": "x", "a": None}
    row = catalog.allocate_version("m", B, experiment="x", partition="2026-03", run_id=run, spec=spec)
    catalog.publish_version("m", row.number, C, "/old/store/versions/m/1", {"adapter": {"f1": 0.5}}, {"profile": A})
    catalog.set_alias("m", "champion", 1, "better")
    scored: dict[str, Any] = {"subject": B, "kind": "adapter", "experiment": "x", "partition": "2026-03"}
    catalog.put_cell(**scored, data_digest=A, artifact_digest=C, stage_version=1, metrics={"f1": 0.5}, adapter_digest=B)
    catalog.acquire(B, this_owner(), 600)
    catalog.remember_reading("file:///x", "sha256", "s", A)
    return catalog


def rows_of(catalog: Catalog) -> dict[str, list[tuple[Any, ...]]]:
    with catalog._db.reading() as session:
        return {
            rows.name: sorted((tuple(row) for row in session.execute(select(rows))), key=str)
            for rows in Table.metadata.sorted_tables
        }


def test_every_row_comes_back(catalog: Catalog, tmp_path: Path) -> None:
    before = rows_of(filled(catalog))
    assert all(before.values()), "a table without a row would prove nothing"
    path = tmp_path / "copy.db"
    catalog.save_to(path)
    assert [found.name for found in tmp_path.glob("copy*")] == ["copy.db"], "one file, with nothing beside it"
    other = Catalog.open(f"sqlite:///{tmp_path / 'other' / 'catalog.db'}")
    assert other.is_empty() and not catalog.is_empty()
    other.load_from(path)
    assert rows_of(other) == before and not other.is_empty()
    run = pin(other, "next").id
    assert run > before["runs"][0][0], "ids go on behind those that were copied"
    assert other.allocate_version("m", C, experiment="x", partition=None, run_id=run, spec={}).number == 2


def test_a_file_fills_either_kind_of_database(url: str, tmp_path: Path) -> None:
    source = filled(Catalog.open(f"sqlite:///{tmp_path / 'source.db'}"))
    source.save_to(tmp_path / "copy.db")
    target = Catalog.open(url)
    target.load_from(tmp_path / "copy.db")
    assert rows_of(target) == rows_of(source)
    assert pin(target, "next").id > rows_of(source)["runs"][0][0]
    target.close()


def test_a_copy_is_settled_in_another_store(catalog: Catalog, tmp_path: Path) -> None:
    filled(catalog).save_to(tmp_path / "copy.db")
    copy = Catalog.open(f"sqlite:///{tmp_path / 'copy.db'}")
    copy.settle("/new/store", {("m", 1): "/new/store/versions/m/1"}, "cut off")
    artifact = copy.artifact(A)
    assert artifact is not None and artifact.path == f"/new/store/artifacts/format/aa/{A}"
    assert copy.resolve("m", "champion").path == "/new/store/versions/m/1"
    (run,) = copy.list_runs()
    assert (run.state, run.error) == ("failed", "cut off")
    assert {step.step_id: step.state for step in copy.steps_of(run.id)} == {
        "format[2026-03]": "done",
        "finetune": "failed",
    }
    copy.acquire(B, this_owner(), 60)  # nobody holds it here
    assert catalog.resolve("m", "champion").path == "/old/store/versions/m/1", "the original stays as it is"


def test_what_it_names(catalog: Catalog) -> None:
    run = filled(catalog)
    assert run.named_artifacts() == {("format", A): True, ("register", C): True, ("evaluate", C): True}
    pinned = pin(run, "later").id
    catalog.start_step(pinned, "finetune[r=4]", "finetune", None, B)
    catalog.finish_step(pinned, "finetune[r=4]", "failed", 1.0, {}, error="diverged")
    assert run.named_artifacts()["diverged", B] is False


def test_a_copy_that_a_newer_version_has_written_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    filled(catalog).save_to(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE catalog_version SET version_num = '9999'")
    other = Catalog.open(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(Exception, match="has the layout 9999, and this skillsengine knows layouts up to"):
        other.load_from(path)
    assert other.is_empty()
