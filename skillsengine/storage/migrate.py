"""Bring a catalog to the newest layout when it is opened, which costs one query where there is nothing to do; and, where
somebody asks for it, back to an older one."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, column, inspect, select, table, text
from sqlalchemy.exc import DatabaseError, OperationalError

from skillsengine.storage.database import CatalogError, refused, shown, unavailable

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

HEAD = "0004"
"""The newest revision in `migrations/versions`. Written here so that alembic is loaded only where there is work."""
VERSION_TABLE = "catalog_version"
_ADVISORY_KEY = 0x736B696C6C73  # "skills": one lock of our own among a PostgreSQL server's
_alembic_lock = threading.Lock()  # alembic keeps its context in module globals


def upgrade(engine: Engine) -> None:
    """Create or upgrade the catalog's tables; any number of processes may call it at once.

    Raises CatalogError: a newer skillsengine has upgraded it already, or the database belongs to another program;
    CatalogUnavailable: it does not answer.
    """
    if layout(engine) == HEAD:
        return
    with _errors(engine), _one_at_a_time(engine):
        current = _revision(engine)
        if current != HEAD:
            _run(engine, current)


def layout(engine: Engine) -> str | None:
    """The revision of the catalog's tables, None where there are none yet. Changes nothing; raises as `upgrade` does."""
    with _errors(engine):
        return None if _is_new_file(engine) else _revision(engine)


@contextmanager
def _errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        address = shown(engine.url)
        if "not a database" in str(error.orig):
            raise CatalogError(
                f"{address}: this file is no SQLite database. Move it away, or let SKILLSENGINE_CATALOG name another."
            ) from error
        if isinstance(error, OperationalError):
            raise unavailable(address, error) from error
        if refusal := refused(address, error):
            raise refusal from error
        raise


def _is_new_file(engine: Engine) -> bool:
    # Looking into a file that another process is just creating can find it locked; the lock below is the place to wait.
    return engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists()


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))


@contextmanager
def _one_at_a_time(engine: Engine) -> Iterator[None]:
    """A lock that other processes respect and that dies with this one."""
    if engine.dialect.name == "sqlite":
        path = Path(f"{engine.url.database}.lock")
        try:
            file = path.open("a")
        except OSError as error:
            raise CatalogError(
                f"{path} cannot be written: {error.strerror}. Mend the permissions of its folder, "
                "or let SKILLSENGINE_CATALOG name another place."
            ) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with engine.begin() as connection:
        # Of the transaction, so that it holds behind a pooler too; it waits and stays however long an upgrade takes.
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
        yield


def layouts() -> dict[str, str]:
    """Every layout that this version knows, oldest first -> what was new in it."""
    scripts = reversed([*_scripts(_config()).walk_revisions()])
    return {script.revision: str(script.doc).partition("\n")[0] for script in scripts}


def losses(engine: Engine, revision: str) -> list[str]:
    """What `downgrade` could not keep, in words. Changes nothing; raises as it does."""
    with _errors(engine):
        current = _may_go_back(engine, revision)
        with engine.connect() as connection:
            between = _scripts(_config()).iterate_revisions(current, revision)
            return [line for script in between for line in script.module.lost(connection)]


def downgrade(engine: Engine, revision: str) -> None:
    """Take a catalog to an older layout, with all that this one can hold. The next `upgrade` takes it forward again.

    Raises CatalogError: no such layout, it is a newer one, a newer skillsengine has upgraded the catalog, there is none;
    CatalogUnavailable: it does not answer.
    """
    from alembic import command

    with _errors(engine), _one_at_a_time(engine):
        _may_go_back(engine, revision)
        config = _config()
        with _alembic_lock, engine.execution_options(writes=True).begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, revision)


def _may_go_back(engine: Engine, revision: str) -> str:
    """The present layout. Raises CatalogError where there is no way back to `revision`."""
    known, current, address = list(layouts()), layout(engine), shown(engine.url)
    if current is None:
        raise CatalogError(f"the catalog {address} has no tables yet: every version of skillsengine makes its own.")
    _check_known(engine, current, known)
    if revision not in known:
        raise CatalogError(
            f"there is no layout {revision!r}. There are: {', '.join(known)} (`skillsengine catalog status`)."
        )
    if revision > current:
        raise CatalogError(
            f"the catalog {address} has the layout {current}, which is older than {revision}: any other command takes it "
            f"to {HEAD}."
        )
    return current


def _check_known(engine: Engine, current: str, known: Collection[str]) -> None:
    if current not in known:
        raise CatalogError(
            f"the catalog {shown(engine.url)} has the layout {current}, and this skillsengine knows layouts up to {HEAD}: a "
            "newer skillsengine has upgraded it. Upgrade skillsengine here too, or let SKILLSENGINE_CATALOG name another "
            "catalog."
        )


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _scripts(config: Config) -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(config)


def _run(engine: Engine, current: str | None) -> None:
    from alembic import command

    config = _config()
    if current is not None:
        _check_known(engine, current, list(layouts()))
    if engine.dialect.name == "sqlite":
        # Readers and a writer side by side. It stays with the file, and cannot be set inside a transaction.
        with closing(engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA journal_mode = WAL")
    with _alembic_lock, engine.execution_options(writes=True).begin() as connection:
        if current is None:
            _refuse_foreign(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _refuse_foreign(connection: Connection) -> None:
    """A database with tables in it that is no catalog belongs to somebody else (to Airflow, most likely)."""
    found = sorted(inspect(connection).get_table_names())
    if found:
        named = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise CatalogError(
            f"the database {shown(connection.engine.url)} holds tables of another "
            f"program ({named}). The catalog wants a database of its own: let SKILLSENGINE_CATALOG name an empty one."
        )
