"""The installation that the pages show: its settings, catalog and store, as the API server's environment names them."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from fastapi import Depends

from skillsengine.settings import Settings, load_settings
from skillsengine.storage.catalog import Catalog


def settings() -> Settings:
    """A dependency. Raises SettingsError where the environment names no project."""
    return load_settings()


def catalog(settings: Annotated[Settings, Depends(settings)]) -> Catalog:
    """A dependency. Raises CatalogError and CatalogUnavailable."""
    return _opened(settings.catalog_read_url or settings.catalog_url, settings.catalog_read_url is not None)


@lru_cache(maxsize=4)
def _opened(url: str, reads_only: bool) -> Catalog:
    """Opened once a process: its engine is made for many threads."""
    return Catalog.open_to_read(url) if reads_only else Catalog.open(url)


Installed = Annotated[Settings, Depends(settings)]
Records = Annotated[Catalog, Depends(catalog)]
