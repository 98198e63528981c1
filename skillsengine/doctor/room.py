"""How much memory and disk there is."""

from __future__ import annotations

import shutil
from pathlib import Path


def memory() -> int:
    """Bytes of main memory."""
    import psutil

    return int(psutil.virtual_memory().total)


def nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder


def free_at(folder: Path) -> int:
    """Bytes free on the disk that `folder` is, or would be, on."""
    return shutil.disk_usage(nearest(folder)).free
