"""Artifacts of the store as W&B shows them: what was made from what, down to the bytes of the ads.

The same artifact makes the same files and so the same version in W&B, whichever run tells of it. Small files are sent.
Large ones, and all that `format` writes (the ads), stay in the store, and W&B knows them by name, digest and sha256; only
a registered version is sent whole.
"""

from __future__ import annotations

import re
from typing import Any

from skillsengine.storage.artifact import Artifact

SENT_BYTES = 1_000_000
"""A file that is larger stays in the store."""
_MOST_NAME = 128


def name_of(artifact: Artifact, experiment: str) -> str:
    """The name that its versions share in W&B: `job-skills-data-2026-03`, `job-skills-adapter`; of a registered version
    its model's."""
    match artifact.stage:
        case "format":
            name = f"{experiment}-data-{artifact.key}"
        case "profile":
            name = f"{experiment}-lengths"
        case "finetune":
            name = f"{experiment}-adapter"
        case "select":
            name = f"{experiment}-chosen-adapter"
        case "evaluate":
            name = f"{experiment}-evaluation-{artifact.key}-{artifact.summary.get('partition')}"
        case "register":
            name = str(artifact.summary["model"])
        case other:
            name = f"{experiment}-{other}"
    return re.sub(r"[^\w.-]+", "-", name).strip("-")[:_MOST_NAME]


_TYPES = {
    "format": "data",
    "profile": "lengths",
    "finetune": "adapter",
    "select": "adapter",
    "evaluate": "evaluation",
    "register": "model",
}


def aliases_of(artifact: Artifact) -> list[str]:
    """Names of this version: the first 12 digits of its digest, and of a registered one its number."""
    number = [str(artifact.summary["number"])] if artifact.stage == "register" else []
    return [*number, artifact.digest[:12]]


def as_wandb(artifact: Artifact, experiment: str) -> Any:
    """The artifact as a `wandb.Artifact` that is not logged yet. Files are read where they lie, and must stay."""
    import wandb

    manifest = artifact.manifest
    made = wandb.Artifact(
        name_of(artifact, experiment),
        _TYPES.get(artifact.stage, artifact.stage),
        description=f"{artifact.stage} {artifact.digest}",
        metadata={
            "stage": artifact.stage,
            "stage version": manifest.version,
            "digest": artifact.digest,
            "key": artifact.key,
            "inputs": dict(manifest.inputs),
            "summary": dict(manifest.summary),
        },
    )
    for name, entry in sorted(manifest.files.items()):
        if artifact.stage == "register" or (artifact.stage != "format" and entry.size <= SENT_BYTES):
            # Immutable: W&B would copy each file into its staging folder.
            made.add_file(str(artifact.file(name)), name=name, policy="immutable", skip_cache=True)
        else:
            uri = f"skillsengine://{artifact.stage}/{artifact.digest}/{name}?sha256={entry.sha256}"
            made.add_reference(uri, name=name, checksum=False)
    return made
