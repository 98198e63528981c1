"""Where the ads of an experiment come from: its source, with the labels that people have made of it.

Whoever makes a `Source` without this door misses the label files, and so has other digests.
"""

from __future__ import annotations

from skillsengine.settings import Settings
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.sources.find import Source
from skillsengine.sources.memory import Memory
from skillsengine.spec.schema import Experiment
from skillsengine.storage.opening import open_labels


def source_of(
    experiment: Experiment,
    settings: Settings,
    *,
    trusted: bool = False,
    connect: Connect = environment_connect,
    memory: Memory | None = None,
    read: bool = True,
) -> Source:
    """The source of an experiment, with the labels that people have made of it. Raises SourceError as `Source` does."""
    return Source(
        experiment.data,
        settings.project,
        settings.allowed_roots,
        trusted=trusted,
        connect=connect,
        memory=memory,
        read=read,
        labels=open_labels(settings, experiment.name),
    )
