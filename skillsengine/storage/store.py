"""The store: a folder tree of immutable artifacts, published whole or not at all.

    artifacts/<stage>/<digest[:2]>/<digest>/    manifest.json and the files it lists
    building/<digest>.<random>/                 what an attempt is writing; nothing reads it
    checkpoints/<digest>/                       what outlives an attempt
    bases/                                      converted built-in models
    labels/                                     what people have labelled (`label_files`)
    versions/<model>/<number>                   a link to the version's artifact, for people

An artifact appears by one rename, with its manifest inside: a folder without manifest does not exist.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from skillsengine.storage.artifact import MANIFEST, Artifact, FileEntry, Manifest
from skillsengine.storage.files import (
    discard,
    disk_full,
    flush,
    flush_tree,
    free_space,
    sha256_of,
    tree,
    write_durably,
)


class StoreError(Exception):
    """The store cannot keep or give an artifact; the text says which, where and the mend."""


class Store:
    """Artifacts below `root`. Making the object touches nothing on the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._building = root / "building"
        self._trash = self._building / ".trash"

    @property
    def bases(self) -> Path:
        """Where converted built-in bases are kept; it exists."""
        return _made(self.root / "bases")

    def path_of(self, stage: str, digest: str) -> Path:
        """Where the artifact of a digest lies, or would. Raises StoreError for what is no stage or no digest."""
        if not re.fullmatch(r"[a-z][a-z_]*", stage):
            raise StoreError(f"`{stage}` is no stage: its name becomes a folder of the store.")
        return self.root / "artifacts" / stage / _digest(digest)[:2] / digest

    def get(self, stage: str, digest: str) -> Artifact | None:
        """The artifact, or None if there is none. Reads the manifest, not the files: see `verify`.

        Raises StoreError if its manifest cannot be understood.
        """
        path = self.path_of(stage, digest)
        try:
            text = (path / MANIFEST).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(
                f"{path / MANIFEST} cannot be read: {error.strerror}. Mend its permissions or its disk."
            ) from error
        try:
            manifest = Manifest.from_json(text)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"{path / MANIFEST} is damaged: {error}. {_mend(path)}") from error
        if (manifest.stage, manifest.digest) != (stage, digest):
            raise StoreError(
                f"{path} holds the manifest of another artifact, {manifest.stage} {manifest.digest[:12]}. {_mend(path)}"
            )
        return Artifact(path, manifest)

    @contextmanager
    def building(self, stage: str, digest: str) -> Iterator[Path]:
        """A fresh, empty folder to build an artifact in; it is gone afterwards, whether published or not.

        Folders that dead attempts of the same digest left behind are removed: call it under the digest's lease.
        Raises StoreError when the disk fills up inside the block; every other error passes.
        """
        self.path_of(stage, digest)
        folder = self._building / f"{digest}.{uuid.uuid4().hex[:8]}"
        try:
            _made(self._trash)  # now: on a full disk it could not be made
            for stale in self._building.glob(f"{digest}.*"):
                discard(stale, self._trash)
            folder.mkdir(parents=True)
            yield folder
        except Exception as error:
            full = disk_full(error)
            if full is None or isinstance(error, StoreError):
                raise
            place = self._full_place(full)
            raise StoreError(
                f"the disk is full: the {stage} artifact {digest[:12]} could not be made, writing under {place} failed "
                f"({free_space(place)}). Nothing half-written stays. Free some space there, or let SKILLSENGINE_HOME "
                "name a folder on a larger disk, then run it again."
            ) from error
        finally:
            discard(folder, self._trash)

    def _full_place(self, full: BaseException) -> Path:
        """The folder to name: the store, unless a library has filled the disk of its own temporary files."""
        name = full.filename if isinstance(full, OSError) else None
        if not isinstance(name, (str, bytes)) or Path(os.fsdecode(name)).is_relative_to(self.root):
            return self.root
        return Path(os.fsdecode(name)).parent

    def publish(self, building: Path, manifest: Manifest) -> Artifact:
        """Turn a folder from `building` into the artifact of `manifest`; its `files` and `created` are filled in here.

        If another attempt has published this digest already, that artifact stays and is returned.
        Raises StoreError: the folder is gone or holds what an artifact may not hold (links, a manifest of its own).
        """
        final = self.path_of(manifest.stage, manifest.digest)
        if not building.is_dir():
            raise StoreError(
                f"{building} is gone: another attempt of {manifest.stage} {manifest.digest[:12]} has begun since and "
                "cleared it away. This attempt stops; see how the other one ends."
            )
        files = dict(_entries(building))
        created = manifest.created or datetime.now(UTC).isoformat(timespec="seconds")
        manifest = replace(manifest, files=files, created=created)
        write_durably(building / MANIFEST, manifest.to_json())
        flush_tree(building)
        _made(final.parent)
        existing = self._rename(building, final, manifest)
        if existing is not None:
            return existing
        flush(final.parent)
        return Artifact(final, manifest)

    def _rename(self, building: Path, final: Path, manifest: Manifest) -> Artifact | None:
        """Move the finished folder to its place; the artifact that was there first, if one was."""
        try:
            building.rename(final)
        except OSError:
            existing = self.get(manifest.stage, manifest.digest)
            if existing is not None:
                return existing
            if not final.exists():
                raise
            # A folder without manifest: somebody has deleted a part of it by hand. It does not count as an artifact.
            discard(final, self._trash)
            building.rename(final)
        return None

    def verify(self, artifact: Artifact) -> list[str]:
        """What is wrong with an artifact's files, one line a problem; empty if it is whole. Hashes all of them."""
        problems = []
        found = {name: path for name, path in tree(artifact.path) if name != MANIFEST}
        for name, entry in sorted(artifact.manifest.files.items()):
            path = found.pop(name, None)
            if path is None:
                problems.append(f"{name}: missing")
            elif path.is_symlink():
                problems.append(f"{name}: is a link now")
            else:
                sha256, size = sha256_of(path)
                if size != entry.size:
                    problems.append(f"{name}: has {size} bytes, the manifest says {entry.size}")
                elif sha256 != entry.sha256:
                    problems.append(f"{name}: its bytes were changed (sha256 {sha256[:12]}, not {entry.sha256[:12]})")
        problems.extend(f"{name}: is not in the manifest" for name in sorted(found))
        return problems

    def checkpoints(self, digest: str) -> Path:
        """A folder that outlives an attempt; it exists, empty at first."""
        return _made(self.root / "checkpoints" / _digest(digest))

    def drop_checkpoints(self, digest: str) -> None:
        """Remove the checkpoints of a digest, once its artifact is published; does nothing if there are none."""
        discard(self.root / "checkpoints" / _digest(digest), self._trash)

    def link_version(self, model: str, number: int, artifact: Artifact) -> Path:
        """The link `versions/<model>/<number>`, made if missing. A link that leads to an artifact stays as it is."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", model):
            raise StoreError(f"`{model}` is no model's name: it becomes a folder of the store.")
        link = _made(self.root / "versions" / model) / str(number)
        if link.exists():
            return link
        fresh = link.with_name(f".{number}.{uuid.uuid4().hex[:8]}")
        fresh.symlink_to(os.path.relpath(artifact.path, link.parent), target_is_directory=True)
        fresh.replace(link)
        return link


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{8,64}", text):
        raise StoreError(f"`{text}` is no digest: it is written in 64 hexadecimal digits and becomes a folder's name.")
    return text


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _mend(path: Path) -> str:
    return f"Delete the folder {path}: the next run makes it again."


def _entries(folder: Path) -> Iterator[tuple[str, FileEntry]]:
    """What a manifest lists of a folder. Raises StoreError for what could change or vanish under the manifest."""
    for name, path in tree(folder):
        if name == MANIFEST:
            raise StoreError(f"the stage has written a {MANIFEST} of its own into {folder}: the name is the store's.")
        if path.is_symlink() or not path.is_file():
            raise StoreError(f"{path} is a link or no plain file: an artifact holds copies, so that it cannot change.")
        yield name, FileEntry(*sha256_of(path))
