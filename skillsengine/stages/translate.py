"""Turn what a retry cannot heal into StageError, so that Airflow fails the task at once and shows the text."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.memory import out_of_memory
from skillsengine.stages.contract import StageError

_FULL = {errno.ENOSPC, errno.EDQUOT}
# safetensors wraps the system's error into its own and keeps its words; torch.save only says that a write fell short.
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122")
_FULL_WORDS_OF_TORCH = ("PytorchStreamWriter failed writing", "unexpected pos ")


@contextmanager
def model_errors() -> Iterator[None]:
    """A ModelError becomes a StageError with its text; one that a retry may heal (the network) passes as it is."""
    try:
        yield
    except ModelError as error:
        if error.retry:
            raise
        raise StageError(str(error)) from error


@contextmanager
def memory_errors(what: str, mend: str) -> Iterator[None]:
    """A lack of memory, on a GPU or a CPU, becomes a StageError that names `what` was at work: the next attempt would have no
    more of it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        said = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
        raise StageError(f"out of memory while {what}: {said}. {mend}") from error


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
