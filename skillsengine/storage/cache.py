"""Copies of what lies in an object store, on this machine, up to a size.

    artifacts/<stage>/<digest[:2]>/<digest>.<mark>/files/    each file appears by a rename, once its sha256 is right
                                                   lock      held by the one process that fetches into it
                                                   partial/  what that one is fetching
    checkpoints/<digest>/                                    of trainings that this machine was at work on

Each such folder is an entry. Who uses one holds a shared lock of the folder itself, which ends with the process however that
ends; what is to go is locked exclusively first, so nothing that a process of this machine uses ever goes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skillsengine.storage.files import discard, tree

log = logging.getLogger(__name__)

_ENTRIES = ("artifacts/*/*/*", "checkpoints/*")


class Held:
    """An entry that stays while this object lives. A copy in another process holds nothing: let it hold its own."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder where it is missing. It counts as used now."""
        self.folder = folder
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue  # it went just now
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_there(descriptor, folder):
                break
            os.close(descriptor)
        os.utime(folder)
        self._end = weakref.finalize(self, os.close, descriptor)

    def end(self) -> None:
        """Let it go from now on."""
        self._end()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within it no other process or thread fetches into the entry."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                shutil.rmtree(self.folder / "partial", ignore_errors=True)  # of one that was killed, too

    def beside(self) -> Path:
        """A new path for something half-fetched; within `alone`."""
        folder = self.folder / "partial"
        folder.mkdir(exist_ok=True)
        return folder / uuid.uuid4().hex


class Cache:
    """The entries below `root`, at most `limit` bytes of them. Making the object touches nothing on the disk."""

    def __init__(self, root: Path, limit: int) -> None:
        self.root, self.limit = root, limit

    def artifact(self, stage: str, digest: str, mark: str) -> Path:
        """The entry of an artifact; `mark` tells its bytes from others of the same digest."""
        return self.root / "artifacts" / stage / digest[:2] / f"{digest}.{mark}"

    def make_room(self, size: int) -> None:
        """Let the entries that were not used for longest go, until `size` more bytes are within the limit.

        What is in use stays, even if it is too much: then a warning says so.
        """
        entries = sorted((_used(folder), folder) for pattern in _ENTRIES for folder in self.root.glob(pattern))
        sizes = {folder: _size(folder) for _, folder in entries}
        total = sum(sizes.values()) + size
        for _, folder in entries:
            if total <= self.limit:
                return
            if sizes[folder] and self._remove(folder):
                total -= sizes[folder]
        if total > self.limit:
            log.warning(
                "the cache %s holds %.1f GB of what is in use now, more than its %.1f GB (SKILLSENGINE_CACHE_GB)",
                self.root,
                total / 1e9,
                self.limit / 1e9,
            )

    def _remove(self, folder: Path) -> bool:
        """False where it is in use."""
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(descriptor, folder):
                discard(folder, self.root / "building" / ".trash")
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True


def _is_there(descriptor: int, folder: Path) -> bool:
    """Whether the locked folder is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False


def _used(folder: Path) -> float:
    with suppress(FileNotFoundError):
        return folder.stat().st_mtime
    return 0.0


def _size(folder: Path) -> int:
    total = 0
    for _, path in tree(folder):
        with suppress(FileNotFoundError):
            total += path.lstat().st_size
    return total
