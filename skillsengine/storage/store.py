"""The store: a folder tree of immutable artifacts, published whole or not at all.

    artifacts/<stage>/<digest[:2]>/<digest>/    manifest.json and the files it lists
    building/<digest>.<random>/                 what an attempt is writing; nothing reads it
    checkpoints/<digest>/                       what outlives an attempt
    bases/                                      converted built-in models
    labels/                                     what people have labelled (`label_files`)
    versions/<model>/<number>                   a link to the version's artifact, for people

An artifact appears by one rename, with its manifest inside: a folder without manifest does not exist. The same on an object
store: `object_store`. Which one an installation has is told by `opening.open_store`.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from skillsengine.storage.artifact import MANIFEST, Artifact, FileEntry, Manifest
from skillsengine.storage.files import (
    discard,
    flush,
    flush_tree,
    sha256_of,
    tree,
    write_durably,
)
from skillsengine.storage.machine_faults import machine_fault

log = logging.getLogger(__name__)


class StoreError(Exception):
    """The store cannot keep or give an artifact; the text says which, where and the mend."""


class ArtifactLost(StoreError):
    """The catalog names an artifact, and the store has none: a retry does not help."""


_WHOLE: set[tuple[str, int]] = set()
"""(folder, time of its manifest) of the artifacts that this process has found whole."""


@dataclass(frozen=True)
class Leftover:
    """What an attempt has left behind: half-written, or checkpoints."""

    name: str
    """`building/<digest>.<random>`, `checkpoints/<digest>`."""
    digest: str
    bytes: int
    newest: float
    """Epoch seconds of the last write."""
    remove: Callable[[], None]


class Store:
    """Artifacts below `root`. Making the object touches nothing on the disk."""

    full_mend = "let SKILLSENGINE_HOME name a folder on a larger disk"

    def __init__(self, root: Path) -> None:
        self.root = root
        self._building = root / "building"
        self._trash = self._building / ".trash"

    @property
    def place(self) -> str:
        """For people: the folder, or the bucket's address."""
        return str(self.root)

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
        except ValueError as error:
            raise StoreError(f"{path / MANIFEST} is damaged: {error}. {self.remake(stage, digest)}") from error
        return Artifact(path, self._manifest(text, stage, digest))

    def _manifest(self, text: str, stage: str, digest: str) -> Manifest:
        """Raises StoreError for what is no manifest of this artifact."""
        place = self.place_of(stage, digest)
        try:
            manifest = Manifest.from_json(text)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"{place}/{MANIFEST} is damaged: {error}. {self.remake(stage, digest)}") from error
        if (manifest.stage, manifest.digest) != (stage, digest):
            raise StoreError(
                f"{place} holds the manifest of another artifact, {manifest.stage} {manifest.digest[:12]}. "
                f"{self.remake(stage, digest)}"
            )
        return manifest

    def place_of(self, stage: str, digest: str) -> str:
        """For people: where the artifact of a digest lies, or would. Nothing is fetched. Raises as `path_of`."""
        return str(self.path_of(stage, digest))

    def remake(self, stage: str, digest: str) -> str:
        """The mend of a damaged artifact."""
        return f"Delete the folder {self.path_of(stage, digest)}: the next run makes it again."

    @contextmanager
    def building(self, stage: str, digest: str) -> Iterator[Path]:
        """A fresh, empty folder to build an artifact in; it is gone afterwards, whether published or not.

        Folders that dead attempts of the same digest left behind are removed: call it under the digest's lease.
        Raises StoreError when inside the block the disk fills up, the store may not be written or no more files can be
        opened. Every other error passes, and one of this package: it says what failed by itself.
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
            what = f"the {stage} artifact {digest[:12]} could not be made"
            ours = type(error).__module__.startswith("skillsengine.")  # it says what and where by itself
            told = None if ours else machine_fault(what, error, self.root, self.full_mend)
            if told is None:
                raise
            raise StoreError(told) from error
        finally:
            try:
                discard(folder, self._trash)
            except OSError as error:  # it must not hide what has failed; the next attempt clears it away
                log.warning("%s stays for now: %s", folder, error)

    def publish(self, building: Path, manifest: Manifest) -> Artifact:
        """Turn a folder from `building` into the artifact of `manifest`; its `files` and `created` are filled in here.

        If another attempt has published this digest already, that artifact stays and is returned.
        Raises StoreError: the folder is gone or holds what an artifact may not hold (links, a manifest of its own).
        """
        final = self.path_of(manifest.stage, manifest.digest)
        manifest = sealed(building, manifest)
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

    def require_whole(self, artifact: Artifact) -> None:
        """See that an artifact's files are those that were published, before something is made of them. They are read once in
        a process. Raises StoreError that names what was changed, and the mend.
        """
        mark = (str(artifact.folder), (artifact.folder / MANIFEST).stat().st_mtime_ns)
        if mark in _WHOLE:
            return
        if problems := self.verify(artifact):
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise StoreError(
                f"the {artifact.stage} artifact {artifact.digest[:12]} is damaged: {problems[0]}{more}. "
                f"{self.remake(artifact.stage, artifact.digest)}"
            )
        _WHOLE.add(mark)

    def checkpoints(self, digest: str) -> Path:
        """A folder that outlives an attempt; it exists, empty at first."""
        return _made(self.root / "checkpoints" / _digest(digest))

    @contextmanager
    def keeping(self, digest: str, guard: Callable[[], None]) -> Iterator[tuple[Path, Callable[[Path], None]]]:
        """While an attempt is at work: its `checkpoints`, and what it calls with a whole file or folder of them, to be kept.

        `guard` raises LeaseLost if another attempt has taken over: then nothing is kept any more. Here they are kept where
        they lie.
        """
        yield self.checkpoints(digest), lambda path: None

    def drop_checkpoints(self, digest: str) -> None:
        """Remove the checkpoints of a digest, once its artifact is published; does nothing if there are none."""
        discard(self.root / "checkpoints" / _digest(digest), self._trash)

    def link_version(self, model: str, number: int, artifact: Artifact) -> str:
        """The link `versions/<model>/<number>`, made if missing. A link that leads to an artifact stays as it is."""
        _model(model)
        link = _made(self.root / "versions" / model) / str(number)
        if link.exists():
            return str(link)
        fresh = link.with_name(f".{number}.{uuid.uuid4().hex[:8]}")
        fresh.symlink_to(os.path.relpath(artifact.path, link.parent), target_is_directory=True)
        fresh.replace(link)
        return str(link)

    def version_folder(self, place: str, digest: str | None) -> Path:
        """The folder with the files of a version, from what the catalog holds of it: its `path`, its artifact's digest.

        Raises ArtifactLost where the store has lost it, StoreError where it does not answer.
        """
        if (link := Path(place)).is_dir():
            return link
        artifact = self.get("register", digest) if digest else None
        if artifact is None:
            raise ArtifactLost(
                f"the version's artifact {(digest or '')[:12]} is neither at {place} nor in the store {self.place}. Put it "
                "back from a backup, or run its experiment again: the adapter is made anew."
            )
        return artifact.path

    def write_named(self, name: str, text: str) -> str:
        """Keep a text that may change under a name of its own (`reports/job-skills/7.html`), whole; returns its place.

        Raises OSError where the store cannot be written.
        """
        path = self.root / name
        _made(path.parent)
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            write_durably(beside, text)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return str(path)

    def read_named(self, name: str, at_most: int) -> bytes | None:
        """The first bytes of what `write_named` has kept; None where there is nothing. Raises OSError."""
        try:
            with (self.root / name).open("rb") as file:
                return file.read(at_most)
        except FileNotFoundError:
            return None

    def drop_named(self, name: str) -> None:
        """Remove the text of this name; does nothing if there is none. Raises OSError."""
        (self.root / name).unlink(missing_ok=True)

    def has_named(self, name: str) -> bool:
        """Whether there is a text of this name."""
        return (self.root / name).is_file()

    def artifacts(self) -> list[tuple[str, str]]:
        """(stage, digest) of all that is in the place of an artifact; `get` tells which are."""
        stages = _folders(self.root / "artifacts")
        return [(stage.name, made.name) for stage in stages for two in _folders(stage) for made in _folders(two)]

    def made(self, stage: str, digest: str) -> float | None:
        """When an artifact was published, or what is in its place was last changed, in epoch seconds; None where nothing is."""
        folder = self.path_of(stage, digest)
        for path in (folder / MANIFEST, folder):
            try:
                return path.stat().st_mtime
            except FileNotFoundError:
                continue
        return None

    def size_of(self, stage: str, digest: str) -> int:
        """Bytes of all that is in the place of an artifact, whether it is one or not."""
        return sum(path.lstat().st_size for _, path in tree(self.path_of(stage, digest)))

    def take_out(self, stage: str, digest: str) -> None:
        """Remove an artifact: in one step it is gone, then its files are; does nothing if there is none.

        Its lease has to be held. Raises OSError where the store cannot be written.
        """
        discard(self.path_of(stage, digest), self._trash)

    def leftovers(self) -> Iterator[Leftover]:
        """What attempts have left, of live ones too: whoever removes one holds its digest's lease."""
        for kind in ("building", "checkpoints"):
            for folder in _folders(self.root / kind):
                size, newest = _size_and_newest(folder)
                digest = folder.name.partition(".")[0]
                yield Leftover(f"{kind}/{folder.name}", digest, size, newest, partial(shutil.rmtree, folder))


