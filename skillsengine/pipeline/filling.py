"""Which runs fill missing cells of the matrix: what each of them is asked for, by the command line and by the pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from skillsengine.pipeline.bounds import MOST_CELLS
from skillsengine.pipeline.matrix import Cell
from skillsengine.spec.schema import Experiment

Pair = tuple[int, str]
"""(version, partition): what a run is asked for; with it come the baselines."""


def pairs(missing: Sequence[Cell]) -> list[Pair]:
    """What fills `missing`, each once: a baseline is made beside its version."""
    return list(dict.fromkeys((cell.version, cell.partition) for cell in missing))


def runs_for(missing: Sequence[Cell]) -> list[list[Pair]]:
    """The lists of the runs that fill `missing`, at most MOST_CELLS pairs each."""
    wanted = pairs(missing)
    return [wanted[start : start + MOST_CELLS] for start in range(0, len(wanted), MOST_CELLS)]


def asked_of_runs(experiment: Experiment, runs: Sequence[Sequence[Pair]]) -> Iterator[dict[str, Any]]:
    """What the form of each run of the evaluations DAG is filled in with. A source that is not dated has no cells to name."""
    for wanted in runs:
        if experiment.data.dated:
            yield {"cells": [f"{version}@{partition}" for version, partition in wanted]}
        else:
            yield {"versions": [str(version) for version, _ in wanted]}
