"""Fill cells of the matrix: those of one partition, or a bounded list of them in one run, and the baselines beside them.

A list is worked through version by version, so that a base is loaded once for all of its versions, and once more for its
baseline. Each cell is an artifact of its own, published when it is done: whatever ends the run, the finished ones stay, and the
next run finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from skillsengine.pipeline.cells import CellLayout, mark_cell, record_cell, trained_on
from skillsengine.pipeline.drift import drift_lines, drifted, with_drift
from skillsengine.pipeline.execute import Observer, execute
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.pipeline.plan import Step, cached
from skillsengine.pipeline.rejected import counts
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
    "not_scored"}: how many were computed, how many were there, how many of both show drift. In both "rejected": {partition:
    `rejected.counts`} of those with rows that cannot be used.
    Raises CatalogError if none of the references names a version.
    """
    if run.cells:
        versions, passed_over = _resolve(run, list(dict.fromkeys(str(number) for number, _ in run.cells)))
        wanted = [(version, key) for version in versions for number, key in run.cells if number == version.number]
    else:
        versions, passed_over = _resolve(run, run.versions or run.experiment.evaluations.versions)
        wanted = [(version, run.partition) for version in versions]
    with ExitStack() as stack:
        filled = _Filling(run, observer, told, stack).fill(wanted)
    if run.cells:
        reasons = {f"{name} on {key}": reason for (name, key), reason in filled.not_scored.items()}
        done = {"done": filled.computed, "cached": filled.there, "drifted": filled.drifted}
        return done | {"passed_over": passed_over, "not_scored": reasons, "rejected": filled.rejected}
    return {
        "partition": run.partition,
        "cells": filled.cells,
        "baselines": filled.baselines,
        "drift": drift_lines(filled.cells, run.experiment.drift),
        "passed_over": passed_over,
        "not_scored": {name: reason for (name, _), reason in filled.not_scored.items()},
        "rejected": filled.rejected,
    }


def describe_filled(result: Mapping[str, Any]) -> str:
    """What came of a list of cells, in a line."""
    lost = len(result["not_scored"])
    parts = [f"{result['done']} cells filled", f"{result['cached']} were there"]
    parts += [f"{lost} could not be scored"] if lost else []
    parts += [f"{result['drifted']} of them show drift"] if result.get("drifted") else []
    if rejected := result.get("rejected"):
        parts += [
            f"{sum(each['rejected'] for each in rejected.values()):,} rows rejected in {', '.join(sorted(rejected))}"
        ]
    return ", ".join(parts)


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
    rejected: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of partitions with rows that cannot be used."""


class _Filling:
    """Fills cells, one after the other."""

    def __init__(self, run: Run, observer: Observer | None, told: Told | None, stack: ExitStack) -> None:
        self._run, self._around, self._told, self._stack = run, run.around(observer), told, stack
        self._marks, self._filled = run.catalog.marks(run.experiment.name), _Filled()
        self._holding = False

    def fill(self, wanted: Iterable[tuple[VersionRow, str]]) -> _Filled:
        """The versions first, one after the other, since they share a loaded base; then the baselines, each once."""
        run, filled = self._run, self._filled
        layouts: dict[int, CellLayout] = {}
        baselines: dict[str, dict[str, tuple[str, Step, Step]]] = {
            name: {} for name in run.experiment.evaluations.baselines
        }
        for version, key in wanted:
            if version.number not in layouts:
                layouts[version.number] = CellLayout(run.experiment, run.settings, run.options, version)
            layout = layouts[version.number]
            formatted, scored = layout.steps(key, run.sources.files[key])
            if trained_on(version, run.experiment, key, formatted.digest):
                filled.not_scored[version.name, key] = f"{version.name} was trained on the partition {key}."
            elif self._cell(version.name, key, formatted, scored, filled.cells):
                for name, found in baselines.items():
                    step = layout.baseline(name, formatted)
                    found.setdefault(step.digest, (layout.called(name), formatted, step))
        for found in baselines.values():
            for name, formatted, scored in found.values():
                self._cell(name, str(formatted.key), formatted, scored, filled.baselines)
        return filled

    def _cell(self, name: str, key: str, formatted: Step, scored: Step, kept: dict[str, Mapping[str, Any]]) -> bool:
        """Whether the cell is there now."""
        filled = self._filled
        try:
            metrics, was_there = self._made(key, formatted, scored)
        except NothingToScore as error:
            filled.not_scored[name, key] = str(error)
            return False
        filled.there, filled.computed = filled.there + was_there, filled.computed + (not was_there)
        filled.drifted += bool(drifted(metrics, self._run.experiment.drift))
        kept[name] = metrics
        if self._told and not was_there:
            self._told(name, key, metrics)
        return True

    def _made(self, key: str, formatted: Step, scored: Step) -> tuple[dict[str, Any], bool]:
        """(metrics, whether the cell was there). Raises NothingToScore, and remembers it."""
        run = self._run
        if (why := self._marks.get((scored.digest, key))) is not None:
            raise NothingToScore(why)
        rows = counts(execute(formatted, self._around).artifact.summary)
        if rows["rejected"]:
            self._filled.rejected[key] = rows
        if not cached(scored, run.store) and scored.key != "lexicon":
            self._hold()
        try:
            result = execute(scored, self._around)
        except NothingToScore as error:
            mark_cell(run.catalog, run.experiment.name, key, scored, str(error))
            raise
        cell = record_cell(run.catalog, run.experiment.name, key, result)
        return with_drift(run, cell, result), result.cached

    def _hold(self) -> None:
        """From now on a base stays loaded for the next version on it. Only here: torch is not loaded where all is there."""
        if not self._holding:
            self._stack.enter_context(import_heavy("skillsengine.modeling.held").holding())
            self._holding = True
