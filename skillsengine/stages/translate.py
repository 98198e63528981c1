"""Turn what a retry cannot heal into StageError, so that Airflow fails the task at once and shows the text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.memory import out_of_memory
from skillsengine.stages.contract import StageError


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
