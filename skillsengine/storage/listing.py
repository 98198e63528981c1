"""What lies in a store, artifact by artifact: what `gc` decides by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
    """All artifacts of the store, by stage and digest; of each its manifest is read, and no more.

    Raises OSError, and StoreError where a bucket does not answer.
    """
    for stage, digest in store.artifacts():
        if (found := _listed(store, stage, digest)) is not None:
            yield found


def _listed(store: Store, stage: str, digest: str) -> Listed | None:
    made = store.made(stage, digest)
    if made is None:
        return None  # somebody has just removed it
    try:
        artifact = store.get(stage, digest)
    except StoreError as error:
        return Listed(stage, digest, store.size_of(stage, digest), made, damaged=str(error))
    if artifact is None:  # half deleted by hand: it does not count as an artifact, and takes room
        return Listed(stage, digest, store.size_of(stage, digest), made)
    manifest = artifact.manifest
    size = sum(entry.size for entry in manifest.files.values())
    trial = manifest.summary.get("trial") if stage == "select" else None
    return Listed(stage, digest, size, made, manifest.key, dict(manifest.inputs), trial)
