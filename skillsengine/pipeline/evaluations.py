"""Fill cells of the matrix: those of one partition, or a bounded list of them in one run.

A list is worked through version by version, so that a base is loaded once for all of its versions. Each cell is an artifact of
its own, published when it is done: whatever ends the run, the finished ones stay, and the next run finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from skillsengine.pipeline.cells import CellLayout, record_cell
from skillsengine.pipeline.execute import Observer, execute
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.pipeline.run import Run
from skillsengine.stages.contract import NothingToScore
from skillsengine.storage.catalog import CatalogError, VersionRow

Told = Callable[[str, str, Mapping[str, Any]], None]
"""Called with version, partition and metrics of each finished cell."""


def run_evaluation(run: Run, observer: Observer | None = None, told: Told | None = None) -> dict[str, Any]:
    """Score what the run asks for: the selected versions on its partition, or its list of cells. Cells that exist are not
    computed again.

    Returns {"partition", "cells": {version: metrics}, "passed_over": [..], "not_scored": {version: reason}}, and for a list of
    cells {"done", "cached", "passed_over", "not_scored"}: how many were computed, how many were there.
    Raises CatalogError if none of the references names a version.
    """
    with _one_base():
        return _listed(run, observer, told) if run.cells else _partition(run, observer)


def _one_base() -> AbstractContextManager[None]:
    """Within it a base stays loaded for the next version on it."""
    held: AbstractContextManager[None] = import_heavy("skillsengine.modeling.held").holding()
    return held


def _partition(run: Run, observer: Observer | None) -> dict[str, Any]:
    scored, passed_over = _resolve(run, run.versions or run.experiment.evaluations.versions)
    cells: dict[str, Any] = {}
    not_scored: dict[str, str] = {}
    for version in scored:
        try:
            metrics, _ = _fill(run, version, run.partition, observer)
        except NothingToScore as error:
            not_scored[version.name] = str(error)
        else:
            cells[version.name] = metrics
    return {"partition": run.partition, "cells": cells, "passed_over": passed_over, "not_scored": not_scored}


def _listed(run: Run, observer: Observer | None, told: Told | None) -> dict[str, Any]:
    scored, passed_over = _resolve(run, list(dict.fromkeys(str(number) for number, _ in run.cells)))
    computed = there = 0
    not_scored: dict[str, str] = {}
    for version in scored:
        for number, key in run.cells:
            if number != version.number:
                continue
            try:
                metrics, cached = _fill(run, version, key, observer)
            except NothingToScore as error:
                not_scored[f"{version.name} on {key}"] = str(error)
                continue
            there, computed = there + cached, computed + (not cached)
            if told:
                told(version.name, key, metrics)
    return {"done": computed, "cached": there, "passed_over": passed_over, "not_scored": not_scored}


def _resolve(run: Run, references: Sequence[str]) -> tuple[list[VersionRow], list[str]]:
    """(versions, each once; references that name none)."""
    model, found, passed_over = run.experiment.model_name, {}, []
    for reference in references:
        try:
            version = run.catalog.resolve(model, reference)
        except CatalogError:
            passed_over.append(reference)
            continue
        found[version.number] = version
    if not found:
        raise CatalogError(
            f"{model}: none of {', '.join(passed_over)} names a registered version. "
            f"Run the experiment `{run.experiment.name}` first, or see `skillsengine versions`."
        )
    return list(found.values()), passed_over


def _fill(run: Run, version: VersionRow, key: str, observer: Observer | None) -> tuple[dict[str, Any], bool]:
    """(metrics, whether the cell was there) of one cell."""
    layout = CellLayout(run.experiment, run.settings, run.options, version)
    around = run.around(observer)
    formatted, scored = layout.steps(key, run.sources.files[key])
    execute(formatted, around)
    result = execute(scored, around)
    record_cell(run.catalog, run.experiment.name, key, result)
    return dict(result.artifact.summary), result.cached
