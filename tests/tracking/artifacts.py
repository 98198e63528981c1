"""Artifacts of the store, made up."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from skillsengine.storage.artifact import Artifact, FileEntry, Manifest


def make_artifact(
    folder: Path, stage: str, files: dict[str, bytes], *, key: str | None = None, **summary: Any
) -> Artifact:
    """An artifact of `files` in `folder`, with a digest that its stage and key decide."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    digest = hashlib.sha256(f"{stage} {key}".encode()).hexdigest()
    entries = {name: FileEntry(hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()}
    return Artifact(folder, Manifest(stage, 1, key, digest, {}, {}, summary, entries))
