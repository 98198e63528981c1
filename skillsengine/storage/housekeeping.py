"""What is done once a day so that the installation stays small and whole: leftovers go, artifacts are looked at.

Nothing here touches what a live attempt holds the lease of, and nothing removes an artifact: `gc` does.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import Catalog, LeaseHeld
from skillsengine.storage.owners import this_owner
from skillsengine.storage.store import Leftover, Store, StoreError

BUILDING_AGE = timedelta(hours=6)
"""Folders in which nothing was written for so long, and which nobody holds, were left by an attempt that was killed."""
CHECKPOINT_AGE = timedelta(days=14)
"""Checkpoints of a training that nobody went on with for so long."""
LOG_AGE = timedelta(days=60)
"""Task logs of the embedded Airflow."""
SAMPLE = 20
"""Artifacts looked at a day."""
_LEASE_SECONDS = 600.0


@dataclass(frozen=True)
class Removed:
    """What was removed: names, and the bytes they took."""

    names: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Verified:
    """How many artifacts were looked at, and what is wrong with them, one line a problem."""

    checked: int
    problems: tuple[str, ...]


def remove_leftovers(
    store: Store,
    catalog: Catalog,
    *,
    building_age: timedelta = BUILDING_AGE,
    checkpoint_age: timedelta = CHECKPOINT_AGE,
    now: float | None = None,
) -> Removed:
    """Remove half-written folders and checkpoints that dead attempts left behind. `now` is the clock, epoch seconds.

    What a live attempt holds the lease of stays, whatever its age. Raises OSError or StoreError if the store
    cannot be written.
    """
    names, size = [], 0
    for left in leftovers(store, building_age=building_age, checkpoint_age=checkpoint_age, now=now):
        with _unheld(catalog, left.digest) as free:
            if free:
                left.remove()
                names.append(left.name)
                size += left.bytes
    return Removed(tuple(names), size)


def leftovers(
    store: Store,
    *,
    building_age: timedelta = BUILDING_AGE,
    checkpoint_age: timedelta = CHECKPOINT_AGE,
    now: float | None = None,
) -> list[Leftover]:
    """What nothing was written into for so long; a live attempt may hold it yet."""
    now = time.time() if now is None else now
    found = []
    for left in store.leftovers():
        age = checkpoint_age if left.name.startswith("checkpoints/") else building_age
        if now - left.newest >= age.total_seconds():
            found.append(left)
    return found


def remove_old_logs(folder: Path, *, age: timedelta = LOG_AGE, now: float | None = None) -> Removed:
    """Remove log files below `folder` that nothing was written to for `age`, and folders that are empty then."""
    now = time.time() if now is None else now
    names, size = [], 0
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            path = Path(parent) / name
            stat = path.stat()
            if path.suffix == ".log" and now - stat.st_mtime > age.total_seconds():
                path.unlink()
                names.append(path.relative_to(folder).as_posix())
                size += stat.st_size
        if Path(parent) != folder and not any(Path(parent).iterdir()):
            Path(parent).rmdir()
    return Removed(tuple(sorted(names)), size)


def verify_sample(store: Store, day: str, *, count: int = SAMPLE) -> Verified:
    """Hash the files of `count` artifacts and compare them with their manifests. `day` decides which: others each day."""
    there = store.artifacts()
    there.sort(key=lambda artifact: hashlib.sha256(f"{day}:{artifact[1]}".encode()).digest())
    problems: list[str] = []
    for stage, digest in there[:count]:
        try:
            artifact: Artifact | None = store.get(stage, digest)
        except StoreError as error:
            problems.append(str(error))
            continue
        if artifact is not None:  # without manifest it does not exist, and the next run makes it again
            mend = store.remake(stage, digest)
            problems += [f"{stage} {digest[:12]}: {problem}. {mend}" for problem in store.verify(artifact)]
    return Verified(min(count, len(there)), tuple(problems))


@contextmanager
def _unheld(catalog: Catalog, digest: str) -> Iterator[bool]:
    """Whether nobody is at work on the digest; while the block runs, nobody can begin."""
    try:
        lease = catalog.acquire(digest, this_owner(), _LEASE_SECONDS)
    except LeaseHeld:
        yield False
        return
    try:
        yield True
    finally:
        catalog.release(lease)
