"""Bring the base of a spec to this machine before a run needs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skillsengine.doctor.finding import gigabytes
from skillsengine.modeling.hub import look
from skillsengine.modeling.location import is_hub_id, locate
from skillsengine.pipeline.plan import base_roots
from skillsengine.settings import Settings
from skillsengine.spec.schema import BUILTIN_BASE, Experiment
from skillsengine.storage.opening import open_store


@dataclass(frozen=True)
class Fetched:
    """Where the base is now."""

    folder: Path | None
    seconds: float
    pin: str | None = None
    """Commit that `base.revision` should name, where it names none."""
    problem: str | None = None
    """Why nothing was fetched, with the mend."""


def fetch(experiment: Experiment, settings: Settings, *, trusted: bool, tell: Callable[[str], None]) -> Fetched:
    """Fetch the base, resuming what was interrupted; `tell` gets lines for people.

    Raises ModelError: unknown, gated, no such revision, offline, no network, a disk that is full.
    """
    base, started = experiment.base, time.monotonic()
    commit: str | None = None
    if base.model == BUILTIN_BASE:
        tell(f"{base.model} comes with the installation; converting it if that has not been done (about a minute)")
    elif is_hub_id(base.model, settings.project):
        files = look(base.model, base.revision)
        commit = files.commit
        if files.missing > files.free:
            return Fetched(
                None,
                time.monotonic() - started,
                problem=f"{base.model} needs {gigabytes(files.missing)} more, and {gigabytes(files.free)} are free in "
                f"{files.cache}. Make room, or let HF_HOME name a larger disk.",
            )
        what = f"{gigabytes(files.missing)} to fetch" if files.missing else "all there already"
        tell(f"{base.model} at commit {files.commit[:12]}: {gigabytes(files.size)} in {files.files} files, {what}")
    else:
        tell(f"{base.model} is a local folder: nothing to fetch; looking whether it is whole")
    roots = base_roots(experiment, settings, trusted=trusted)
    place = locate(base, bases=open_store(settings).bases, allowed_roots=roots)
    pinned = base.revision if base.revision == commit else None
    return Fetched(place.folder, time.monotonic() - started, pin=None if pinned else commit)
