"""The catalog's connection: SQLite or PostgreSQL, short transactions, and errors that people can act on."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from skillsengine.storage.files import free_space
from skillsengine.storage.machine_faults import files_left
from skillsengine.storage.models import Table, clean

BUSY_SECONDS = 30.0
"""How long a writer waits for other writers."""
_LEAST_FREE = 64 * 1024
"""Bytes; SQLite's smallest own file beside the catalog takes 32 kB."""
_CONNECTIONS, _POOL_SECONDS = 10, 30
"""Of one process to PostgreSQL: it keeps one, opens more for threads that work at the same moment, and closes those again."""
_REFUSALS = frozenset(("42501", "25006"))
"""insufficient_privilege, read_only_sql_transaction"""

Row = TypeVar("Row", bound=Table)


class CatalogError(Exception):
    """The catalog cannot do what was asked; a retry does not help. The text says what there is and how to mend it."""


class CatalogUnavailable(Exception):
    """The catalog does not answer at the moment (locked, disk full, server away); a retry may help."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def _storable(value: Any) -> Any:
    """What PostgreSQL takes in JSON: a number that is none becomes null, and see `clean`."""
    if isinstance(value, dict):
        return {clean(key) if isinstance(key, str) else key: _storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        return clean(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _to_json(value: Any) -> str:
    return json.dumps(_storable(value), ensure_ascii=False, allow_nan=False)


def shown(url: URL) -> str:
    """An address for people: without its password, also one that stands in the query."""
    hidden = {name: "***" for name in url.query if "password" in name.lower()}
    # render_as_string quotes the stars of a query.
    return url.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


class Database:
    """An engine and the two kinds of transaction that the catalog uses.

    Connections to SQLite live as long as one transaction, so nothing is inherited through a fork and nothing stays open
    beside a backup.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utc_now) -> None:
        self.engine = engine
        # SQLite's transactions are so by themselves.
        self._snapshots = (
            engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            if engine.dialect.name == "postgresql"
            else engine
        )
        self.now = now
        """The clock; aware times. Hosts that share a catalog need clocks that agree to a few seconds."""
        self._pid = os.getpid()

    @property
    def address(self) -> str:
        """The URL without its password."""
        return shown(self.engine.url)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that changes nothing and sees one moment, however many queries it makes. Raises CatalogUnavailable."""
        with self._session(self._snapshots) as session:
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
        except (OperationalError, PoolTimeout) as error:
            raise unavailable(self.address, error) from error
        except (ProgrammingError, InternalError) as error:
            if refusal := refused(self.address, error):
                raise refusal from error
            raise

    def close(self) -> None:
        self.engine.dispose()


def unavailable(address: str, error: OperationalError | PoolTimeout) -> CatalogUnavailable:
    """The error for people: what the database said and what to look at."""
    cause = error.orig if isinstance(error, OperationalError) else error
    said = " ".join(str(cause).split()).rstrip(".") or type(cause).__name__  # drivers break lines
    if isinstance(error, PoolTimeout):
        said = f"all {_CONNECTIONS} connections of this process are in use for {_POOL_SECONDS} seconds"
        mend = "ask it for less at a time, then try again"
    elif "too many connections" in said or "too many clients" in said or "connection slots" in said:
        mend = (
            "raise its max_connections (each process of ours keeps one open, more while it needs them), then try again"
        )
    elif "locked" in said:
        mend = f"another process has held it for {BUSY_SECONDS:.0f} seconds; look for one that hangs, then try again"
    elif "unable to open" in said and (files := files_left()):
        mend = files
    elif (room := _no_room(address)) or "full" in said:
        mend = f"free some space on its disk{f' ({room})' if room else ''}, then try again"
    else:
        mend = "see that it can be reached and written (SKILLSENGINE_CATALOG names it), then try again"
    return CatalogUnavailable(f"the catalog {address} does not answer: {said}: {mend}.")


def _no_room(address: str) -> str | None:
    """How much is free on the disk of an SQLite file, where that is next to nothing: what SQLite says of it is often `disk I/O
    error` alone, as it cannot make the files beside."""
    if not address.startswith("sqlite"):
        return None
    folder = Path(str(make_url(address).database)).parent
    return free_space(folder) if folder.is_dir() and shutil.disk_usage(folder).free < _LEAST_FREE else None


def refused(address: str, error: DBAPIError) -> CatalogError | None:
    """The error for people where PostgreSQL does not allow the role, or anybody, what was asked; None of other errors."""
    said = str(error.orig).strip().partition("\n")[0]
    if getattr(error.orig, "sqlstate", None) not in _REFUSALS:
        return None
    return CatalogError(
        f"the catalog {address} refuses: {said}. Its role may not do that: SKILLSENGINE_CATALOG wants one that may write, "
        "SKILLSENGINE_CATALOG_READ is for pages alone; docs/postgres.md has the roles. A standby takes no writes at all."
    )


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


def connect(url: str, *, reads_only: bool = False) -> Engine:
    """An engine for the catalog at `url`; creates the parent folder of an SQLite file, unless it `reads_only`; connects to
    nothing yet.

    Raises CatalogError: no such kind of database, its driver is missing, the folder cannot be made.
    """
    parsed = _catalog_url(url)
    if parsed.get_backend_name() == "sqlite":
        folder = Path(str(parsed.database)).parent
        try:
            if not reads_only:
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
        if reads_only:
            event.listen(engine, "connect", _only_read_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return create_engine(
            parsed,
            json_serializer=_to_json,
            connect_args=_postgres_options(parsed),
            pool_size=1,
            max_overflow=_CONNECTIONS - 1,
            pool_timeout=_POOL_SECONDS,
            pool_pre_ping=True,
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise CatalogError(
            f"no driver for the catalog {shown(parsed)}: {error}. "
            "Install one beside skillsengine (`pip install psycopg[binary]`) and write postgresql+psycopg://..."
        ) from error


def _postgres_options(url: URL) -> dict[str, Any]:
    """What the driver is told beside what the address says itself, which wins."""
    options: dict[str, Any] = {
        # A host that vanished is noticed in a minute, where the system's own defaults take two hours.
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "application_name": "skillsengine",
        # A writer that hangs, or whose host is gone, holds its rows for so long and no longer.
        "options": f"-c lock_timeout={BUSY_SECONDS:.0f}s -c idle_in_transaction_session_timeout=60s",
    }
    if url.get_driver_name() == "psycopg":
        # Statements prepared on the server break behind a pooler, and when another process upgrades the tables.
        options["prepare_threshold"] = None
    return {name: value for name, value in options.items() if name not in url.query}


def _only_read_sqlite(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.execute("PRAGMA query_only = ON")


def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:
    # The driver must not begin or commit by itself, or DDL and savepoints would escape our transactions.
    dbapi_connection.isolation_level = None
    dbapi_connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails at once when another writer came between.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
