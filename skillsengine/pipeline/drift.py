"""How far a partition is from the training data of the version that is scored on it: measured once with each cell, kept in the
catalog with its metrics, and judged where it is told, by the spec's `drift`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from skillsengine.pipeline.adapters import input_of
from skillsengine.pipeline.execute import StepResult
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.spec.schema import Drift
from skillsengine.storage.catalog import CellRow
from skillsengine.storage.store import Store

if TYPE_CHECKING:
    from skillsengine.pipeline.run import Run

DRIFT = "drift"
"""Its name among the metrics of a cell."""
_SELECTION = "selection.json"


def with_drift(run: Run, cell: CellRow, result: StepResult) -> dict[str, Any]:
    """The metrics of a cell, with the drift of its partition under `drift`: `scoring.drift.measure` and {"skills_of": "gold" |
    "predictions" | None}, or {"unknown": why}. Measured where the cell lacks it, and kept with it; what another experiment
    has measured of the same artifact is taken over.

    Baselines have no training data of their own: their metrics stay as they are. Raises StageError where the worker extra is
    missing or the tokenizer cannot be read.
    """
    metrics = dict(cell.metrics)
    known = metrics.get(DRIFT)
    if result.step.key != "adapter" or (known is not None and "unknown" not in known):
        return metrics
    found = _measured_before(run, cell) or _measured(run, result)
    if found != known:
        run.catalog.add_to_cell(cell.id, DRIFT, found)
    return metrics | {DRIFT: found}


def _measured_before(run: Run, cell: CellRow) -> dict[str, Any] | None:
    """By another experiment, which scored the same adapter on the same rows: all that drift is made of is in the digest."""
    other = run.catalog.oldest_cell(cell.artifact_digest)
    known = other.metrics.get(DRIFT) if other is not None else None
    return known if known is not None and "unknown" not in known else None


def _measured(run: Run, result: StepResult) -> dict[str, Any]:
    store, step, data = run.store, result.step, run.experiment.data
    formatted = store.get("format", step.inputs["format"])
    if formatted is None:
        return {"unknown": "the partition's format artifact is not in the store"}
    try:
        reference, tokenizer = _training(store, step.inputs["finetune"])
    except _Unknown as why:
        return {"unknown": str(why)}
    compared = import_heavy("skillsengine.stages.compared")
    ads, said_by = compared.partition_ads(formatted, result.artifact, data.split, tokenizer, dated=data.dated)
    measured: dict[str, Any] = import_heavy("skillsengine.scoring.drift").measure(ads, reference)
    return measured | {"skills_of": said_by}


class _Unknown(Exception):
    """What drift is measured against is not there any more; the text says what."""


@lru_cache(maxsize=2)
def _training(store: Store, adapter: str) -> tuple[Any, Any]:
    """(training ads, tokenizer) of an adapter: a run scores one version on many partitions. Raises _Unknown."""
    finetuned = input_of(store, "finetune", adapter)
    if finetuned is None:
        raise _Unknown("the adapter is not in the store")
    selected = _SELECTION in finetuned.manifest.files
    inputs = finetuned.json(_SELECTION)["inputs"] if selected else finetuned.manifest.inputs
    formatted = {name: store.get("format", digest) for name, digest in inputs.items() if name.startswith("format[")}
    lost = sorted(name for name, artifact in formatted.items() if artifact is None)
    if lost:
        raise _Unknown(f"the training data's format artifact is not in the store ({', '.join(lost)})")
    compared = import_heavy("skillsengine.stages.compared")
    tokenizer = compared.tokenizer_of(finetuned)
    return compared.training_ads(finetuned, list(formatted.values()), tokenizer), tokenizer


@dataclass(frozen=True)
class Finding:
    """One of the things that may drift."""

    name: str
    """`unseen_skills`."""
    text: str
    """`unseen skills 41%`."""
    value: float
    threshold: float
    """The spec's."""
    chance: float
    """What chance makes of as few ads."""
    share: bool

    @property
    def drifted(self) -> bool:
        return self.value > max(self.threshold, self.chance)

    @property
    def limit(self) -> str:
        """What it had to be above, in words."""
        if self.chance > self.threshold:
            return f"by chance up to {_shown(self.chance, self.share)}"
        return f"threshold {_shown(self.threshold, self.share)}"


def findings(measured: Mapping[str, Any], rule: Drift) -> Iterator[Finding]:
    """What was measured of a partition; nothing of what is unknown."""
    predicted = "predicted " if measured.get("skills_of") == "predictions" else ""
    looked_at = (
        ("length", "length", "psi", "PSI ", rule.psi),
        ("tokens_per_word", "tokens per word", "psi", "PSI ", rule.psi),
        ("skills_per_ad", f"{predicted}skills per ad", "psi", "PSI ", rule.psi),
        ("unseen_skills", f"unseen {predicted}skills", "share", "", rule.unseen_skills),
        ("top_skills", f"top {predicted}skills", "js", "JS distance ", rule.js),
    )
    for name, words, number, unit, threshold in looked_at:
        if (found := measured.get(name)) is not None:
            share, value = number == "share", found[number]
            text = f"{words} {unit}{_shown(value, share)}"
            yield Finding(name, text, value, threshold, found["chance"], share)


def drifted(metrics: Mapping[str, Any], rule: Drift) -> list[Finding]:
    """What of a cell's partition has drifted."""
    return [found for found in findings(metrics.get(DRIFT) or {}, rule) if found.drifted]


def phrase(metrics: Mapping[str, Any], rule: Drift) -> str | None:
    """For a note: `drift: unseen skills 41% (threshold 30%)`; None where nothing has drifted, or it is not known."""
    told = [f"{found.text} ({found.limit})" for found in drifted(metrics, rule)]
    return f"drift: {', '.join(told)}" if told else None


def described(metrics: Mapping[str, Any], rule: Drift) -> str | None:
    """For a log: all that was measured, what has drifted first; None of a cell without drift."""
    measured = metrics.get(DRIFT)
    if measured is None:
        return None
    if "unknown" in measured:
        return f"drift: unknown, {measured['unknown']}"
    # Where chance alone is in the way of calling it drift, that is said.
    calm = ", ".join(
        f"{found.text} ({found.limit})" if found.value > found.threshold else found.text
        for found in findings(measured, rule)
        if not found.drifted
    )
    return "; ".join(filter(None, (phrase(metrics, rule) or "no drift", calm)))


def drift_lines(cells: Mapping[str, Mapping[str, Any]], rule: Drift) -> dict[str, str]:
    """Of cells by their names, for a log."""
    told = {name: described(metrics, rule) for name, metrics in cells.items()}
    return {name: words for name, words in told.items() if words is not None}


def label_free(metrics: Mapping[str, Any]) -> str:
    """The scores of a cell without labels: `unlabelled: parsed 100%, verbatim 83%, 3.1 skills an ad`."""
    return (
        f"unlabelled: parsed {metrics['parse_rate']:.0%}, verbatim {metrics['verbatim_rate']:.0%}, "
        f"{metrics['skills_per_ad']:.1f} skills an ad"
    )


def _shown(value: float, share: bool) -> str:
    return f"{value:.0%}" if share else f"{value:.2f}"
