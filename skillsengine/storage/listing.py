"""What lies in a store, and how an artifact is taken out of it: all that `gc` asks of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skillsengine.storage.artifact import MANIFEST
from skillsengine.storage.files import discard, tree
from skillsengine.storage.store import Store, StoreError


@dataclass(frozen=True)
class Listed:
    """One artifact as a listing shows it."""

    stage: str
    digest: str
    bytes: int
    made: float
    """When it was published; epoch seconds."""
    key: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    """As in its manifest."""
    trial: str | None = None
    """Of a `select`: the trial that it has chosen."""
    damaged: str | None = None
    """Why its manifest cannot be read."""

    @property
    def name(self) -> str:
        """`format[2026-03] 1a2b3c4d5e6f`."""
        return f"{self.stage}{f'[{self.key}]' if self.key else ''} {self.digest[:12]}"


def listing(store: Store) -> Iterator[Listed]:
    """All artifacts of the store, by stage and digest; of each its manifest is read, and no more."""
    for stage in _folders(store.root / "artifacts"):
        for two in _folders(stage):
            for folder in _folders(two):
                if (found := _listed(store, folder)) is not None:
                    yield found


def _listed(store: Store, folder: Path) -> Listed | None:
    stage, digest = folder.parent.parent.name, folder.name
    try:
        artifact = store.get(stage, digest)
        made = (folder / MANIFEST if artifact else folder).stat().st_mtime
        if artifact is None:  # half deleted by hand: it does not count as an artifact, and takes room
            return Listed(stage, digest, _size(folder), made)
    except FileNotFoundError:
        return None  # somebody has just removed it
    except StoreError as error:
        return Listed(stage, digest, _size(folder), folder.stat().st_mtime, damaged=str(error))
    manifest = artifact.manifest
    size = sum(entry.size for entry in manifest.files.values())
    trial = manifest.summary.get("trial") if stage == "select" else None
    return Listed(stage, digest, size, made, manifest.key, dict(manifest.inputs), trial)


def take_out(store: Store, artifact: Listed) -> None:
    """Remove an artifact: by one rename it is gone, then its files are deleted; nothing happens if it was gone.

    Its lease has to be held. Raises OSError if the store cannot be written.
    """
    discard(store.path_of(artifact.stage, artifact.digest), store.root / "building" / ".trash")


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for _, path in tree(folder))


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
