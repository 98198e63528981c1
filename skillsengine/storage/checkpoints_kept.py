"""Checkpoints in an object store: what an attempt keeps, for the next one on whichever machine.

    checkpoints/<digest>/<name>/<sha256>/<path>    the files of one checkpoint, or one file
                                kept.json          path -> sha256 and size; written last: without it, it is not kept

They go up in a thread beside the training, from hard links: the training may remove its own ones meanwhile.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

from skillsengine.storage.artifact import FileEntry
from skillsengine.storage.bucket import Bucket
from skillsengine.storage.files import sha256_of, tree
from skillsengine.storage.store import Leftover

log = logging.getLogger(__name__)

MARKER = "kept.json"
_Files = Mapping[str, FileEntry]


class Keeper:
    """Sends what an attempt keeps of its folder of checkpoints."""

    def __init__(self, bucket: Bucket, digest: str, folder: Path, scratch: Path, guard: Callable[[], None]) -> None:
        self._bucket, self._digest, self._folder, self._guard = bucket, digest, folder, guard
        # Named as a half-built artifact of the digest: what a killed attempt leaves is removed with those.
        self._links = scratch / f"{digest}.kept-{uuid.uuid4().hex[:8]}"
        self._todo: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._known = {path.name for path in folder.iterdir()}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def keep(self, path: Path) -> None:
        """Have a whole file or folder of the checkpoints sent; returns at once. It must not change any more."""
        links = self._links / path.name
        shutil.rmtree(links, ignore_errors=True)
        if path.is_dir():
            shutil.copytree(path, links / path.name, copy_function=os.link)
        else:
            links.mkdir(parents=True)
            os.link(path, links / path.name)
        self._known.add(path.name)
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_all, name=f"keep-{self._digest[:8]}", daemon=True)
            self._thread.start()
        self._todo.put(links)

    def end(self, *, finish: bool) -> None:
        """Wait for what is being sent, with `finish` also for what is still to be sent."""
        if not finish:
            self._over.set()
        self._todo.put(None)
        if self._thread is not None:
            self._thread.join()
        shutil.rmtree(self._links, ignore_errors=True)

    def _send_all(self) -> None:
        waiting: list[Path] = []
        while (links := self._todo.get()) is not None:
            waiting.append(links)
            # In their order, for a later one may need an earlier one; what the training has removed already was overtaken.
            while waiting and not self._over.is_set():
                if (self._folder / waiting[0].name).exists() and not self._sent(waiting[0]):
                    break
                shutil.rmtree(waiting.pop(0), ignore_errors=True)

    def _sent(self, links: Path) -> bool:
        try:
            self._send(links)
        except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on; the next checkpoint tries again
            log.warning("%s is not kept in the store, the training goes on: %s", links.name, error)
            return False
        return True

    def _send(self, links: Path) -> None:
        started, name = time.monotonic(), links.name
        below = f"checkpoints/{self._digest}/{name}"
        paths = dict(tree(links))
        files = {inside: FileEntry(*sha256_of(path)) for inside, path in paths.items()}
        keys = {f"{below}/{entry.sha256}/{inside}": paths[inside] for inside, entry in files.items()}
        self._bucket.upload(keys)
        self._guard()
        told = {inside: vars(entry) for inside, entry in files.items()}
        self._bucket.write(f"{below}/{MARKER}", json.dumps({"files": told}, indent=1).encode())
        size = sum(entry.size for entry in files.values())
        log.info("%s is kept: %.1f MB sent in %.1f s", name, size / 1e6, time.monotonic() - started)
        self._remove_old(below, keys.keys())

    def _remove_old(self, below: str, keys: Collection[str]) -> None:
        """What the training has removed, and what an earlier attempt sent for the same name. Never what others have sent."""
        there = {path.name for path in self._folder.iterdir()}
        for name in sorted(self._known - there):
            old = f"checkpoints/{self._digest}/{name}"
            self._bucket.delete([f"{old}/{MARKER}"])
            self._bucket.delete_below(f"{old}/")
            self._known.discard(name)
        stale = [found.key for found in self._bucket.list(f"{below}/") if not found.key.endswith(f"/{MARKER}")]
        self._bucket.delete([key for key in stale if key not in keys])


def fetch_kept(bucket: Bucket, digest: str, folder: Path) -> None:
    """Bring what was kept of a digest into `folder`, beside what is there and in the place of what differs.

    One that is damaged is passed over with a warning. Raises StoreError where the bucket does not answer.
    """
    for below in sorted(_marked(bucket, digest)):
        name = below.rpartition("/")[2]
        try:
            found = bucket.read(f"{below}/{MARKER}")
            if found is None:
                continue
            files = _files(found[0], name)
            if _same(folder, files):
                continue
            _fetch(bucket, below, files, folder, name)
        except _Damaged as error:
            log.warning("%s is passed over: %s", bucket.address(below), error)


class _Damaged(Exception):
    """What was kept is not what its marker says."""


def _marked(bucket: Bucket, digest: str) -> Iterator[str]:
    for found in bucket.list(f"checkpoints/{digest}/"):
        below, _, last = found.key.rpartition("/")
        if last == MARKER and below.count("/") == 2:
            yield below


def _files(marker: bytes, name: str) -> _Files:
    try:
        files = {inside: FileEntry(**entry) for inside, entry in json.loads(marker)["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _Damaged(f"its {MARKER} cannot be read: {error}") from error
    for inside in files:
        first, *others = inside.split("/")
        if first != name or ".." in others or "" in others or name.startswith("."):
            raise _Damaged(f"its {MARKER} names a file outside of it, {inside!r}")
    return files


def _same(folder: Path, files: _Files) -> bool:
    return all(
        (folder / inside).is_file() and FileEntry(*sha256_of(folder / inside)) == e for inside, e in files.items()
    )


def _fetch(bucket: Bucket, below: str, files: _Files, folder: Path, name: str) -> None:
    started, beside = time.monotonic(), folder / f".fetched-{uuid.uuid4().hex[:8]}"
    try:
        wanted = {f"{below}/{entry.sha256}/{inside}": (beside / inside, entry.size) for inside, entry in files.items()}
        for path, _ in wanted.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        there = {found.key for found in bucket.list(f"{below}/")}
        if lost := sorted(wanted.keys() - there):
            raise _Damaged(f"{lost[0].rpartition('/')[2]} is missing")
        bucket.download(wanted)
        for inside, entry in files.items():
            if FileEntry(*sha256_of(beside / inside)) != entry:
                raise _Damaged(f"{inside} is not what {MARKER} says")
        final = folder / name
        if final.is_dir():
            shutil.rmtree(final)
        (beside / name).replace(final)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    size = sum(entry.size for entry in files.values())
    log.info("%s: %.1f MB fetched in %.1f s", bucket.address(below), size / 1e6, time.monotonic() - started)


def kept_leftovers(bucket: Bucket) -> Iterator[Leftover]:
    """Checkpoints in the bucket, those of live attempts too."""
    sizes: dict[str, int] = defaultdict(int)
    newest: dict[str, float] = defaultdict(float)
    for found in bucket.list("checkpoints/"):
        digest = found.key.split("/")[1]
        sizes[digest] += found.size
        newest[digest] = max(newest[digest], found.modified)
    for digest, size in sizes.items():
        below = f"checkpoints/{digest}/"
        yield Leftover(f"checkpoints/{digest}", digest, size, newest[digest], partial(bucket.delete_below, below))
