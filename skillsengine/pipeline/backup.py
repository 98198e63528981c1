"""Backups of an installation: the catalog as it was at one moment, and every artifact that it names.

    DIR/snapshots/<time>/catalog.db     the catalog, an SQLite file
    DIR/snapshots/<time>/backup.json    sha256 of the catalog and of each artifact's manifest; written last
    DIR/artifacts/<stage>/<2>/<digest>/ whole artifacts, shared by the snapshots that name them
    DIR/labels/...                      what people have labelled

A snapshot without backup.json does not exist. The manifest of an artifact holds the sha256 of its files, so that backup.json
vouches for every byte. Checkpoints, converted bases, reports and W&B runs are not in a backup: they are made or sent anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from skillsengine import __version__
from skillsengine.pipeline.garbage import alone
from skillsengine.storage.artifact import MANIFEST, Artifact
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.files import flush, flush_tree, sha256_of, write_durably
from skillsengine.storage.object_store import ObjectStore
from skillsengine.storage.store import Store, StoreError

FORMAT = 1
BACKUP, CATALOG = "backup.json", "catalog.db"
_PART = ".part-"


class BackupError(Exception):
    """A backup cannot be made or restored; the text says why and how to mend it."""


@dataclass(frozen=True)
class Snapshot:
    """One backup, as its backup.json tells it."""

    name: str
    folder: Path
    created: str
    """ISO time, UTC."""
    catalog: Mapping[str, Any]
    """`sha256` and `bytes` of catalog.db."""
    artifacts: Mapping[str, str]
    """`stage/digest` -> sha256 of its manifest."""
    labels: Mapping[str, str]
    """`experiment/partition` -> sha256 of the labels that count."""
    missing: tuple[str, ...]
    """What the catalog names and the store did not have, whole, a line each."""


@dataclass
class Made:
    """What a backup has done."""

    snapshot: str = ""
    copied: int = 0
    """Artifacts that were not in the backup yet."""
    bytes: int = 0
    """Of these."""
    there: int = 0
    """Artifacts that an earlier backup has copied."""
    missing: list[str] = field(default_factory=list)


def back_up(
    store: Store, catalog: Catalog, folder: Path, now: datetime, told: Callable[[str], None] | None = None
) -> Made:
    """Add a snapshot to the backup in `folder`; what an earlier one has copied is not copied again.

    Runs may go on: what they publish after the catalog's moment is not in it. Files are linked where `folder` is on the store's
    disk, else copied and compared with their sha256. Raises Busy beside a `gc` or another backup, BackupError where `folder`
    cannot be written or the store is in a bucket, CatalogUnavailable.
    """
    require_folder(store)
    with alone(catalog):
        try:
            return _back_up(store, catalog, folder, now, told)
        except OSError as error:
            with suppress(OSError):
                _clear(folder)  # what was begun would keep the disk full
            raise BackupError(
                f"the backup in {folder} was not made: {error.strerror or error} ({error.filename or folder}). Nothing of it "
                "counts, earlier ones stay. Mend the place or free some space, then try again."
            ) from error


def require_folder(store: Store) -> None:
    """Raises BackupError where the store is in a bucket: object stores have means of their own, which copy no byte twice."""
    if isinstance(store, ObjectStore):
        raise BackupError(
            f"the store is in a bucket, {store.place}, and this command copies folders. Save the catalog first (`pg_dump`), "
            "then copy the bucket (`aws s3 sync`), or let it keep versions or a replica: so all that the saved catalog names "
            "is in the copy."
        )


def _back_up(store: Store, catalog: Catalog, folder: Path, now: datetime, told: Callable[[str], None] | None) -> Made:
    _clear(folder)
    name = f"{now:%Y-%m-%dT%H-%M-%SZ}"
    if (folder / "snapshots" / name).exists():
        name += f"-{uuid.uuid4().hex[:4]}"
    place = folder / "snapshots" / f"{_PART}{name}"
    place.mkdir(parents=True)
    catalog.save_to(place / CATALOG)
    saved = Catalog.open(f"sqlite:///{place / CATALOG}")
    made, artifacts = Made(name), {}
    for (stage, digest), must in sorted(saved.named_artifacts().items()):
        try:
            artifact = store.get(stage, digest)
            if artifact is not None:
                artifacts[f"{stage}/{digest}"] = _keep(artifact, folder, made)
                if told:
                    told(f"{stage} {digest[:12]}")
            elif must:
                made.missing.append(f"{stage} {digest[:12]}: the store does not have it")
        except StoreError as error:
            made.missing.append(f"{stage} {digest[:12]}: {error}")
    labels = _keep_labels(store, folder)
    saved.close()
    sha256, size = sha256_of(place / CATALOG)
    data = {
        "format": FORMAT,
        "created": now.isoformat(timespec="seconds"),
        "skillsengine": __version__,
        "catalog": {"sha256": sha256, "bytes": size},
        "artifacts": artifacts,
        "labels": labels,
        "missing": made.missing,
    }
    write_durably(place / BACKUP, json.dumps(data, indent=1, sort_keys=True) + "\n")
    flush_tree(place)
    place.rename(place.with_name(name))
    flush(place.parent)
    return made


def _clear(folder: Path) -> None:
    """What a backup that was cut off has left."""
    for part in (*folder.glob(f"snapshots/{_PART}*"), *folder.glob(f"artifacts/{_PART}*")):
        shutil.rmtree(part)


def path_in(folder: Path, stage: str, digest: str) -> Path:
    """Where a backup keeps an artifact."""
    return folder / "artifacts" / stage / digest[:2] / digest


def _keep(artifact: Artifact, folder: Path, made: Made) -> str:
    """Bring an artifact into the backup, whole or not at all; sha256 of its manifest. Raises StoreError for changed bytes."""
    final = path_in(folder, artifact.stage, artifact.digest)
    sha256, _ = sha256_of(artifact.path / MANIFEST)
    if (final / MANIFEST).exists():
        if sha256_of(final / MANIFEST)[0] == sha256:
            made.there += 1
            return sha256
        shutil.rmtree(final)  # the store's was made anew since
    part = folder / "artifacts" / f"{_PART}{uuid.uuid4().hex}"
    part.mkdir(parents=True)
    for name, entry in artifact.manifest.files.items():
        target = part / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(artifact.path / name, target, entry.sha256)
    _link_or_copy(artifact.path / MANIFEST, part / MANIFEST, sha256)
    flush_tree(part)
    final.parent.mkdir(parents=True, exist_ok=True)
    part.rename(final)
    made.copied += 1
    made.bytes += sum(entry.size for entry in artifact.manifest.files.values())
    return sha256


def _link_or_copy(source: Path, target: Path, sha256: str) -> None:
    try:
        os.link(source, target)
        return
    except OSError:  # another disk, or one that has no links
        if not source.exists():
            raise StoreError(f"{source} is missing.") from None
    shutil.copyfile(source, target)
    if sha256_of(target)[0] != sha256:
        raise StoreError(f"{source}: its bytes were changed since it was published.")


def _keep_labels(store: Store, folder: Path) -> dict[str, str]:
    root, current = store.root / "labels", {}
    for source in sorted(root.glob("*/*/*/labels.jsonl")):
        target = folder / "labels" / source.relative_to(root)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(source, target, hashlib.sha256(source.read_bytes()).hexdigest())
    for pointer in sorted(root.glob("*/*/current")):
        current[pointer.parent.relative_to(root).as_posix()] = pointer.read_text(encoding="utf-8").strip()
    return current


def snapshots(folder: Path) -> list[Snapshot]:
    """Those of a backup, the oldest first. Raises BackupError where there is none, or one cannot be read."""
    found = [_read(path) for path in sorted((folder / "snapshots").glob(f"[!.]*/{BACKUP}"))]
    if not found:
        raise BackupError(
            f"{folder} holds no backup: there is no snapshots/*/{BACKUP}. Name the folder that `skillsengine backup` has "
            "written."
        )
    return found


def _read(path: Path) -> Snapshot:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] > FORMAT:
            raise BackupError(
                f"{path}: a newer skillsengine ({data['skillsengine']}) has made this backup. Upgrade this one."
            )
        told = (data["created"], data["catalog"], data["artifacts"], data["labels"], tuple(data["missing"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path} is damaged: {error!r}. Take another snapshot of the backup (--snapshot).") from error
    return Snapshot(path.parent.name, path.parent, *told)
