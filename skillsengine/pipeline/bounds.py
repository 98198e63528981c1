"""What the command line and Airflow's DAGs share. Light: every DAG file that is parsed reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillsengine.spec.schema import Experiment

MOST_CELLS = 500
"""Cells of one run: what is asked for stands in the catalog and in Airflow's form."""
MOST_TRIED = 20_000
"""Characters of a text that a version is tried on in Airflow: it stands in the run's configuration. Five times a long ad."""
COMMON_POOL = "default_pool"
"""Airflow's pool for all: it counts tasks, and has as many slots as an installation lets run at once."""
_SCORING = ("gate", "promote", "score")


def resources_of(task: str) -> str:
    """The stage whose `resources.stages` an Airflow task has: who may have to score a version has those of `evaluate`."""
    return "evaluate" if task in _SCORING else task


def pool_of(experiment: Experiment, stage: str) -> str:
    """The pool of a stage's task."""
    own = {str(name): of.pool for name, of in experiment.resources.stages.items()}.get(stage)
    return own or experiment.resources.pool


def slots_of(experiment: Experiment, task: str) -> int:
    """Slots of its pool that an Airflow task takes: a training one for each of its GPUs, in a pool of one's own; else one.

    In Airflow's common pool that would only keep a training on many GPUs from ever starting, where the pool is small.
    """
    resources, stage = experiment.resources, resources_of(task)
    counted = stage == "finetune" and resources.device == "cuda" and pool_of(experiment, stage) != COMMON_POOL
    return resources.gpus if counted else 1
