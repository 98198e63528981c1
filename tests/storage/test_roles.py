"""Roles of PostgreSQL as docs/postgres.md makes them: an owner, one for tasks, one that reads for the pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from skillsengine.storage import migrate
from skillsengine.storage.catalog import Catalog, CatalogError
from tests.postgres import Server
from tests.storage.support import pin

PAGE = Path(__file__).resolve().parents[2] / "docs" / "postgres.md"


@pytest.fixture
def catalogs(postgres: Server) -> Iterator[tuple[str, str]]:
    """(address of the role that owns the tables, address of the one that reads), made by the page's own SQL."""
    (statements,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    # The roles and the database belong to the whole server.
    for statement in filter(None, map(str.strip, statements.partition("\\connect")[0].split(";"))):
        postgres.sql(statement)
    rest = statements.partition("\\connect skillsengine\n")[2]
    for statement in filter(None, map(str.strip, rest.split(";"))):
        postgres.sql(statement, "skillsengine")
    yield postgres.url("skillsengine", "skillsengine"), postgres.url("skillsengine", "skillsengine_pages")
    postgres.sql("DROP DATABASE skillsengine WITH (FORCE)")
    for role in ("skillsengine", "skillsengine_pages"):
        postgres.sql(f"DROP ROLE {role}")


def test_the_role_of_the_pages_reads_and_writes_nothing(catalogs: tuple[str, str]) -> None:
    owner, reader = catalogs
    catalog = Catalog.open(owner)
    run = pin(catalog, "scheduled-1")
    pages = Catalog.open_to_read(reader)
    assert pages.run_by_id(run.id).run_id == "scheduled-1"
    assert [found.id for found in pages.list_runs()] == [run.id]
    assert pages.last_runs().keys() == {"job-skills"}
    with pytest.raises(CatalogError) as caught:
        pin(pages, "scheduled-2")
    assert f"the catalog {reader} refuses: permission denied for table runs. Its role may not do that" in str(
        caught.value
    )
    # Not by a mistake of ours either: what the server says to the role itself.
    engine = create_engine(reader)
    for statement in ("DELETE FROM runs", "UPDATE versions SET number = 1", "CREATE TABLE mine (id INTEGER)"):
        with engine.connect() as connection, pytest.raises(Exception, match="permission denied"):
            connection.execute(text(statement))
    engine.dispose()
    pages.close()
    catalog.close()


def test_a_reader_never_upgrades(catalogs: tuple[str, str]) -> None:
    owner, reader = catalogs
    with pytest.raises(CatalogError) as caught:
        Catalog.open_to_read(reader)
    assert f"the catalog {reader} has no tables yet, and these pages read the layout {migrate.HEAD}" in str(
        caught.value
    )
    assert "(SKILLSENGINE_CATALOG_READ). `skillsengine catalog status` says more" in str(caught.value)
    Catalog.open(owner).close()
    engine = create_engine(owner)
    with engine.begin() as connection:
        connection.execute(text("UPDATE catalog_version SET version_num = '0003'"))
    with pytest.raises(CatalogError, match="has the layout 0003, and these pages read the layout"):
        Catalog.open_to_read(reader)
    engine.dispose()


def test_an_sqlite_catalog_can_be_opened_to_read_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    with pytest.raises(CatalogError, match="has no tables yet"):
        Catalog.open_to_read(url)
    assert list(tmp_path.iterdir()) == []
    catalog = Catalog.open(url)
    pin(catalog, "scheduled-1")
    pages = Catalog.open_to_read(url)
    assert len(pages.list_runs()) == 1
    with pytest.raises(Exception, match="attempt to write a readonly database"):
        pin(pages, "scheduled-2")
