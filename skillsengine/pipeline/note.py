"""A run's note: one line that tells a person what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skillsengine.pipeline.drift import label_free, phrase
from skillsengine.pipeline.plan import Plan
from skillsengine.scoring.wording import with_half
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog


def run_note(
    experiment: Experiment, plan: Plan | None, catalog: Catalog, run_pk: int, state: str, error: str | None
) -> str:
    """The note of a run that ended in `state`; `error` is what its failed task said. One that fills cells has no plan."""
    if state != "success":
        return f"{state}: {error or 'see the log of the failed task'}"
    if plan is None:
        return "done"
    version = catalog.find_version(experiment.model_name, plan.adapter.digest)
    if version is None or version.state != "ready":
        return "done; nothing was registered (a smoke test, or stopped before `register`)"
    steps = {step.step_id: step for step in catalog.steps_of(run_pk)}
    name = f"{version.model}@{version.number}"
    if steps and all(step.state == "cached" for step in steps.values()):
        return f"unchanged since {name}"
    scores = {
        subject: steps[f"evaluate[{subject}]"].summary
        for subject in ("adapter", "base", "lexicon")
        if f"evaluate[{subject}]" in steps
    }
    shown = ", ".join(f"{subject} {with_half(found)}" for subject, found in scores.items() if "f1" in found)
    chosen = steps[plan.adapter.id].summary if plan.adapter.id in steps else {}
    lost = f" ({chosen['diverged']} diverged)" if chosen.get("diverged") else ""
    trial = f" · best of {chosen['trials']} trials: {chosen['trial']}{lost}" if "trials" in chosen else ""
    metrics = _metrics(plan, catalog)
    told = f"F1: {shown}" if shown else label_free(metrics) if "parse_rate" in metrics else "no F1"
    drift = phrase(metrics, experiment.drift)
    moved = f" · {drift}" if drift else ""
    gate = _gate(catalog, version.model, version.number, run_pk)
    return f"{name} · {plan.partition} · {told}{moved}{trial}{gate}"


def _metrics(plan: Plan, catalog: Catalog) -> Mapping[str, Any]:
    """Of the cell that the run has made of its adapter; nothing where it stopped before."""
    own = plan.step("evaluate[adapter]").digest
    cells = catalog.cells(plan.experiment.name, partition=plan.partition)
    return next((cell.metrics for cell in cells if cell.artifact_digest == own), {})


def _gate(catalog: Catalog, model: str, number: int, run_pk: int) -> str:
    """Whether the version is the champion now; otherwise the gate's verdict, or what became of it, with the reason."""
    if catalog.alias(model, "champion") == number:
        return " · champion"
    data = catalog.run_by_id(run_pk).data
    verdict, outcome = data.get("gate"), data.get("promotion")
    if verdict is None:
        return ""
    if data.get("promoted") == number:
        return " · promoted, no longer the champion"
    if verdict["verdict"] == "promote" and outcome is not None:
        return f" · not promoted: {outcome['reason']}"
    return f" · {verdict['verdict']}: {verdict['reason']}"
