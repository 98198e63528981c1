"""A version as people name it: `MODEL@REF`, or the folder that `register` wrote. Nothing heavy is imported here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillsengine.settings import Settings
from skillsengine.stages.contract import StageError
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import ArtifactLost

VERSION_FILE = "version.json"


@dataclass(frozen=True)
class Named:
    """A registered version, and what the data that it was trained on called its columns."""

    model: str
    number: int
    folder: Path
    text_field: str = "job_description"
    id_field: str = "id"

    @property
    def name(self) -> str:
        """`job-skills@7`."""
        return f"{self.model}@{self.number}"


def find(reference: str, settings: Settings) -> Named:
    """The version that `reference` names: `job-skills@7`, `job-skills@champion`, `job-skills` (its champion), or a folder.

    A folder needs no catalog, and does not tell the columns' names. Raises CatalogError that lists what there is, StageError
    for a folder that is no version and for one that the store has lost, StoreError where the store does not answer.
    """
    folder = Path(reference)
    if "/" in reference or (folder / VERSION_FILE).is_file():
        told = read_version(folder)
        return Named(str(told.get("model", folder.name)), int(told.get("number", 0)), folder)
    model, _, ref = reference.partition("@")
    row = Catalog.open(settings.catalog_url).resolve(model, ref or "champion")
    if row.path is None:
        raise StageError(f"{row.name} is not published yet: its run is still registering it, or died doing so.")
    try:
        folder = open_store(settings).version_folder(row.path, row.artifact_digest)
    except ArtifactLost as error:
        raise StageError(f"{row.name}: {error}") from error
    data = row.spec["data"]
    return Named(row.model, row.number, folder, data["text"], data["id"])


def read_version(folder: Path) -> dict[str, Any]:
    """What `register` wrote about a version. Raises StageError."""
    path = folder / VERSION_FILE
    try:
        version: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StageError(
            f"{folder} is no registered version: it holds no {VERSION_FILE}. `skillsengine versions` lists the folders of "
            "those there are."
        ) from error
    except (OSError, ValueError) as error:
        raise StageError(f"{path} cannot be read ({error}). Register the adapter again.") from error
    lacking = [key for key in ("base", "prompt", "cleaning", "max_new_tokens") if key not in version]
    if lacking:
        raise StageError(
            f"{path} lacks {', '.join(lacking)}: it was not written by `register`. Register the adapter again."
        )
    return version
