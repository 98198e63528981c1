"""Fill cells of the matrix: those of one partition, or a bounded list of them in one run, and the baselines beside them.

A list is worked through version by version, so that a base is loaded once for all of its versions, and once more for its
baseline. Each cell is an artifact of its own, published when it is done: whatever ends the run, the finished ones stay, and the
next run finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from skillsengine.pipeline.cells import CellLayout, mark_cell, record_cell, trained_on
from skillsengine.pipeline.drift import drift_lines, drifted, with_drift
from skillsengine.pipeline.execute import Observer, execute
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.pipeline.plan import Step
from skillsengine.pipeline.run import Run
from skillsengine.stages.contract import NothingToScore
from skillsengine.storage.catalog import CatalogError, VersionRow

Told = Callable[[str, str, Mapping[str, Any]], None]
"""Called with the name (`job-skills@7`, `base`, `lexicon of job-skills@7`), the partition and the metrics of each cell that was
computed."""


def run_evaluation(run: Run, observer: Observer | None = None, told: Told | None = None) -> dict[str, Any]:
    """Score what the run asks for: the selected versions on its partition, or its list of cells, and the baselines that
    `evaluations.baselines` names. Cells that exist are not computed again, and marked ones are not tried again.

    Returns {"partition", "cells": {version: metrics}, "baselines": {name: metrics}, "drift": {version: words},
    "passed_over": [..], "not_scored": {version: reason}}, and for a list of cells {"done", "cached", "drifted", "passed_over",
    "not_scored"}: how many were computed, how many were there, how many of both show drift.
    Raises CatalogError if none of the references names a version.
    """
    if run.cells:
        versions, passed_over = _resolve(run, list(dict.fromkeys(str(number) for number, _ in run.cells)))
        wanted = [(version, key) for version in versions for number, key in run.cells if number == version.number]
    else:
        versions, passed_over = _resolve(run, run.versions or run.experiment.evaluations.versions)
        wanted = [(version, run.partition) for version in versions]
    with _one_base():
        filled = _fill_all(run, wanted, observer, told)
    if run.cells:
        reasons = {f"{name} on {key}": reason for (name, key), reason in filled.not_scored.items()}
        done = {"done": filled.computed, "cached": filled.there, "drifted": filled.drifted}
        return done | {"passed_over": passed_over, "not_scored": reasons}
    return {
        "partition": run.partition,
        "cells": filled.cells,
        "baselines": filled.baselines,
        "drift": drift_lines(filled.cells, run.experiment.drift),
        "passed_over": passed_over,
        "not_scored": {name: reason for (name, _), reason in filled.not_scored.items()},
    }


def describe_filled(result: Mapping[str, Any]) -> str:
    """What came of a list of cells, in a line."""
    lost = len(result["not_scored"])
    parts = [f"{result['done']} cells filled", f"{result['cached']} were there"]
    parts += [f"{lost} could not be scored"] if lost else []
    parts += [f"{result['drifted']} of them show drift"] if result.get("drifted") else []
    return ", ".join(parts)


def _one_base() -> AbstractContextManager[None]:
    """Within it a base stays loaded for the next version on it."""
    held: AbstractContextManager[None] = import_heavy("skillsengine.modeling.held").holding()
    return held


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


@dataclass
class _Filled:
    """What came of the cells that were asked for."""

    computed: int = 0
    there: int = 0
    drifted: int = 0
    """How many of both are of a partition that has drifted from what the version was trained on."""
    cells: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By version: of a run of one partition."""
    baselines: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    not_scored: dict[tuple[str, str], str] = field(default_factory=dict)
    """(name, partition) -> why."""


def _fill_all(
    run: Run, wanted: Iterable[tuple[VersionRow, str]], observer: Observer | None, told: Told | None
) -> _Filled:
    """The versions first, one after the other, since they share a loaded base; then the baselines, each once."""
    marks, filled = run.catalog.marks(run.experiment.name), _Filled()
    layouts: dict[int, CellLayout] = {}
    baselines: dict[str, dict[str, tuple[str, Step, Step]]] = {
        name: {} for name in run.experiment.evaluations.baselines
    }

    def fill(name: str, key: str, formatted: Step, scored: Step, kept: dict[str, Mapping[str, Any]]) -> bool:
        try:
            metrics, cached = _fill(run, key, formatted, scored, marks, observer)
        except NothingToScore as error:
            filled.not_scored[name, key] = str(error)
            return False
        filled.there, filled.computed = filled.there + cached, filled.computed + (not cached)
        filled.drifted += bool(drifted(metrics, run.experiment.drift))
        kept[name] = metrics
        if told and not cached:
            told(name, key, metrics)
        return True

    for version, key in wanted:
        layout = layouts.setdefault(version.number, CellLayout(run.experiment, run.settings, run.options, version))
        formatted, scored = layout.steps(key, run.sources.files[key])
        if trained_on(version, run.experiment, key, formatted.digest):
            filled.not_scored[version.name, key] = f"{version.name} was trained on the partition {key}."
        elif fill(version.name, key, formatted, scored, filled.cells):
            for name, found in baselines.items():
                step = layout.baseline(name, formatted)
                found.setdefault(step.digest, (layout.called(name), formatted, step))
    for found in baselines.values():
        for name, formatted, scored in found.values():
            fill(name, str(formatted.key), formatted, scored, filled.baselines)
    return filled


def _fill(
    run: Run, key: str, formatted: Step, scored: Step, marks: Mapping[tuple[str, str], str], observer: Observer | None
) -> tuple[dict[str, Any], bool]:
    """(metrics, whether the cell was there) of one cell. Raises NothingToScore, and remembers it."""
    if (why := marks.get((scored.digest, key))) is not None:
        raise NothingToScore(why)
    around = run.around(observer)
    execute(formatted, around)
    try:
        result = execute(scored, around)
    except NothingToScore as error:
        mark_cell(run.catalog, run.experiment.name, key, scored, str(error))
        raise
    cell = record_cell(run.catalog, run.experiment.name, key, result)
    return with_drift(run, cell, result), result.cached
