"""What a stage leaves behind: an immutable directory with a manifest, named by its digest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact: sha256 in hex and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What determined an artifact, and what it holds."""

    stage: str
    version: int
    """VERSION of the stage's code that wrote it."""
    key: str | None
    """Partition key of a `format`, subject of an `evaluate` (`adapter`, `base`, `lexicon`), otherwise None."""
    digest: str
    """sha256 in hex over `config`, `inputs`, `stage` and `version`."""
    config: Mapping[str, Any]
    """The part of the spec, and of the run's options, that entered the digest."""
    inputs: Mapping[str, str]
    """Input name -> digest of the artifact that was read."""
    summary: Mapping[str, Any]
    """The small, plain result of the stage."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    """Path inside the artifact, with `/` -> its entry; the manifest itself is not listed."""
    created: str = ""
    """ISO time, UTC."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Library -> version, and the machine; for the lineage, never in the digest."""
    format: int = 1
    """Version of the manifest's own layout."""

    def to_json(self) -> str:
        data = {k: (dict(v) if isinstance(v, Mapping) else v) for k, v in self.__dict__.items()}
        data["files"] = {name: vars(entry) for name, entry in self.files.items()}
        return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Raises ValueError, TypeError, KeyError or AttributeError for what is no manifest."""
        data = json.loads(text)
        data["files"] = {_inside(name): FileEntry(**entry) for name, entry in data["files"].items()}
        return cls(**data)


def _inside(name: str) -> str:
    """Raises ValueError for a name that leads out of the artifact."""
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"it lists a file outside of the artifact, {name!r}")
    return name


class Files(Protocol):
    """Who brings the files of an artifact onto this machine."""

    def bring(self, names: Iterable[str]) -> None:
        """See that these files lie in the artifact's folder, whole, and stay there. Raises StoreError."""


@dataclass(frozen=True)
class Artifact:
    """A published artifact. Read it, never write into it.

    Its manifest is here; its files may lie in an object store until they are asked for. Keep the object as long as you use
    the files: then no cache lets them go.
    """

    folder: Path
    """Where the files lie, or will: for readers `path` and `file`."""
    manifest: Manifest
    files: Files | None = field(default=None, compare=False, repr=False)
    """None where all of them lie in `folder` anyway."""

    @property
    def path(self) -> Path:
        """The folder with all its files. Raises StoreError where they cannot be fetched."""
        if self.files is not None:
            self.files.bring(self.manifest.files)
        return self.folder

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def stage(self) -> str:
        return self.manifest.stage

    @property
    def key(self) -> str | None:
        return self.manifest.key

    @property
    def summary(self) -> Mapping[str, Any]:
        return self.manifest.summary

    def file(self, name: str) -> Path:
        """The path of one file. Raises FileNotFoundError naming the artifact where the manifest does not list it, StoreError
        where it cannot be fetched."""
        if name not in self.manifest.files:
            known = ", ".join(sorted(self.manifest.files)) or "nothing"
            raise FileNotFoundError(f"{name}: not in the {self.stage} artifact {self.folder} (it holds {known})")
        if self.files is not None:
            self.files.bring([name])
        return self.folder / name

    def part(self, folder: str) -> Path:
        """The path of one of its folders, with all that is in it; it need not be there. Raises StoreError as `path`."""
        if self.files is not None:
            self.files.bring([name for name in self.manifest.files if name.startswith(f"{folder}/")])
        return self.folder / folder

    def json(self, name: str) -> Any:
        return json.loads(self.file(name).read_text(encoding="utf-8"))
