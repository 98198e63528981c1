"""A catalog on a real database: every test that takes `url` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from skillsengine.storage.catalog import Catalog
from tests.storage.support import Clock, pin


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    """No waiting for the disk itself: these tests kill processes, not the machine."""

    def relax(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


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
