"""Bring a backup back into an empty installation. Every byte is compared with its sha256 on the way.

Artifacts come first and the catalog last, in one transaction: who is interrupted calls it again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from skillsengine.pipeline.backup import CATALOG, BackupError, Snapshot, path_in, require_folder
from skillsengine.settings import Settings
from skillsengine.storage.artifact import MANIFEST, Artifact, Manifest
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.files import sha256_of, write_durably
from skillsengine.storage.listing import listing
from skillsengine.storage.store import Store, StoreError

CUT_OFF = "it was going on when the backup was made; run it again: what was done by then is found"
"""Error of such a run in the restored catalog."""


@dataclass
class Restored:
    """What came back."""

    artifacts: int = 0
    bytes: int = 0
    versions: int = 0
    missing: list[str] = field(default_factory=list)
    """A line each; the first run that needs one makes it again."""


def restore(
    snapshot: Snapshot,
    folder: Path,
    settings: Settings,
    store: Store,
    told: Callable[[str], None] | None = None,
) -> Restored:
    """Restore one snapshot of the backup in `folder` into the home and the catalog of `settings`, which have to be empty.

    Raises BackupError where they are not, the store is in a bucket, or the snapshot's catalog is damaged.
    """
    require_folder(store)
    catalog = Catalog.open(settings.catalog_url)
    _require_empty(catalog, store, snapshot)
    _require_whole(snapshot)
    done = Restored(missing=[f"{line} (when the backup was made)" for line in snapshot.missing])
    for name, sha256 in sorted(snapshot.artifacts.items()):
        stage, digest = name.split("/")
        try:
            artifact = _bring(path_in(folder, stage, digest), sha256, store)
        except (OSError, BackupError, StoreError) as error:
            done.missing.append(f"{stage} {digest[:12]}: {error}")
            continue
        done.artifacts += 1
        done.bytes += sum(entry.size for entry in artifact.manifest.files.values())
        if told:
            told(f"{stage} {digest[:12]}")
    done.missing += _bring_labels(snapshot, folder, store)
    _bring_catalog(snapshot, catalog, store, done)
    return done


def _require_empty(catalog: Catalog, store: Store, snapshot: Snapshot) -> None:
    mend = "Restore into an empty one: let SKILLSENGINE_HOME (and SKILLSENGINE_CATALOG) name another place."
    if not catalog.is_empty():
        raise BackupError(
            f"the catalog {catalog.address} has runs or versions already, and they would be mixed. {mend}"
        )
    for artifact in listing(store):  # those of this backup are from a restore that was interrupted
        if f"{artifact.stage}/{artifact.digest}" not in snapshot.artifacts:
            raise BackupError(f"the store {store.root} has artifacts that this backup does not know. {mend}")


def _require_whole(snapshot: Snapshot) -> None:
    path = snapshot.folder / CATALOG
    found = sha256_of(path) if path.exists() else ("missing", 0)
    if found != (snapshot.catalog["sha256"], snapshot.catalog["bytes"]):
        raise BackupError(
            f"{path} is not what was backed up: its sha256 is {found[0][:12]}, and {snapshot.catalog['sha256'][:12]} is "
            "written down. Nothing was restored. Take another snapshot (--snapshot), or another copy of the backup."
        )


def _bring(source: Path, sha256: str, store: Store) -> Artifact:
    """Publish an artifact of the backup again, if it is whole. Raises BackupError, StoreError, OSError."""
    if not (source / MANIFEST).exists():
        raise BackupError("the backup does not have it")
    if sha256_of(source / MANIFEST)[0] != sha256:
        raise BackupError("its manifest was changed in the backup")
    manifest = Manifest.from_json((source / MANIFEST).read_text(encoding="utf-8"))
    there = store.get(manifest.stage, manifest.digest)
    if there is not None and not store.verify(there):
        return there
    with store.building(manifest.stage, manifest.digest) as building:
        for name, entry in manifest.files.items():
            target = building / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target)
            if sha256_of(target) != (entry.sha256, entry.size):
                raise BackupError(f"{name} was changed in the backup")
        return store.publish(building, manifest)


def _bring_labels(snapshot: Snapshot, folder: Path, store: Store) -> list[str]:
    """The label files and which of them count; what is missing."""
    missing, root = [], folder / "labels"
    for source in sorted(root.glob("*/*/*/labels.jsonl")):
        place, sha256 = source.parent.relative_to(root), source.parent.name
        if sha256_of(source)[0] != sha256:
            missing.append(f"labels of {place.parent.as_posix()}: {sha256[:12]} was changed in the backup")
            continue
        target = store.root / "labels" / place / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for name, sha256 in snapshot.labels.items():
        if (store.root / "labels" / name / sha256).is_dir():
            write_durably(store.root / "labels" / name / "current", f"{sha256}\n")
        else:
            missing.append(f"labels of {name}: those that counted ({sha256[:12]}) are not in the backup")
    return missing


def _bring_catalog(snapshot: Snapshot, catalog: Catalog, store: Store, done: Restored) -> None:
    store.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.root, prefix=".restore-") as place:
        # A copy: an older layout is brought to the newest one in it, and the backup stays what it is.
        copy = Path(place) / CATALOG
        shutil.copyfile(snapshot.folder / CATALOG, copy)
        saved = Catalog.open(f"sqlite:///{copy}")
        links = {}
        for version in saved.versions():
            artifact = store.get("register", version.artifact_digest) if version.artifact_digest else None
            if artifact is not None:
                links[version.model, version.number] = str(store.link_version(version.model, version.number, artifact))
        saved.settle(os.fspath(store.root), links, CUT_OFF)
        done.versions = len(links)
        saved.close()
        catalog.load_from(copy)
