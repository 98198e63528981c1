"""What tells one state of a file from another without reading it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_TICK = 50_000_000
"""Nanoseconds. File systems tell times apart by some milliseconds: what is written twice within one tick looks the same."""


class Stamp(NamedTuple):
    """Which file stands at a path, and when it changed last. The time of the last change of the file's entry (`changed`) is
    set by the kernel alone: a file that is put in place with an old date of its own is seen too."""

    device: int
    inode: int
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds since 1970, as the file's writer says."""
    changed: int
    """Nanoseconds since 1970, by the clock of the machine that keeps the file."""

    @classmethod
    def of(cls, stat: os.stat_result) -> Stamp:
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def stamp_of(path: Path | str) -> Stamp | None:
    """The stamp of the file at a path, links followed; None where there is none."""
    try:
        return Stamp.of(os.stat(path))  # noqa: PTH116 - a thousand files every few seconds
    except OSError:
        return None


def told_apart(stamps: Iterable[Stamp], now: int | None = None) -> bool:
    """Whether a later change of these files must show in their stamps: none of them changed within the last tick."""
    since = (time.time_ns() if now is None else now) - _TICK
    return all(stamp.changed < since for stamp in stamps)
