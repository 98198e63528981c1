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
    return _opened(settings.catalog_url)


@lru_cache(maxsize=4)
def _opened(url: str) -> Catalog:
    """Opened once a process: its engine is made for many threads."""
    return Catalog.open(url)


Installed = Annotated[Settings, Depends(settings)]
Records = Annotated[Catalog, Depends(catalog)]
