"""The folder that compiled DAG files are written into: what in it is ours, and how a file is replaced."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from skillsengine.airflow.dagfile import MARKER

_LOCK = ".skillsengine.lock"
_HEAD = len(MARKER.encode())

Written = Literal["new", "replaced", "unchanged"]


def is_ours(path: Path) -> bool:
    """Whether a file begins with the marker: only such files are ever replaced or removed."""
    with path.open("rb") as file:
        return file.read(_HEAD) == MARKER.encode()


def ours(out: Path, but: Collection[str] = ()) -> list[str]:
    """The files below `out` that are ours, relative to it and sorted; those named in `but` are not looked at."""
    found = []
    for parent, _, names in os.walk(out):
        below = os.path.relpath(parent, out)
        for name in names:
            shown = name if below == "." else Path(below, name).as_posix()
            if name.endswith(".py") and shown not in but and (out / shown).is_file() and is_ours(out / shown):
                found.append(shown)
    return sorted(found)


def write(path: Path, text: str) -> Written:
    """Replace the file atomically if its text differs; its mtime then is newer than before, whatever the clock says.

    Airflow parses a file again when its mtime is newer than its last parse, so a return to an earlier text counts too.
    """
    data = text.encode()
    before = 0
    if path.exists():
        if path.read_bytes() == data:
            return "unchanged"
        before = path.stat().st_mtime_ns
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own length: the file's may be as long as names can be.
    beside = path.with_name(f".{os.getpid()}.part")
    try:
        beside.write_bytes(data)
        stamp = max(time.time_ns(), before + 1_000_000)
        os.utime(beside, ns=(stamp, stamp))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return "replaced" if before else "new"


def remove(path: Path, out: Path) -> None:
    """Remove a file, and the folders between it and `out` that it leaves empty."""
    path.unlink(missing_ok=True)
    folder = path.parent
    while folder != out and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


@contextmanager
def turn(out: Path) -> Iterator[None]:
    """Held by one process at a time."""
    with (out / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
