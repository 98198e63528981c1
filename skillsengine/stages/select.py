"""select: of a sweep's trials the adapter that does best on the validation rows goes on.

Files: those of the chosen trial's `finetune` artifact, so that whoever takes an adapter takes this one, and selection.json
({"metric", "trial", "digest", "inputs", "environment" (of the chosen trial), "trials": [..]}), trials.png.

A trial that diverged is an outcome like a score, kept under the trial's digest: it is told with its reason, and never chosen.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.figure import Figure

from skillsengine.stages.contract import DIVERGED, Progress, StageConfig, StageContext, StageError, Summary
from skillsengine.stages.full_disk import full_disk
from skillsengine.stages.register import SELECTION
from skillsengine.storage.artifact import Artifact

VERSION = 1

PLOT = "trials.png"
_LOWER_IS_BETTER = frozenset({"validation_loss"})


@dataclass(frozen=True)
class Outcome:
    """What came of one trial."""

    trial: str
    """`finetune[r=8, learning_rate=0.0001]`."""
    digest: str
    score: float | None
    """None of a trial that diverged."""
    diverged: str | None = None
    """Its reason."""


def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """Choose among the trials `inputs`, which are `finetune` artifacts or the record that one diverged, in their order.

    Returns the chosen trial's summary, and {"trial" (its label), "trials", "diverged" (counts), "metric"}.

    Raises StageError where all have diverged, and for a trial without a score: there were no validation rows.
    """
    metric = config.spec.sweep.metric if config.spec.sweep else "validation_loss"
    outcomes = [_outcome(name, artifact, metric) for name, artifact in inputs.items()]
    chosen = best(outcomes, metric)
    winner = inputs[chosen.trial]
    with full_disk(out, "the chosen adapter"):
        for name in winner.manifest.files:
            _link(winner.path / name, out / name)
        selection = {
            "metric": metric,
            "trial": chosen.trial,
            "digest": chosen.digest,
            "inputs": dict(winner.manifest.inputs),
            "environment": dict(winner.manifest.environment),
            "trials": [asdict(outcome) for outcome in outcomes],
        }
        (out / SELECTION).write_text(json.dumps(selection, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        draw(outcomes, chosen, metric, out / PLOT)
    rows = [[label(o.trial), o.score, o.diverged, o is chosen] for o in outcomes]
    context.tracker.table("trials", ["trial", metric, "diverged", "chosen"], rows)
    context.tracker.image("trials", out / PLOT)
    context.report(Progress(f"{label(chosen.trial)} has the best {metric}: {chosen.score:.4f}", fraction=1.0))
    diverged = sum(outcome.diverged is not None for outcome in outcomes)
    told = {"trial": label(chosen.trial), "trials": len(outcomes), "diverged": diverged, "metric": metric}
    return {**winner.summary, **told}


def best(outcomes: Sequence[Outcome], metric: str) -> Outcome:
    """The trial with the best score, of equal ones the earliest. Raises StageError where all have diverged."""
    scored = [(outcome.score, outcome) for outcome in outcomes if outcome.score is not None]
    if not scored:
        raise StageError(
            f"none of the {len(outcomes)} trials of the sweep came to an end: all have diverged ({label(outcomes[0].trial)}: "
            f"{outcomes[0].diverged}). Sweep other values; `skillsengine run SPEC --force` trains these again."
        )
    sign = 1 if metric in _LOWER_IS_BETTER else -1
    return min(scored, key=lambda pair: sign * pair[0])[1]


def label(trial: str) -> str:
    """`finetune[r=8]` -> `r=8`."""
    return trial.partition("[")[2].removesuffix("]")


def _outcome(name: str, artifact: Artifact, metric: str) -> Outcome:
    if artifact.stage == DIVERGED:
        return Outcome(name, artifact.digest, None, str(artifact.summary["reason"]))
    score = artifact.summary.get(metric)
    if score is None:
        raise StageError(
            f"{name} has no {metric} to compare the trials by: no row of the partitions {_partitions(artifact)} was held out "
            "for validation. Raise data.split.validation, or give the source more rows."
        )
    return Outcome(name, artifact.digest, float(score))


def _partitions(artifact: Artifact) -> str:
    keys = [label(name) for name in artifact.manifest.inputs if name.startswith("format[")]
    return ", ".join(keys)


def _link(source: Path, target: Path) -> None:
    """Artifacts never change, so both may hold the same file; a copy where the file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def draw(outcomes: Sequence[Outcome], chosen: Outcome, metric: str, path: Path) -> None:
    """trials.png: a dot for each trial at its score, in the order of training from above; a cross where it diverged."""
    figure = Figure(figsize=(7, 1.2 + 0.28 * len(outcomes)), layout="constrained")
    axes = figure.subplots()
    for place, outcome in enumerate(outcomes):
        color = "tab:orange" if outcome is chosen else "tab:blue"
        if outcome.score is not None:
            axes.plot(outcome.score, place, color=color, marker="o")
        else:
            axes.plot(0.5, place, color="tab:red", marker="x", transform=axes.get_yaxis_transform())
    named = [label(o.trial) + (" (diverged)" if o.diverged else "") for o in outcomes]
    axes.set_yticks(range(len(outcomes)), named)
    axes.set(xlabel=metric.replace("_", " "))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
