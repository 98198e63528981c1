"""From a version back to the bytes of its ads: the artifacts it was made of, the files they read, the run and the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skillsengine.pipeline.adapters import input_of
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import Catalog, VersionRow
from skillsengine.storage.store import Store


@dataclass(frozen=True)
class ReadFile:
    """One file that a `format` artifact was made of."""

    name: str
    sha256: str
    """Of its bytes (of its partition's rows, where a date column cuts it)."""
    split: str | None = None
    where: str | None = None
    """Path or address when the run read it; None where no run that read it is known."""


@dataclass(frozen=True)
class Node:
    """One artifact of a lineage."""

    stage: str
    key: str | None
    digest: str
    present: bool
    """Whether the store still holds it."""
    created: str | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Node, ...] = ()
    files: tuple[ReadFile, ...] = ()
    """`format` only."""

    @property
    def name(self) -> str:
        return self.stage if self.key is None else f"{self.stage}[{self.key}]"

    def as_json(self) -> dict[str, Any]:
        return {
            "artifact": self.name,
            "digest": self.digest,
            "present": self.present,
            "created": self.created,
            "files": [vars(file) for file in self.files],
            "inputs": [node.as_json() for node in self.inputs],
        }


@dataclass(frozen=True)
class Lineage:
    """Where a version came from."""

    version: VersionRow
    root: Node
    run_id: str | None
    """Airflow's or the command line's name of the run that registered it."""
    trigger: str | None
    spec_commit: str | None
    """Git commit of the spec's file."""
    overrides: tuple[str, ...] = ()
    """What the run had otherwise than that file."""

    def as_json(self) -> dict[str, Any]:
        return {
            "version": self.version.name,
            "experiment": self.version.experiment,
            "partition": self.version.partition,
            "run": self.run_id,
            "trigger": self.trigger,
            "spec_commit": self.spec_commit,
            "overrides": list(self.overrides),
            "made_of": self.root.as_json(),
        }


def trace(version: VersionRow, store: Store, catalog: Catalog) -> Lineage:
    """Walk from a registered version to the files. An artifact that the store has lost is a node that says so.

    Raises CatalogError where the catalog does not answer, StoreError for a manifest that cannot be read.
    """
    run = None if version.run_id is None else catalog.run_by_id(version.run_id)
    places = _places(run.options if run else {})
    root = _node(store, "register", str(version.artifact_digest), None, places)
    if run is None:
        return Lineage(version, root, None, None, None)
    return Lineage(
        version, root, run.run_id, run.trigger, run.spec_commit, overrides=tuple(run.options.get("overrides", ()))
    )


def _node(store: Store, stage: str, digest: str, key: str | None, places: Mapping[str, str]) -> Node:
    artifact = input_of(store, stage, digest)
    if artifact is None:
        return Node(stage, key, digest, present=False)
    manifest = artifact.manifest
    return Node(
        manifest.stage,
        manifest.key or key,
        digest,
        present=True,
        created=manifest.created,
        summary=manifest.summary,
        environment=manifest.environment,
        inputs=tuple(
            _node(store, name.partition("[")[0], found, name.partition("[")[2].rstrip("]") or None, places)
            for name, found in manifest.inputs.items()
            if went_in(manifest.stage, name, manifest.summary.get("trial"))
        ),
        files=_files(artifact, places),
    )


def went_in(stage: str, name: str, trial: str | None) -> bool:
    """Whether what the stage has made comes of the input `name`: of the trials of a `select` only `trial` went in."""
    return stage != "select" or name == f"finetune[{trial}]"


def _files(artifact: Artifact, places: Mapping[str, str]) -> tuple[ReadFile, ...]:
    files: Sequence[Mapping[str, Any]] = artifact.manifest.config.get("files", ())
    return tuple(ReadFile(f["name"], f["sha256"], f.get("split"), places.get(f["sha256"])) for f in files)


def _places(options: Mapping[str, Any]) -> dict[str, str]:
    """sha256 -> where the run read it."""
    return {
        file["sha256"]: str(file.get("uri", file.get("path")))
        for files in options.get("files", {}).values()
        for file in files
    }
