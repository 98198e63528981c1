"""The gate, first form: a challenger becomes the champion if it beats the untuned base and the present champion,
each on the rows that both were scored on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from skillsengine.pipeline.plan import Plan, PlanError, Step
from skillsengine.scoring.comparison import compare
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store


def predictions(step: Step, store: Store) -> list[dict[str, Any]]:
    """The rows of a cell. Raises PlanError if the cell is not in the store."""
    artifact = store.get("evaluate", step.digest)
    if artifact is None:
        raise PlanError(f"{step.id} is not in the store {store.root}: run stage `evaluate` of this run first.")
    lines = artifact.file("predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def judge(
    experiment: Experiment, plan: Plan, store: Store, catalog: Catalog, champion: Sequence[Step]
) -> dict[str, Any]:
    """The verdict: `{"verdict": "promote" | "keep", "reason", "number", "champion", "metric", "scores"}`.

    `champion` holds the steps that scored the present champion on this run's partition, empty if there is none or if it
    is this very adapter. Raises PlanError if a cell or the version is missing.
    """
    metric, model = experiment.gate.metric, experiment.model_name
    version = catalog.find_version(model, plan.adapter.digest)
    if version is None:
        raise PlanError(f"{model}: this run's adapter is not registered: run stage `register` of this run first.")
    now = catalog.alias(model, "champion")
    challenger = predictions(plan.step("evaluate[adapter]"), store)
    name = f"{model}@{version.number}"
    verdict: dict[str, Any] = {"number": version.number, "champion": now, "metric": metric}
    if all(row["gold"] is None for row in challenger):
        reason = f"partition {plan.partition} has no labels" if experiment.data.dated else "no test row has labels"
        return verdict | {"verdict": "keep", "reason": reason, "scores": {"rows": 0}}
    against_base = compare(challenger, predictions(plan.step("evaluate[base]"), store), metric)
    scores = {"challenger": against_base.a, "base": against_base.b, "rows": against_base.rows}
    beats = f"{name} has {metric} {against_base.a:.3f} against {against_base.b:.3f} of the untuned base"
    if now == version.number:
        return verdict | {"verdict": "keep", "reason": f"{name} is the champion already", "scores": scores}
    if against_base.a <= against_base.b:
        return verdict | {"verdict": "keep", "reason": f"{beats}: no better", "scores": scores}
    cell = next((step for step in champion if step.stage == "evaluate"), None)
    if cell is None:
        return verdict | {"verdict": "promote", "reason": f"{beats}, and there is no champion yet", "scores": scores}
    against = compare(challenger, predictions(cell, store), metric)
    scores |= {"against_champion": against.a, "champion": against.b, "rows_with_champion": against.rows}
    beats += f", and {against.a:.3f} against {against.b:.3f} of the champion {model}@{now}"
    better = against.a > against.b
    reason = f"{beats}, on {against.rows} rows" + ("" if better else ": no better than the champion")
    return verdict | {"verdict": "promote" if better else "keep", "reason": reason, "scores": scores}


def note(experiment: Experiment, plan: Plan, catalog: Catalog, run_pk: int, state: str, error: str | None) -> str:
    """One line that tells a person what came of the run."""
    if state != "success":
        return f"{state}: {error or 'see the log of the failed task'}"
    version = catalog.find_version(experiment.model_name, plan.adapter.digest)
    if version is None or version.state != "ready":
        return "done; nothing was registered (a smoke test, or stopped before `register`)"
    steps = {step.step_id: step for step in catalog.steps_of(run_pk)}
    name = f"{version.model}@{version.number}"
    if steps and all(step.state == "cached" for step in steps.values()):
        return f"unchanged since {name}"
    scores = {
        subject: steps[f"evaluate[{subject}]"].summary.get("f1")
        for subject in ("adapter", "base", "lexicon")
        if f"evaluate[{subject}]" in steps
    }
    shown = ", ".join(f"{subject} {score:.3f}" for subject, score in scores.items() if isinstance(score, float))
    chosen = steps[plan.adapter.id].summary if plan.adapter.id in steps else {}
    lost = f" ({chosen['diverged']} diverged)" if chosen.get("diverged") else ""
    trial = f" · best of {chosen['trials']} trials: {chosen['trial']}{lost}" if "trials" in chosen else ""
    champion = " · champion" if catalog.alias(version.model, "champion") == version.number else ""
    told = f"F1: {shown}" if shown else "no labels, so no F1"
    return f"{name} · {plan.partition} · {told}{trial}{champion}"
