"""The catalog: the database that knows runs, artifacts, cells, versions, aliases and leases.

Its rooms are `runs`, `results`, `versions`, `aliases`, `readings`, `leases` and `overviews`; this class joins them. Rows come
back detached (`models`): read them, change them only through the catalog. All times are aware, in UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Self

from skillsengine.storage.aliases import AliasMoved
from skillsengine.storage.database import CatalogError, CatalogUnavailable, Database, connect, shown, utc_now
from skillsengine.storage.leases import Lease, LeaseHeld, LeaseLost, Leases
from skillsengine.storage.migrate import HEAD, layout, upgrade
from skillsengine.storage.models import AliasMoveRow, ArtifactRow, CellRow, RunRow, StepRow, VersionRow
from skillsengine.storage.overviews import Overviews
from skillsengine.storage.readings import Readings
from skillsengine.storage.results import Results
from skillsengine.storage.runs import Runs
from skillsengine.storage.versions import Versions

__all__ = [
    "AliasMoveRow",
    "AliasMoved",
    "ArtifactRow",
    "Catalog",
    "CatalogError",
    "CatalogUnavailable",
    "CellRow",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "RunRow",
    "StepRow",
    "VersionRow",
]


class Catalog(Runs, Results, Versions, Readings, Leases, Overviews):
    """Every method is one short transaction and may be repeated; any of them may raise CatalogUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @classmethod
    def open_to_read(cls, url: str) -> Self:
        """Open a catalog that is there, for a role that may only read it: it is neither made nor upgraded.

        Raises CatalogError: also where its layout is not this version's; CatalogUnavailable: no answer.
        """
        engine = connect(url, reads_only=True)
        found = layout(engine)
        if found != HEAD:
            engine.dispose()
            raise CatalogError(
                f"the catalog {shown(engine.url)} {f'has the layout {found}' if found else 'has no tables yet'}, and these "
                f"pages read the layout {HEAD} with a role that may not change it (SKILLSENGINE_CATALOG_READ). "
                "`skillsengine catalog status` says more; any run, or command, of this version with SKILLSENGINE_CATALOG "
                "brings it up to date."
            )
        return cls(Database(engine))

    @classmethod
    def open(cls, url: str, *, now: Callable[[], datetime] = utc_now) -> Self:
        """Open the catalog at an SQLAlchemy address; create it and its folder, or upgrade it, where needed.

        Costs one query if it is up to date. `now` is the clock (tests). Raises CatalogError: a bad address, a missing
        driver, a catalog newer than this code, another program's database; CatalogUnavailable: no answer.
        """
        engine = connect(url)
        upgrade(engine)
        return cls(Database(engine, now))

    @property
    def address(self) -> str:
        """Where it is, without the password."""
        return self._db.address

    def impatient(self) -> Catalog:
        """This catalog, without the patience that `patient.PatientCatalog` has."""
        return self

    def close(self) -> None:
        """Let go of open connections; the catalog can be used again afterwards."""
        self._db.close()
