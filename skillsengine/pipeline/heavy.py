"""The door from the control plane to the data plane: what needs the extra `worker` is imported by name, when it is used."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from types import ModuleType

from skillsengine.stages.contract import StageError


def import_heavy(name: str) -> ModuleType:
    """Import a module of the data plane, e.g. `skillsengine.stages.format`.

    Raises StageError if a library that it needs is not installed: then this is a control plane, or not all of the
    extra is there.
    """
    # Read by OpenMP when torch loads it. Threads that spin while they wait starve their neighbours: on a CPU that others use
    # too, a training takes several times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        # Some print when they are imported (transformers where WANDB_MODE is offline), into a task's log or before an answer.
        with contextlib.redirect_stdout(io.StringIO()):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "skillsengine"):
            raise
        raise StageError(
            f"{name} needs the library `{missing}`, which is not installed in this Python: it is part of the extra `worker`. "
            "Install it (pip install 'skillsengine[worker]'), use the worker's image, or, in Airflow, let `resources.queue` "
            "of the spec name a queue whose workers have it."
        ) from error
