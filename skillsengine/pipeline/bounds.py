"""What the command line and Airflow's DAGs share. Light: every DAG file that is parsed reads it."""

from __future__ import annotations

MOST_CELLS = 500
"""Cells of one run: what is asked for stands in the catalog and in Airflow's form."""
MOST_TRIED = 20_000
"""Characters of a text that a version is tried on in Airflow: it stands in the run's configuration. Five times a long ad."""
_SCORING = ("gate", "promote", "score")


def resources_of(task: str) -> str:
    """The stage whose `resources.stages` an Airflow task has: who may have to score a version has those of `evaluate`."""
    return "evaluate" if task in _SCORING else task
