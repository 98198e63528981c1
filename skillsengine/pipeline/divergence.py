"""Trials that diverged. That is an outcome, kept in the store under the trial's digest as an adapter would be.

So what a sweep selects follows from its digests alone, and a run that is started again does not train for nothing. Other
failures (memory, a killed process) are none: the trial is trained again.
"""

from __future__ import annotations

from skillsengine.pipeline.plan import Step
from skillsengine.stages.contract import DIVERGED, Diverged
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.store import Store


def keep(step: Step, error: Diverged, store: Store) -> None:
    """Record that the trial of `step` diverged. Call it under the digest's lease."""
    with store.building(DIVERGED, step.digest) as out:
        reason = str(error)
        (out / "reason.txt").write_text(reason + "\n", encoding="utf-8")
        version = step.definition.version
        store.publish(
            out, Manifest(DIVERGED, version, step.key, step.digest, step.config, step.inputs, {"reason": reason})
        )


def kept(step: Step, store: Store) -> Diverged | None:
    """What the trial of `step` died of, if it is known to diverge; None of a step that is no trial."""
    record = store.get(DIVERGED, step.digest) if step.trial is not None else None
    return None if record is None else Diverged(str(record.summary["reason"]))
