"""Versions and cells of a made-up past, put into a real catalog and a real store: what the gate judges by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skillsengine.pipeline.cells import CellLayout
from skillsengine.pipeline.plan import find_sources
from skillsengine.pipeline.run import Run
from skillsengine.spec.load import resolved
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import VersionRow

GOLD = ("a", "b")
Answers = Mapping[str, Sequence[str]]
"""Id of an ad -> the skills that were predicted for it."""


def said(right: int, wrong: int = 0, ads: int = 40) -> dict[str, list[str]]:
    """Answers for ads with the gold a, b: both right in the first `right`, one invented in the last `wrong`."""
    return {f"{n}": (["a", "b"] if n < right else []) + (["c"] if n >= ads - wrong else []) for n in range(ads)}


def version(run: Run, adapter: str, trained_on: Mapping[str, str] | None = None) -> VersionRow:
    """A ready version of the adapter with that digest; `trained_on` is partition -> digest of its `format` artifact."""
    spec, model = run.experiment, run.experiment.model_name
    row = run.catalog.allocate_version(
        model, adapter, experiment=spec.name, partition=run.partition, run_id=run.id, spec=resolved(spec)
    )
    lineage = {"format": dict(trained_on or {})}
    return run.catalog.publish_version(model, row.number, f"r{row.number}", "/nowhere", {}, lineage)


def adapter_named(name: str) -> str:
    """A digest."""
    return hashlib.sha256(name.encode()).hexdigest()


def champion(run: Run, trained_on: Mapping[str, str] | None = None, name: str = "old") -> VersionRow:
    """A version that is the champion, though its adapter is nowhere."""
    row = version(run, adapter_named(name), trained_on)
    run.catalog.set_alias(row.model, "champion", row.number, reason="before")
    return row


def challenger(run: Run) -> VersionRow:
    """The version of the run's own adapter; its first call registers it."""
    return version(run, run.plan.adapter.digest, {key: f"f{key}" for key in run.sources.window})


def answers(
    run: Run,
    who: VersionRow | None,
    predicted: Answers,
    key: str | None = None,
    gold: Sequence[str] | None = GOLD,
    words: Callable[[int], int] = lambda place: 100,
    **summary: Any,
) -> str:
    """Publish the cell of `who` (None: the untuned base) on a partition, the run's own by default. Returns its digest."""
    key = key or run.partition
    files = run.sources.files.get(key) or find_sources(run.experiment, key, run.settings, trains=False).files[key]
    layout = CellLayout(run.experiment, run.settings, run.options, who or challenger(run))
    formatted, step = layout.steps(key, files)
    if who is None:
        step = layout.baseline("base", formatted)
    with run.store.building("evaluate", step.digest) as out:
        rows = [
            {"id": name, "key": name, "words": words(n), "gold": gold, "predicted": skills, "raw": "", "parsed": True}
            for n, (name, skills) in enumerate(predicted.items())
        ]
        (out / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        version_ = step.definition.version
        run.store.publish(out, Manifest("evaluate", version_, step.key, step.digest, step.config, step.inputs, summary))
    return step.digest
