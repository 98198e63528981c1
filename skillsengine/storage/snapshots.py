"""A catalog as one file, and back: what a backup holds of it. The file is SQLite whatever the catalog is, so that a backup of
one kind of database can be restored into the other.
"""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import JSON, Connection, column, exists, func, insert, select, table, text, update
from sqlalchemy.exc import OperationalError

from skillsengine.storage.database import Database, connect, unavailable
from skillsengine.storage.migrate import upgrade
from skillsengine.storage.models import ArtifactRow, CellRow, LeaseRow, RunRow, StepRow, Table, VersionRow
from skillsengine.storage.runs import RUNNING

_ROWS = 1000
"""Rows that are held at once while one catalog is copied into another."""


class Snapshots:
    """The part of the catalog that is copied as a whole."""

    _db: Database

    def save_to(self, path: Path) -> None:
        """Write the catalog as it is at one moment into the new file `path`; others go on reading and writing meanwhile.

        Raises CatalogUnavailable, OSError.
        """
        engine = self._db.engine
        try:
            if engine.dialect.name == "sqlite":
                with closing(sqlite3.connect(path)) as target:
                    with closing(engine.raw_connection()) as source:
                        source.driver_connection.backup(target)  # type: ignore[union-attr]  # sqlite3's
                    target.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
                return
            copy = connect(f"sqlite:///{path}")
            upgrade(copy)
            with (
                engine.connect().execution_options(isolation_level="REPEATABLE READ") as source_rows,
                copy.execution_options(writes=True).begin() as target_rows,
            ):
                _copy(source_rows, target_rows)
            with closing(sqlite3.connect(path)) as target:
                target.execute("PRAGMA journal_mode = DELETE")
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
        except sqlite3.Error as error:
            # Of the file: SQLite itself copies, and what it says is no error of the system's.
            raise OSError(errno.ENOSPC if "full" in str(error) else errno.EIO, str(error), str(path)) from error
        except OperationalError as error:
            raise unavailable(self._db.address, error) from error

    def load_from(self, path: Path) -> None:
        """Fill this catalog, which `is_empty`, with what the file of `save_to` holds, in one transaction.

        The file is brought to the newest layout first. Raises CatalogError where a newer skillsengine has written it.
        """
        source = connect(f"sqlite:///{path}")
        upgrade(source)
        try:
            with source.connect() as rows, self._db.engine.execution_options(writes=True).begin() as target:
                _copy(rows, target)
                _count_on(target)
        except OperationalError as error:
            raise unavailable(self._db.address, error) from error
        finally:
            source.dispose()

    def is_empty(self) -> bool:
        """Whether nothing was ever run or registered."""
        with self._db.reading() as session:
            return not any(
                session.scalar(select(exists().select_from(row))) for row in (RunRow, VersionRow, ArtifactRow)
            )

    def named_artifacts(self) -> dict[tuple[str, str], bool]:
        """(stage, digest) of every artifact that the catalog names -> whether it has to be there: what a step has found may
        have gone since, as nobody needed it."""
        steps = select(StepRow.stage, StepRow.digest, StepRow.state).where(StepRow.state != RUNNING).distinct()
        with self._db.reading() as session:
            found = {
                ("diverged" if state == "failed" else stage, digest): False
                for stage, digest, state in session.execute(steps)
            }
            for cell in session.execute(select(CellRow.artifact_digest).where(CellRow.marked.is_(None))):
                found["evaluate", cell[0]] = True
            for row in session.execute(select(ArtifactRow.stage, ArtifactRow.digest)):
                found[row[0], row[1]] = True
        return found

    def settle(self, root: str, links: dict[tuple[str, int], str], why: str) -> None:
        """Make a copied catalog that of another store: artifacts lie below `root` now, versions at `links` ((model, number) ->
        path), leases are free, and runs that were going on have failed with the text `why`."""
        with self._db.writing() as session:
            now = self._db.now()
            for artifact in session.scalars(select(ArtifactRow)):
                artifact.path = f"{root}/artifacts/{artifact.stage}/{artifact.digest[:2]}/{artifact.digest}"
            for version in session.scalars(select(VersionRow)):
                version.path = links.get((version.model, version.number), version.path)
            session.execute(update(LeaseRow).values(owner=None, expires=now))
            for rows in (RunRow, StepRow):
                ended = {"state": "failed", "error": why, "finished": now}
                session.execute(update(rows).where(rows.state == RUNNING).values(**ended))


def _copy(source: Connection, target: Connection) -> None:
    """All rows of all tables. SQLAlchemy turns each value into what either database keeps."""
    for rows in Table.metadata.sorted_tables:
        # None is written as the database's own NULL, which is what it was.
        kept = table(
            rows.name,
            *(column(c.name, JSON(none_as_null=True) if type(c.type) is JSON else c.type) for c in rows.columns),
        )
        found = source.execution_options(yield_per=_ROWS).execute(select(kept))
        for several in found.partitions(_ROWS):
            target.execute(insert(kept), [dict(row) for row in (each._mapping for each in several)])


def _count_on(target: Connection) -> None:
    """Let PostgreSQL count on from the copied ids; SQLite does so by itself."""
    if target.dialect.name != "postgresql":
        return
    for rows in Table.metadata.sorted_tables:
        if "id" in rows.columns and (newest := target.scalar(select(func.max(rows.columns["id"])))):
            target.execute(
                text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :newest)"),
                {"name": rows.name, "newest": newest},
            )
