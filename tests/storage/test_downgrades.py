"""A filled catalog goes forward, back and forward again: what an older layout can hold survives, the rest is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, DateTime, Engine, Float, Integer, MetaData, Table, text

from skillsengine.storage import migrate
from skillsengine.storage.catalog import Catalog, CatalogError
from skillsengine.storage.database import connect
from tests.storage.support import pin

Rows = Mapping[str, list[dict[str, Any]]]
LAYOUTS = list(migrate.layouts())


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A catalog of the oldest layout."""
    Catalog.open(url).close()
    engine = connect(url)
    migrate.downgrade(engine, LAYOUTS[0])
    yield engine
    engine.dispose()


def tables(engine: Engine) -> list[Table]:
    """As they are in the database, each after those that it refers to."""
    found = MetaData()
    found.reflect(engine)
    return [table for table in found.sorted_tables if table.name != migrate.VERSION_TABLE]


def fill(engine: Engine) -> None:
    """One row in every table, something in every column."""
    with engine.execution_options(writes=True).begin() as connection:
        for table in tables(engine):
            values = {
                column.name: value_of(column.type)
                for column in table.columns
                if not (column.name == "id" and column.primary_key)  # numbered by the database
            }
            connection.execute(table.insert().values(values))


def value_of(kind: Any) -> Any:
    if isinstance(kind, JSON):
        return {"nested": [1, None, "ü"]}
    if isinstance(kind, DateTime):
        return datetime(2026, 6, 1, 12, 30, 0, 123456, tzinfo=UTC)
    if isinstance(kind, Float):
        return 1.5
    return 1 if isinstance(kind, Integer) else "ünïcode 🦊"


def rows(engine: Engine) -> Rows:
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(table.select()).mappings()] for table in tables(engine)
        }


def only(rows: Rows, like: Rows) -> Rows:
    """Of `rows` the tables and columns that `like` has."""
    return {
        name: [{column: row[column] for column in example[0]} for row in rows[name]] for name, example in like.items()
    }


def test_what_was_there_survives_the_way_forward_and_back(engine: Engine, url: str) -> None:
    fill(engine)
    oldest = rows(engine)
    assert len(oldest) >= 9 and all(len(found) == 1 for found in oldest.values())
    migrate.upgrade(engine)
    assert only(rows(engine), oldest) == oldest
    # The tables and columns that came later, filled too.
    catalog = Catalog.open(url)
    catalog.remember_reading("s3://b/k", "sha256", "etag", "ab" * 32)
    catalog.set_verdict("ünïcode 🦊", 1, {"verdict": "promote"})
    catalog.put_cell(
        subject="a", kind="adapter", experiment="e", partition="2026-06", data_digest="d", artifact_digest="x",
        stage_version=1, metrics={}, adapter_digest="a", marked="all were trained on",
    )  # fmt: skip
    assert pin(catalog, "later").id == 2, "the database goes on counting"
    catalog.close()
    head = rows(engine)
    assert migrate.losses(engine, LAYOUTS[0]) == [
        "what the gate said of 1 version, as the pages show it",
        "the mark of a cell that has nothing to be scored on, which is looked at once more",
        "what reading 1 file has shown, which is read once more",
    ]
    assert rows(engine) == head, "to tell changes nothing"
    for revision in reversed(LAYOUTS[:-1]):
        migrate.downgrade(engine, revision)
        assert migrate.layout(engine) == revision
        assert migrate.losses(engine, revision) == []
    back = rows(engine)
    assert back.keys() == oldest.keys()
    assert {name: len(found) for name, found in back.items()} == {name: 1 for name in oldest} | {"runs": 2}
    assert {**back, "runs": back["runs"][:1]} == oldest
    migrate.upgrade(engine)
    assert only(rows(engine), oldest) == back
    catalog = Catalog.open(url)
    assert [run.run_id for run in catalog.list_runs()] == ["later", "ünïcode 🦊"]
    assert (catalog.marks("e"), catalog.versions()[0].verdict) == ({}, None)
    catalog.close()


@pytest.mark.parametrize("revision", LAYOUTS[:-1])
def test_each_layout_is_left_as_it_was_found(engine: Engine, revision: str) -> None:
    """Its own tables, filled when it was the newest, are the same after a visit of the newest one."""
    migrate.upgrade(engine)
    migrate.downgrade(engine, revision)
    fill(engine)
    before = rows(engine)
    migrate.upgrade(engine)
    migrate.downgrade(engine, revision)
    assert rows(engine) == before


def test_ways_that_do_not_exist(engine: Engine) -> None:
    with pytest.raises(CatalogError, match=r"there is no layout '0999'\. There are: 0001, 0002, 0003, "):
        migrate.downgrade(engine, "0999")
    with pytest.raises(
        CatalogError, match="has the layout 0001, which is older than 0003: any other command takes it to"
    ):
        migrate.losses(engine, "0003")
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE catalog_version SET version_num = '0999'"))
    with pytest.raises(CatalogError, match="a newer skillsengine has upgraded it"):
        migrate.downgrade(engine, "0001")


def test_a_catalog_that_is_not_there(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'catalog.db'}")
    with pytest.raises(CatalogError, match="has no tables yet"):
        migrate.downgrade(engine, "0001")
