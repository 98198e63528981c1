"""A small disk of its own, for tests that fill it or take away the right to write on it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system in memory, mounted at the new folder `folder`; where that is not allowed the test is skipped."""
    folder.mkdir()
    command = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    made = command and subprocess.run([command, *options], capture_output=True)
    if not made or made.returncode != 0:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
