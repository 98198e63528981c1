"""Why a step is not cached: compared with what the experiment's last run had in its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skillsengine.pipeline.plan import Plan, Step
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store

_SHOWN = 3


def explain(plan: Plan, store: Store, catalog: Catalog) -> Iterator[tuple[Step, str | None]]:
    """Each step with None if its artifact exists, else with what differs from the last run, in words.

    Of a step in `plan.unknown` only a run can tell whether its artifact exists.
    """
    before = _last_digests(plan, catalog)
    names = {step.digest: step.id for step in plan.steps}
    unknown = plan.unknown
    for step in plan.steps:
        if step.id in unknown:
            yield step, _unread(step)
        elif store.get(step.stage, step.digest) is not None:
            yield step, None
        elif step.id not in before:
            yield step, "never run"
        else:
            yield step, _difference(step, before[step.id], store, names)


def _unread(step: Step) -> str:
    files = [file for file in step.files if file.unread]
    if not files:
        return "depends on data that was never read"
    size = sum(file.size or 0 for file in files)
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"never read: {files[0].uri}{more} ({size / 1e6:.1f} MB); a run reads it first"


def _last_digests(plan: Plan, catalog: Catalog) -> dict[str, str]:
    """Step id -> digest in the newest runs of this experiment that had the step."""
    found: dict[str, str] = {}
    for run in catalog.list_runs(plan.experiment.name, limit=10):
        for row in catalog.steps_of(run.id):
            found.setdefault(row.step_id, row.digest)
    return found


def _difference(step: Step, digest: str, store: Store, names: dict[str, str]) -> str:
    if digest == step.digest:
        return "started before, not finished"
    old = store.get(step.stage, digest)
    if old is None:
        return "differs from the last run, whose artifact is gone"
    changes = []
    if old.manifest.version != step.definition.version:
        changes.append(f"stage version {old.manifest.version} -> {step.definition.version}")
    for path in sorted({*old.manifest.config, *step.config}):
        was, now = old.manifest.config.get(path), step.config.get(path)
        if was != now:
            changes.append("the data changed" if path == "files" else f"{path}: {_short(was)} -> {_short(now)}")
    for name, now in step.inputs.items():
        if old.manifest.inputs.get(name) != now:
            changes.append(f"{names.get(now, name)} changed")
    changes += [f"{name} left the window" for name in old.manifest.inputs if name not in step.inputs]
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return "; ".join(changes[:_SHOWN]) + more


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
