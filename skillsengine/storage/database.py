"""The catalog's connection: SQLite or PostgreSQL, short transactions, and errors that people can act on."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from skillsengine.storage.models import Table

BUSY_SECONDS = 30.0
"""How long a writer waits for other writers of an SQLite catalog."""

Row = TypeVar("Row", bound=Table)


class CatalogError(Exception):
    """The catalog cannot do what was asked; a retry does not help. The text says what there is and how to mend it."""


class CatalogUnavailable(Exception):
    """The catalog does not answer at the moment (locked, disk full, server away); a retry may help."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def _finite(value: Any) -> Any:
    """JSON knows no NaN and PostgreSQL refuses it: a number that is none becomes null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _to_json(value: Any) -> str:
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


class Database:
    """An engine and the two kinds of transaction that the catalog uses.

    Connections to SQLite live as long as one transaction, so nothing is inherited through a fork and nothing stays open
    beside a backup.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utc_now) -> None:
        self.engine = engine
        self.now = now
        """The clock; aware times. Hosts that share a catalog need clocks that agree to a few seconds."""
        self._pid = os.getpid()

    @property
    def address(self) -> str:
        """The URL without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that changes nothing. Raises CatalogUnavailable."""
        with self._session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction, committed at the end unless something was raised. Raises CatalogUnavailable.

        On SQLite it takes the write lock at its start: what it has read cannot change before it writes.
        """
        with self._session(self.engine.execution_options(writes=True)) as session:
            yield session

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        if os.getpid() != self._pid:
            # A forked child must not talk through its parent's connections.
            self.engine.dispose(close=False)
            self._pid = os.getpid()
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            raise unavailable(self.address, error) from error

    def close(self) -> None:
        self.engine.dispose()


def unavailable(address: str, error: OperationalError) -> CatalogUnavailable:
    """The error for people: what the database said and what to look at."""
    said = str(error.orig).strip() or type(error.orig).__name__
    if "locked" in said:
        mend = f"another process has held it for {BUSY_SECONDS:.0f} seconds; look for one that hangs, then try again"
    elif "full" in said:
        mend = "free some space on its disk, then try again"
    else:
        mend = "see that it can be reached and written (SKILLSENGINE_CATALOG names it), then try again"
    return CatalogUnavailable(f"the catalog {address} does not answer: {said}: {mend}.")


def insert_or_find(session: Session, find: Select[Row], row: Row) -> Row:
    """The row that `find` finds, or else `row`, now added; another process may insert at the same moment."""
    found = session.scalars(find).one_or_none()
    if found is not None:
        return found
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        # Only where writers run side by side (PostgreSQL): the other one was first, and has committed by now.
        return session.scalars(find).one()
    return row


def _catalog_url(url: str) -> URL:
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        # Not what the parser says: of an address that it has cut in a wrong place it may quote the password.
        raise CatalogError(
            "SKILLSENGINE_CATALOG is not an address of a database. "
            "Write sqlite:////folder/catalog.db or postgresql+psycopg://user@host/name."
        ) from None
    if kind not in ("sqlite", "postgresql"):
        raise CatalogError(f"the catalog lives in SQLite or PostgreSQL, not in {kind} (SKILLSENGINE_CATALOG).")
    if kind == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise CatalogError(
            "SKILLSENGINE_CATALOG names an SQLite database in memory, which no other process sees. "
            "Name a file: sqlite:////folder/catalog.db."
        )
    return parsed


def connect(url: str) -> Engine:
    """An engine for the catalog at `url`; creates the parent folder of an SQLite file, connects to nothing yet.

    Raises CatalogError: no such kind of database, its driver is missing, the folder cannot be made.
    """
    parsed = _catalog_url(url)
    if parsed.get_backend_name() == "sqlite":
        folder = Path(str(parsed.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogError(
                f"the catalog's folder {folder} cannot be made: {error.strerror}. "
                "Mend its permissions, or set SKILLSENGINE_HOME or SKILLSENGINE_CATALOG to another place."
            ) from error
        engine = create_engine(
            parsed, json_serializer=_to_json, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS}
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return create_engine(parsed, json_serializer=_to_json, pool_size=2, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise CatalogError(
            f"no driver for the catalog {parsed.render_as_string(hide_password=True)}: {error}. "
            "Install one beside skillsengine (`pip install psycopg[binary]`) and write postgresql+psycopg://..."
        ) from error


def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:
    # The driver must not begin or commit by itself, or DDL and savepoints would escape our transactions.
    dbapi_connection.isolation_level = None
    dbapi_connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails at once when another writer came between.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
