"""A catalog on a real database.

Every test that takes `url` runs on SQLite. Where SKILLSENGINE_TEST_POSTGRES holds the address of a PostgreSQL server (a
database on which others may be created), it runs there too.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text

from skillsengine.storage.catalog import Catalog
from tests.sources.servers import moto_port, s3
from tests.storage.stores import in_bucket, kept, store
from tests.storage.support import Clock, pin

__all__ = ["in_bucket", "kept", "moto_port", "s3", "store"]

SERVER = os.environ.get("SKILLSENGINE_TEST_POSTGRES")


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    """No waiting for the disk itself: these tests kill processes, not the machine."""

    def relax(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


@pytest.fixture(params=["sqlite", *(["postgresql"] if SERVER else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a catalog that does not exist yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'home' / 'catalog.db'}"
        return
    name = f"test_{uuid.uuid4().hex}"
    server = create_engine(str(SERVER), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(str(SERVER)).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(url: str, clock: Clock) -> Iterator[Catalog]:
    opened = Catalog.open(url, now=clock)
    yield opened
    opened.close()


@pytest.fixture
def run_id(catalog: Catalog) -> int:
    return pin(catalog, "scheduled-1").id
