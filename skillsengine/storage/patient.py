"""A catalog for work that is under way: it waits for a database that does not answer for a while."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any

from skillsengine.storage.catalog import Catalog, CatalogUnavailable
from skillsengine.storage.database import Database

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 5.0


class PatientCatalog(Catalog):
    """Every call is tried again for `seconds`, then raises CatalogUnavailable: each is one transaction and may be repeated.

    A restart of the database costs a training its pause, not its life.
    """

    def __init__(self, database: Database, seconds: float) -> None:
        super().__init__(database)
        self._seconds = seconds

    @classmethod
    def of(cls, catalog: Catalog, seconds: float) -> PatientCatalog:
        """The same catalog, waited for."""
        return cls(catalog._db, seconds)

    def impatient(self) -> Catalog:
        return Catalog(self._db)


def _waiting(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: PatientCatalog, *args: Any, **named: Any) -> Any:
        until, pause, told = time.monotonic() + self._seconds, 0.25, False
        while True:
            try:
                answer = method(self, *args, **named)
            except CatalogUnavailable as error:
                left = until - time.monotonic()
                if left <= 0:
                    raise
                if not told:
                    log.warning("%s Trying for %.0f seconds more (SKILLSENGINE_CATALOG_WAIT).", error, left)
                    told = True
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if told:
                    log.info("the catalog answers again")
                return answer

    return call


for _name, _method in inspect.getmembers(Catalog, inspect.isfunction):
    if not _name.startswith("_") and _name not in ("close", "impatient"):
        setattr(PatientCatalog, _name, _waiting(_method))
