"""The store of both kinds, for tests that hold of either: in a folder, and in a bucket of a real S3 server (moto)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from skillsengine.storage.artifact import MANIFEST
from skillsengine.storage.bucket import Bucket
from skillsengine.storage.cache import Cache
from skillsengine.storage.object_store import ObjectStore
from skillsengine.storage.store import Store
from tests.sources.servers import S3

ROOM = 10**9


class Kept(Protocol):
    """One store, and what somebody does to it behind its back."""

    store: Store

    def elsewhere(self) -> Store:
        """The same store, seen from another machine (in a folder: from another process)."""

    def alter(self, stage: str, digest: str, name: str, text: str) -> None:
        """Write over a file of an artifact, or its manifest."""

    def lose(self, stage: str, digest: str, name: str) -> None:
        """Delete a file of an artifact, or its manifest."""

    def add(self, stage: str, digest: str, name: str) -> None:
        """Put a file beside those of an artifact."""

    def forget(self, stage: str, digest: str) -> None:
        """Delete an artifact as the mend of an error says."""


@dataclass
class InFolder:
    """In a folder."""

    store: Store

    def elsewhere(self) -> Store:
        return Store(self.store.root)

    def _at(self, stage: str, digest: str, name: str) -> Path:
        return self.store.path_of(stage, digest) / name

    def alter(self, stage: str, digest: str, name: str, text: str) -> None:
        self._at(stage, digest, name).write_text(text)

    def lose(self, stage: str, digest: str, name: str) -> None:
        self._at(stage, digest, name).unlink()

    def add(self, stage: str, digest: str, name: str) -> None:
        self._at(stage, digest, name).write_text("")

    def forget(self, stage: str, digest: str) -> None:
        shutil.rmtree(self.store.path_of(stage, digest))


@dataclass
class InBucket:
    """In a bucket; `home` is the folder of this machine."""

    store: ObjectStore
    home: Path
    s3: S3
    machines: int = 0

    def elsewhere(self) -> ObjectStore:
        self.machines += 1
        home = self.home.with_name(f"{self.home.name}-{self.machines}")
        return ObjectStore(self.store.bucket, Cache(home / "cache", ROOM), home / "store" / "bases")

    def key(self, stage: str, digest: str, name: str) -> str:
        """Of a file that the manifest lists, or of the manifest, below the prefix."""
        below = f"artifacts/{stage}/{digest[:2]}/{digest}"
        if name == MANIFEST:
            return f"{below}/{name}"
        artifact = self.store.get(stage, digest)
        assert artifact is not None
        return f"{below}/{artifact.manifest.files[name].sha256}/{name}"

    def alter(self, stage: str, digest: str, name: str, text: str) -> None:
        self.store.bucket.write(self.key(stage, digest, name), text.encode())

    def lose(self, stage: str, digest: str, name: str) -> None:
        self.store.bucket.delete([self.key(stage, digest, name)])

    def add(self, stage: str, digest: str, name: str) -> None:
        self.store.bucket.write(f"artifacts/{stage}/{digest[:2]}/{digest}/{name}", b"")

    def forget(self, stage: str, digest: str) -> None:
        self.store.bucket.delete_below(f"artifacts/{stage}/{digest[:2]}/{digest}/")


@pytest.fixture
def in_bucket(s3: S3, tmp_path: Path) -> InBucket:
    s3.client.create_bucket(Bucket="talent")
    home = tmp_path / "home"
    store = ObjectStore(Bucket("talent", "skills/store"), Cache(home / "cache", ROOM), home / "store" / "bases")
    return InBucket(store, home, s3)


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.nightly)])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Each kind in turn."""
    if request.param == "s3":
        yield request.getfixturevalue("in_bucket")
    else:
        yield InFolder(Store(tmp_path / "store"))


@pytest.fixture
def store(kept: Kept) -> Store:
    return kept.store
