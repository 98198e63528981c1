"""Opening a catalog: it is made, upgraded, refused or left alone."""

from __future__ import annotations

import ast
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import alembic.command
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, text

from skillsengine.storage import migrate
from skillsengine.storage.catalog import Catalog, CatalogError, CatalogUnavailable
from skillsengine.storage.database import connect
from skillsengine.storage.models import Table
from tests.storage.support import Hanging, at_once, pin

SCRIPTS = sorted((Path(migrate.__file__).parent / "migrations" / "versions").glob("v*.py"))


def test_migrations_lead_to_the_tables_of_the_models(url: str) -> None:
    Catalog.open(url).close()
    engine = connect(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": migrate.VERSION_TABLE})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_head_is_the_newest_script() -> None:
    newest = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(SCRIPTS[-1].read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert newest["revision"] == migrate.HEAD
    assert re.fullmatch(rf"v{migrate.HEAD}_\w+\.py", SCRIPTS[-1].name)


def test_cells_of_before_are_scores_after_the_upgrade(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog of revision 0002 with a cell in it, as it was made then."""
    with monkeypatch.context() as then:
        then.setattr("alembic.command.upgrade", partial(_up_to, alembic.command.upgrade, "0002"))
        Catalog.open(url).close()
    engine = connect(url)
    values = {
        name: f"'{name}'" for name in ("subject", "kind", "experiment", "partition", "data_digest", "artifact_digest")
    }
    values |= {"stage_version": "3", "metrics": "'{}'", "created": "'2026-06-01 00:00:00'"}
    with engine.execution_options(writes=True).begin() as connection:
        assert migrate.layout(engine) == "0002"
        connection.execute(text(f"INSERT INTO cells ({', '.join(values)}) VALUES ({', '.join(values.values())})"))
    engine.dispose()
    catalog = Catalog.open(url)
    [cell] = catalog.cells("experiment")
    assert (cell.partition, cell.stage_version, cell.marked) == ("partition", 3, None)
    assert catalog.marks("experiment") == {}


def _up_to(upgrade: Any, revision: str, config: Any, _head: str) -> None:
    upgrade(config, revision)


def test_many_processes_open_a_new_catalog_at_once(url: str) -> None:
    def work(index: int) -> str:
        catalog = Catalog.open(url)
        return str(pin(catalog, f"run-{index}").run_id)

    assert at_once(8, work) == [f"run-{index}" for index in range(8)]
    assert len(Catalog.open(url).list_runs()) == 8


def test_many_processes_write_at_once(url: str) -> None:
    catalog = Catalog.open(url)
    run = pin(catalog, "scheduled-1").id

    def work(index: int) -> None:
        catalog.start_step(run, f"step{index}", "format", None, "ab" * 32)
        for number in range(30):
            catalog.update_step(run, f"step{index}", {"number": number})
            catalog.steps_of(run)

    at_once(6, work)
    assert [step.progress for step in catalog.steps_of(run)] == [{"number": 29}] * 6
    catalog.close()


def test_a_killed_upgrade_leaves_nothing(url: str) -> None:
    def work(say: Callable[[Any], None]) -> None:
        made = Operations.create_table

        def create_table(self: Operations, name: str, *columns: Any, **more: Any) -> Any:
            return say(name) if name == "versions" else made(self, name, *columns, **more)

        Operations.create_table = create_table  # type: ignore[method-assign,assignment]
        Catalog.open(url)

    attempt = Hanging(work)
    attempt.kill()
    catalog = Catalog.open(url)
    assert pin(catalog, "scheduled-1").state == "running"
    catalog.close()


def test_a_catalog_newer_than_the_code_is_refused(url: str) -> None:
    Catalog.open(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE catalog_version SET version_num = '0999'"))
    engine.dispose()
    with pytest.raises(CatalogError) as caught:
        Catalog.open(url)
    assert f"has the layout 0999, and this skillsengine knows layouts up to {migrate.HEAD}" in str(caught.value)
    assert "a newer skillsengine has upgraded it. Upgrade skillsengine here too, or let SKILLSENGINE_CATALOG" in str(
        caught.value
    )


def test_another_programs_database_is_left_alone(url: str) -> None:
    connect(url).dispose()  # makes the folder
    engine = create_engine(url)
    with engine.begin() as connection:
        for name in ("alembic_version", "dag", "dag_run", "job"):
            connection.execute(text(f"CREATE TABLE {name} (id INTEGER)"))
    with pytest.raises(CatalogError) as caught:
        Catalog.open(url)
    assert "holds tables of another program (alembic_version, dag, dag_run, ...)" in str(caught.value)
    assert "The catalog wants a database of its own: let SKILLSENGINE_CATALOG name an empty one." in str(caught.value)
    with engine.connect() as connection:
        assert not engine.dialect.has_table(connection, "runs")
    engine.dispose()


def test_opening_an_upgraded_catalog_is_cheap(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    Catalog.open(url)
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        Catalog.open(url).list_runs()
        best = min(best, time.process_time() - start)
    assert best < 0.05
    code = f"import sys; from skillsengine.storage.catalog import Catalog; Catalog.open({url!r}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "sqlalchemy" in loaded
    assert not {"alembic", "torch", "pandas", "airflow", "pydantic"} & set(loaded)


def test_an_sqlite_catalog_is_in_wal_mode_with_foreign_keys(tmp_path: Path) -> None:
    catalog = Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")
    with catalog._db.reading() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
        assert session.scalar(text("PRAGMA busy_timeout")) == 30_000


def test_a_folder_with_odd_letters(tmp_path: Path) -> None:
    catalog = Catalog.open(f"sqlite:///{tmp_path / '100% naïve folder' / 'catalog.db'}")
    assert catalog.list_runs() == []
    assert (tmp_path / "100% naïve folder" / "catalog.db").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("catalog.db", "SKILLSENGINE_CATALOG is not an address of a database. Write sqlite:////folder/catalog.db or"),
        ("mysql://host/x", "the catalog lives in SQLite or PostgreSQL, not in mysql (SKILLSENGINE_CATALOG)"),
        ("sqlite://", "names an SQLite database in memory, which no other process sees. Name a file"),
        ("sqlite:///:memory:", "in memory"),
        ("postgresql+nodriver://me:secret@host/x", "no driver for the catalog postgresql+nodriver://me:***@host/x"),
        (
            "sqlite:////proc/none/catalog.db",
            "the catalog's folder /proc/none cannot be made: No such file or directory",
        ),
    ],
)
def test_addresses_that_cannot_be_opened(url: str, said: str) -> None:
    with pytest.raises(CatalogError) as caught:
        Catalog.open(url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_text("job ads\n" * 1000)
    with pytest.raises(CatalogError, match=r"this file is no SQLite database. Move it away"):
        Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")


def test_a_catalog_that_somebody_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skillsengine.storage.database.BUSY_SECONDS", 0.1)
    catalog = Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")
    holder = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert catalog.list_runs() == []  # readers do not wait for writers
    with pytest.raises(CatalogUnavailable) as caught:
        pin(catalog, "scheduled-1")
    assert f"the catalog sqlite:///{tmp_path}/catalog.db does not answer: database is locked" in str(caught.value)
    assert "look for one that hangs, then try again" in str(caught.value)
    holder.execute("ROLLBACK")
    assert pin(catalog, "scheduled-1").state == "running"
    holder.close()


def test_times_must_be_aware(tmp_path: Path) -> None:
    catalog = Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}", now=lambda: datetime(2026, 1, 1))
    with pytest.raises(Exception, match="the catalog takes aware times only"):
        pin(catalog, "scheduled-1")
