"""A run's adapter as others take it in: what `finetune` has trained, or what `select` has chosen among trials."""

from __future__ import annotations

from skillsengine.pipeline import graph
from skillsengine.spec.schema import Experiment
from skillsengine.spec.trials import trials
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.store import Store


def input_of(store: Store, name: str, digest: str) -> Artifact | None:
    """The artifact behind an input's name (`format[2026-03]`, `profile`, `finetune`); None where it is not in the store.

    Who takes in `finetune` takes in an adapter, that of `select` too.
    """
    stage = name.partition("[")[0]
    artifact = store.get(stage, digest)
    if artifact is None and stage == graph.FINETUNE.name:
        return store.get(graph.SELECT.name, digest)
    return artifact


def trained_spec(experiment: Experiment, adapter: Artifact) -> Experiment:
    """`experiment` as `adapter` was trained: of a sweep with the values of the trial that was chosen, beside the sweep."""
    if adapter.stage != graph.SELECT.name:
        return experiment
    chosen = adapter.summary["trial"]
    trial = next(trial for trial in trials(experiment) if trial.label == chosen)
    return trial.spec.model_copy(update={"sweep": experiment.sweep})
