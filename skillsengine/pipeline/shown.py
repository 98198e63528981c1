"""What is shown of a run in W&B: who opens its W&B runs, and what is told after the stages.

Never a reason to fail: W&B decides nothing.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from skillsengine.pipeline.heavy import import_heavy
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment, Tracking
from skillsengine.stages.contract import StageError
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import VersionRow
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import StoreError
from skillsengine.tracking.server import mode_of

if TYPE_CHECKING:
    from skillsengine.tracking.tracker import Tracker

log = logging.getLogger(__name__)
_SUBJECTS = {"adapter": "", "base": "base_", "lexicon": "lexicon_"}
_SCORES = ("f1", "f1_low", "f1_high", "precision", "recall")


def tracked(
    experiment: Experiment, home: Path, run_id: str, stage: str, digest: str, partition: str | None = None
) -> Tracker:
    """Open the W&B run of a step of the run `run_id`, or of what follows from the steps; see `open_tracker`.

    `partition`, that of the run, is a tag beside those of the spec.
    """
    # Reached by name, as the stages are: the control plane never imports wandb.
    tracker: Tracker = import_heavy("skillsengine.tracking.tracker").open_tracker(
        experiment.tracking,
        home=home,
        group=f"{experiment.name}/{run_id}",
        stage=stage,
        digest=digest,
        config=experiment.model_dump(mode="json"),
        tags=(experiment.name, partition or "", *experiment.tags),
    )
    return tracker


def show_alias(version: VersionRow, alias: str, settings: Settings, run_id: str, reason: str) -> None:
    """Move `alias` in W&B's registry of models to `version`, by a small W&B run `promote` in the group of the run `run_id`.

    Only where runs are reported online: a registry cannot be told offline.
    """
    try:
        if mode_of(Tracking.model_validate(version.spec.get("tracking", {}))) != "online":
            return
        experiment = Experiment.model_validate(version.spec)
        artifact = _registered(version, settings)
        digest = f"{alias}:{version.artifact_digest}"
        opened = tracked(experiment, settings.home, run_id, "promote", digest, version.partition)
    except (ValidationError, StoreError, StageError) as error:  # an old spec, a damaged artifact, no wandb here
        log.warning("W&B: its registry is not told that %s is %s. %s", version.name, alias, error)
        return
    with opened as tracker:
        tracker.registered(artifact, alias, used=True)
        tracker.summary({alias: version.name, "reason": reason})


def show_report(version: VersionRow, experiment: Experiment, settings: Settings, run_id: str, page: str) -> None:
    """Show the report of the version that a run has registered, with its headline, as a small W&B run `report`."""
    if mode_of(experiment.tracking) == "disabled":
        return
    try:
        artifact = _registered(version, settings)
        digest = f"report:{version.artifact_digest}"
        opened = tracked(experiment, settings.home, run_id, "report", digest, version.partition)
    except (StoreError, StageError) as error:
        log.warning("W&B: the report is not shown there. %s", error)
        return
    with opened as tracker:
        tracker.used(artifact, experiment.name)
        tracker.html("report", page)
        tracker.summary(headline(version))


def headline(version: VersionRow) -> dict[str, Any]:
    """What one asks first: version, partition, its scores beside those of the baselines, and the gate's verdict."""
    scores = {
        f"{before}{name}": metrics[name]
        for subject, before in _SUBJECTS.items()
        for name in _SCORES
        if name in (metrics := version.metrics.get(subject, {}))
    }
    verdict = {name: version.verdict[name] for name in ("verdict", "reason")} if version.verdict else {}
    return {"version": version.name, "partition": version.partition, **scores, **verdict}


def _registered(version: VersionRow, settings: Settings) -> Artifact:
    """The version's artifact. Raises StoreError where it is not there, or damaged."""
    artifact = open_store(settings).get("register", version.artifact_digest or "")
    if artifact is None:
        raise StoreError(f"{version.name}: its artifact is not in the store {open_store(settings).place}.")
    return artifact
