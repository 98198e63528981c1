"""Turn a full disk into StageError. Apart from `translate`, and without torch: `register` and `select` only copy files."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skillsengine.stages.contract import StageError

_FULL = {errno.ENOSPC, errno.EDQUOT}
# safetensors wraps the system's error into its own and keeps its words; torch.save only says that a write fell short.
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122")
_FULL_WORDS_OF_TORCH = ("PytorchStreamWriter failed writing", "unexpected pos ")


@contextmanager
def full_disk(folder: Path, what: str) -> Iterator[None]:
    """A write that finds no room becomes a StageError that names `what`, the folder and the space left."""
    try:
        yield
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        if not full and not any(words in str(error) for words in _FULL_WORDS + _FULL_WORDS_OF_TORCH):
            raise
        free = shutil.disk_usage(folder).free / 1024**2
        raise StageError(
            f"no room to write {what} in {folder}: {free:.0f} MB are free on that disk. Free some, or point "
            "SKILLSENGINE_HOME to a larger disk; then start the task again: it goes on from its newest checkpoint."
        ) from error
