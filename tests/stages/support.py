"""What a stage needs around it in a test: a config with the guarded view, a context, and artifacts to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skillsengine.pipeline.graph import StageDef, narrow
from skillsengine.spec.schema import Experiment
from skillsengine.stages.contract import Limit, Progress, SourceFile, StageConfig, StageContext
from skillsengine.storage.artifact import Artifact, FileEntry, Manifest


@dataclass
class Recorder:
    """A tracker that remembers what a stage sent."""

    images: dict[str, Path] = field(default_factory=dict)
    tables: dict[str, list[list[Any]]] = field(default_factory=dict)
    logged: list[Mapping[str, float]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.logged.append(metrics)

    def table(self, name: str, columns: list[str], rows: list[list[Any]], step: int | None = None) -> None:
        self.tables[name] = [columns, *rows]

    def image(self, name: str, path: Path) -> None:
        self.images[name] = path

    def summary(self, values: Mapping[str, Any]) -> None:
        self.values.update(values)


@dataclass
class Surroundings:
    """A context and what came out of it."""

    folder: Path
    reports: list[Progress] = field(default_factory=list)
    tracker: Recorder = field(default_factory=Recorder)

    @property
    def context(self) -> StageContext:
        return StageContext(
            report=self.reports.append,
            guard=lambda: None,
            tracker=self.tracker,
            checkpoints=self.folder / "checkpoints",
            bases=self.folder / "bases",
            allowed_roots=(self.folder,),
        )


def experiment(**sections: Any) -> Experiment:
    """An experiment named `test` on a static source, with the given sections."""
    return Experiment.model_validate({"name": "test", "data": {"source": "ads"}, **sections})


def config_for(
    stage: StageDef,
    spec: Experiment,
    *,
    files: Iterable[SourceFile] = (),
    limit: Limit | None = None,
    key: str | None = None,
) -> StageConfig:
    """A config as the pipeline makes it: the stage sees only what it declares."""
    return StageConfig(spec=narrow(spec, stage), key=key, files=tuple(files), limit=limit)


def source_file(path: Path, split: str | None = None) -> SourceFile:
    return SourceFile(path, hashlib.sha256(path.read_bytes()).hexdigest(), split)


def write_lines(path: Path, rows: Iterable[Any]) -> SourceFile:
    """A file of JSON lines; bytes and strings are written as they are, one a line."""
    with path.open("wb") as file:
        for row in rows:
            raw = row.encode() if isinstance(row, str) else row if isinstance(row, bytes) else json.dumps(row).encode()
            file.write(raw + b"\n")
    return source_file(path)


def as_artifact(folder: Path, stage: str, summary: Mapping[str, Any], **config: Any) -> Artifact:
    """What stands in `folder` as an artifact with a manifest, digest = sha256 of its files."""
    files = {
        str(path.relative_to(folder)): FileEntry(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    return Artifact(folder, Manifest(stage, 1, None, digest, config, {}, summary, files))