def sealed(building: Path, manifest: Manifest) -> Manifest:
    """`manifest` with `files` and `created` of a finished folder. Raises StoreError as `Store.publish`."""
    if not building.is_dir():
        raise StoreError(
            f"{building} is gone: another attempt of {manifest.stage} {manifest.digest[:12]} has begun since and "
            "cleared it away. This attempt stops; see how the other one ends."
        )
    created = manifest.created or datetime.now(UTC).isoformat(timespec="seconds")
    return replace(manifest, files=dict(_entries(building)), created=created)


def _model(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise StoreError(f"`{name}` is no model's name: it becomes a folder of the store.")
    return name


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def _size_and_newest(folder: Path) -> tuple[int, float]:
    """(bytes, time of the last write) of all that is in a folder."""
    size, newest = 0, folder.stat().st_mtime
    for _, path in tree(folder):
        stat = path.lstat()
        size, newest = size + stat.st_size, max(newest, stat.st_mtime)
    return size, newest


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{8,64}", text):
        raise StoreError(f"`{text}` is no digest: it is written in 64 hexadecimal digits and becomes a folder's name.")
    return text


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _entries(folder: Path) -> Iterator[tuple[str, FileEntry]]:
    """What a manifest lists of a folder. Raises StoreError for what could change or vanish under the manifest."""
    for name, path in tree(folder):
        if name == MANIFEST:
            raise StoreError(f"the stage has written a {MANIFEST} of its own into {folder}: the name is the store's.")
        if path.is_symlink() or not path.is_file():
            raise StoreError(f"{path} is a link or no plain file: an artifact holds copies, so that it cannot change.")
        yield name, FileEntry(*sha256_of(path))
