"""Small file work that must not go wrong half-way: hashing, flushing to the disk, removing, and how much is free."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CHUNK = 1024 * 1024


def sha256_of(path: Path) -> tuple[str, int]:
    """(sha256 in hex, bytes read) of a file. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def tree(folder: Path) -> Iterator[tuple[str, Path]]:
    """(path inside `folder` with `/`, path) of all below it that is not a folder, sorted; links are not followed."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        linked = [name for name in folders if (Path(parent) / name).is_symlink()]
        found.extend(Path(parent) / name for name in (*names, *linked))
    for path in sorted(found):
        yield path.relative_to(folder).as_posix(), path


def flush(path: Path) -> None:
    """Have a file or a folder's list of names written to the disk itself. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """`flush` every file and folder below `folder`, and itself last."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            flush(Path(parent) / name)
        flush(Path(parent))


def write_durably(path: Path, text: str) -> None:
    """Write a small text file and flush it."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def discard(folder: Path, trash: Path) -> None:
    """Make a folder vanish in one step (it is moved into `trash`), then delete it. Nothing happens if it is gone.

    Whoever still writes into it by its old name fails at once, instead of filling a folder that is being deleted.
    What a killed process left in the trash is deleted on the way.
    """
    if not folder.exists():
        return
    trash.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(trash / uuid.uuid4().hex)
    except FileNotFoundError:
        return  # somebody else was quicker
    for moved in trash.iterdir():
        shutil.rmtree(moved, onerror=_unless_gone)


def _unless_gone(_function: Any, _path: str, caught: tuple[type[BaseException], BaseException, Any]) -> None:
    """Two processes may empty the trash at once, and a straggler may add a file: the next one deletes what stays."""
    error = caught[1]
    if not (isinstance(error, FileNotFoundError) or (isinstance(error, OSError) and error.errno == errno.ENOTEMPTY)):
        raise error


def free_space(folder: Path) -> str:
    """For people: `12 MB free of 64 GB`, on the disk of a folder that may not exist yet."""
    folder = next(parent for parent in (folder, *folder.parents) if parent.exists())
    usage = shutil.disk_usage(folder)
    return f"{size_text(usage.free)} free of {size_text(usage.total)}"


def size_text(count: float) -> str:
    """For people: `12 MB`, of a number of bytes."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
