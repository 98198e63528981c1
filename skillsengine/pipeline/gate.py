"""The gate: a challenger becomes the champion if it is surely better than the present one, on the ads that both were scored on;
the first version, if it is surely better than the untuned base.

Surely: the whole interval of the paired difference lies above `gate.margin`, and a permutation test agrees. On fewer than
`gate.min_gold_skills` gold skills nothing is decided.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skillsengine.pipeline.plan import Plan, PlanError, Step
from skillsengine.scoring.comparison import Comparison, compare
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store

if TYPE_CHECKING:
    from skillsengine.scoring.intervals import Difference


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
    """The verdict: `{"verdict": "promote" | "keep" | "undecided", "reason", "number", "champion", "metric", "scores"}`.

    `champion` holds the steps that scored the present champion on this run's partition, empty if there is none or if it
    is this very adapter. `scores` has "challenger", "opponent", "rows", "gold_skills", and where it came to a comparison
    "difference", "low", "high" (its interval) and "p_value". Raises PlanError if a cell or the version is missing.
    """
    rule, model = experiment.gate, experiment.model_name
    version = catalog.find_version(model, plan.adapter.digest)
    if version is None:
        raise PlanError(f"{model}: this run's adapter is not registered: run stage `register` of this run first.")
    now = catalog.alias(model, "champion")
    own = plan.step("evaluate[adapter]")
    challenger = predictions(own, store)
    verdict: dict[str, Any] = {"number": version.number, "champion": now, "metric": rule.metric}
    if all(row["gold"] is None for row in challenger):
        reason = f"partition {plan.partition} has no labels" if experiment.data.dated else "no test row has labels"
        return verdict | {"verdict": "undecided", "reason": reason, "scores": {"rows": 0}}
    if now == version.number:
        reason = f"{version.name} is the champion already"
        return verdict | {"verdict": "keep", "reason": reason, "scores": {"rows": len(challenger)}}
    cell = next((step for step in champion if step.stage == "evaluate"), plan.step("evaluate[base]"))
    opponent = "the untuned base" if cell.key == "base" else f"the champion {model}@{now}"
    found = compare(challenger, predictions(cell, store), rule.metric)
    scores: dict[str, Any] = {
        "challenger": found.a,
        "opponent": found.b,
        "rows": found.rows,
        "gold_skills": found.scores_a.gold_skills,
    }
    told = (
        f"{version.name} has {rule.metric} {found.a:.3f} against {found.b:.3f} of {opponent}, on {found.rows} ads with "
        f"{found.scores_a.gold_skills} gold skills"
    )
    if found.scores_a.gold_skills < rule.min_gold_skills:
        few = f"too few to decide: gate.min_gold_skills is {rule.min_gold_skills}"
        return verdict | {"verdict": "undecided", "reason": f"{told}: {few}", "scores": scores}
    artifact = store.get("evaluate", own.digest)
    if artifact is not None and (low := _below_floors(artifact.summary, experiment)):
        return verdict | {"verdict": "keep", "reason": f"{told}, but {low}", "scores": scores}
    difference = _difference(found, rule.confidence)
    scores |= {
        "difference": difference.value,
        "low": difference.interval.low,
        "high": difference.interval.high,
        "p_value": difference.p_value,
    }
    told += f" (difference {difference.value:+.3f}, {difference.interval.low:+.3f} to {difference.interval.high:+.3f})"
    if difference.is_one and difference.interval.low > rule.margin:
        better = "better" + ("" if cell.key != "base" else ", and there is no champion yet")
        return verdict | {"verdict": "promote", "reason": f"{told}: {better}", "scores": scores}
    if difference.is_one and difference.value > 0:
        why = f"better, but not surely by more than gate.margin, {rule.margin:g}"
    elif difference.is_one:
        why = "worse"
    else:
        why = "no difference that chance could not make"
    return verdict | {"verdict": "keep", "reason": f"{told}: {why}", "scores": scores}


def _difference(found: Comparison, confidence: float) -> Difference:
    # Only here: scipy is imported by the one task that needs it.
    from skillsengine.scoring.intervals import counts, difference

    a, b = (counts((ad[0], ad[side]) for ad in found.ads) for side in (1, 2))
    return difference(a, b, found.metric, confidence)


def _below_floors(metrics: Mapping[str, Any], experiment: Experiment) -> str | None:
    """What of the challenger is below its floor, in words."""
    rule = experiment.gate
    floors = {"parse_rate": rule.min_parse_rate, "verbatim_rate": rule.min_verbatim_rate}
    for name, floor in floors.items():
        if (value := float(metrics.get(name, 1.0))) < floor:
            return f"its {name.replace('_', ' ')} of {value:.3f} is below gate.min_{name}, {floor:g}"
    return None


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
