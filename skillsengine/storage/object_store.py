"""The store on an object store: the same artifacts, in a bucket that every worker sees.

    artifacts/<stage>/<digest[:2]>/<digest>/<sha256>/<name>    the files, each under the sha256 of its bytes
                                            manifest.json      written last: without it the artifact does not exist
    checkpoints/<digest>/                                      `checkpoints_kept`
    labels/, reports/                                          as in a folder

Files lie under their sha256 because two attempts may publish one digest at once, with other bytes: the first manifest wins, and
what it names is never written over. Artifacts are built on this machine, and fetched to it file by file, when needed (`cache`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from skillsengine.storage.artifact import MANIFEST, Artifact, FileEntry, Manifest
from skillsengine.storage.bucket import ABSENT, Bucket, Listed
from skillsengine.storage.cache import Cache, Held
from skillsengine.storage.checkpoints_kept import Keeper, fetch_kept, kept_leftovers
from skillsengine.storage.files import discard, flush, sha256_of
from skillsengine.storage.machine_faults import machine_fault
from skillsengine.storage.store import Leftover, Store, StoreError, sealed

log = logging.getLogger(__name__)

_CACHE_MEND = "lower SKILLSENGINE_CACHE_GB, or let SKILLSENGINE_CACHE name a folder on a larger disk"

_VERSIONS: dict[str, Artifact] = {}
"""Those whose folder was handed out: they stay in the cache while this process lives."""


class ObjectStore(Store):
    """Artifacts below the prefix of a bucket; `root` is the cache, where they are built and fetched to.

    Making the object asks nobody. Methods raise StoreError where the bucket does not answer or refuses.
    """

    full_mend = "let SKILLSENGINE_CACHE name a folder on a larger disk"

    def __init__(self, bucket: Bucket, cache: Cache, bases: Path) -> None:
        super().__init__(cache.root)
        self.bucket, self.cache, self._bases = bucket, cache, bases

    @property
    def place(self) -> str:
        return self.bucket.address()

    @property
    def bases(self) -> Path:
        """They are converted on each worker from what is installed there; it exists."""
        self._bases.mkdir(parents=True, exist_ok=True)
        return self._bases

    def _key(self, stage: str, digest: str) -> str:
        return self.path_of(stage, digest).relative_to(self.root).as_posix()

    def place_of(self, stage: str, digest: str) -> str:
        return self.bucket.address(self._key(stage, digest))

    def remake(self, stage: str, digest: str) -> str:
        place = self.place_of(stage, digest)
        return f"Delete the objects below {place}/ (`aws s3 rm --recursive {place}/`): the next run makes it again."

    def get(self, stage: str, digest: str) -> Artifact | None:
        """As `Store.get`, with one request; files are fetched when they are asked for."""
        found = self.bucket.read(f"{self._key(stage, digest)}/{MANIFEST}")
        if found is None:
            return None
        try:
            text = found[0].decode("utf-8")
        except ValueError as error:
            place = f"{self.place_of(stage, digest)}/{MANIFEST}"
            raise StoreError(f"{place} is damaged: {error}. {self.remake(stage, digest)}") from error
        return self._artifact(self._manifest(text, stage, digest))

    def _artifact(self, manifest: Manifest) -> Artifact:
        stage, digest = manifest.stage, manifest.digest
        # By its bytes, too: an artifact that was removed and made anew may have others.
        told = json.dumps({name: entry.sha256 for name, entry in manifest.files.items()}, sort_keys=True)
        entry = self.cache.artifact(stage, digest, hashlib.sha256(told.encode()).hexdigest()[:16])
        files = FetchedFiles(
            self.bucket, self.cache, entry, self._key(stage, digest), manifest.files, self.remake(stage, digest)
        )
        return Artifact(entry / "files", manifest, files)

    def publish(self, building: Path, manifest: Manifest) -> Artifact:
        """As `Store.publish`: the files go up, then the manifest, unless there is one by now. What a killed attempt had sent
        goes. The folder stays in the cache."""
        key = self._key(manifest.stage, manifest.digest)
        manifest = sealed(building, manifest)
        if (existing := self.get(manifest.stage, manifest.digest)) is not None:
            return existing
        keys = {_file(key, name, entry): building / name for name, entry in manifest.files.items()}
        try:
            self.bucket.upload(keys)
        except FileNotFoundError as error:
            sealed(building, manifest)  # says that another attempt has cleared the folder away
            raise error
        text = manifest.to_json().encode()
        if not self.bucket.write(f"{key}/{MANIFEST}", text, instead_of=ABSENT):
            existing = self.get(manifest.stage, manifest.digest)
            if existing is not None:  # another attempt's, or ours, whose answer was lost on the way
                theirs = {_file(key, name, entry) for name, entry in existing.manifest.files.items()}
                self.bucket.delete(sorted(keys.keys() - theirs))
                return existing
            self.bucket.write(f"{key}/{MANIFEST}", text)
        # Only now: before, an attempt that still sends might win, and what it had sent would be missing.
        there = (found.key for found in self.bucket.list(f"{key}/"))
        if strays := sorted(at for at in there if at not in keys and at != f"{key}/{MANIFEST}"):
            self.bucket.delete(strays)
        artifact = self._artifact(manifest)
        if isinstance(artifact.files, FetchedFiles):
            artifact.files.adopt(building)
        return artifact

    def verify(self, artifact: Artifact) -> list[str]:
        """As `Store.verify`, of the objects in the bucket: all of them are read, one after the other."""
        key, problems = self._key(artifact.stage, artifact.digest), []
        found = {listed.key: listed.size for listed in self.bucket.list(f"{key}/")}
        found.pop(f"{key}/{MANIFEST}", None)
        scratch = self._building / f"{artifact.digest}.verify-{uuid.uuid4().hex[:8]}"
        wanted = {(_file(key, name, entry)): (name, entry) for name, entry in artifact.manifest.files.items()}
        for at, (name, entry) in sorted(wanted.items(), key=lambda each: each[1][0]):
            size = found.pop(at, None)
            if size is None:
                problems.append(f"{name}: missing")
            elif size != entry.size:
                problems.append(f"{name}: has {size} bytes, the manifest says {entry.size}")
            else:
                scratch.mkdir(parents=True)
                try:
                    self.bucket.download({at: (scratch / "file", size)})
                    sha256, _ = sha256_of(scratch / "file")
                finally:
                    shutil.rmtree(scratch)
                if sha256 != entry.sha256:
                    problems.append(_changed(name, sha256, entry))
        problems.extend(f"{at.removeprefix(f'{key}/')}: is not in the manifest" for at in sorted(found))
        return problems

    def require_whole(self, artifact: Artifact) -> None:
        """Nothing to do here: each file is compared as it is fetched."""

    def checkpoints(self, digest: str) -> Path:
        """As `Store.checkpoints`, with what attempts on other machines have kept."""
        folder = super().checkpoints(digest)
        fetch_kept(self.bucket, digest, folder)
        return folder

    @contextmanager
    def keeping(self, digest: str, guard: Callable[[], None]) -> Iterator[tuple[Path, Callable[[Path], None]]]:
        """As `Store.keeping`: what is to be kept goes up beside the work, and is kept once it is up.

        Where the block ends with an error, what is still under way goes up first. An upload that fails is logged; the next
        one tries again.
        """
        held = Held(super().checkpoints(digest))
        folder = self.checkpoints(digest)
        keeper = Keeper(self.bucket, digest, folder, self._building, guard)
        try:
            yield folder, keeper.keep
        except BaseException:
            keeper.end(finish=True)
            raise
        else:
            keeper.end(finish=False)
        finally:
            held.end()

    def drop_checkpoints(self, digest: str) -> None:
        super().drop_checkpoints(digest)
        self.bucket.delete_below(f"checkpoints/{digest}/")

    def link_version(self, model: str, number: int, artifact: Artifact) -> str:
        """Links are for people who look into a folder: here it is the artifact's address."""
        return self.place_of(artifact.stage, artifact.digest)

    def version_folder(self, place: str, digest: str | None) -> Path:
        artifact = self.get("register", digest) if digest else None
        if artifact is None:
            return super().version_folder(place, digest)
        return _VERSIONS.setdefault(f"{self.place}/{artifact.digest}", artifact).path

    def write_named(self, name: str, text: str) -> str:
        self.bucket.write(name, text.encode())
        return self.bucket.address(name)

    def read_named(self, name: str, at_most: int) -> bytes | None:
        found = self.bucket.read(name, at_most)
        return None if found is None else found[0]

    def drop_named(self, name: str) -> None:
        self.bucket.delete([name])

    def has_named(self, name: str) -> bool:
        return self.bucket.has(name)

    def artifacts(self) -> list[tuple[str, str]]:
        return sorted({(stage, digest) for stage, digest, _ in self._objects()})

    def made(self, stage: str, digest: str) -> float | None:
        """As `Store.made`; what has no manifest is a leftover here, and no artifact."""
        key = f"{self._key(stage, digest)}/{MANIFEST}"
        return next((found.modified for found in self.bucket.list(key)), None)

    def size_of(self, stage: str, digest: str) -> int:
        return sum(found.size for found in self.bucket.list(f"{self._key(stage, digest)}/"))

    def take_out(self, stage: str, digest: str) -> None:
        key = self._key(stage, digest)
        self.bucket.delete([f"{key}/{MANIFEST}"])
        self.bucket.delete_below(f"{key}/")

    def _objects(self) -> Iterator[tuple[str, str, Listed]]:
        """(stage, digest, object) of all artifacts."""
        for found in self.bucket.list("artifacts/"):
            parts = found.key.split("/")
            if len(parts) > 4:
                yield parts[1], parts[3], found

    def leftovers(self) -> Iterator[Leftover]:
        """Those of this machine, and in the bucket checkpoints and files without manifest."""
        yield from super().leftovers()
        yield from kept_leftovers(self.bucket)
        files: dict[tuple[str, str], list[Listed]] = defaultdict(list)
        for stage, digest, found in self._objects():
            files[stage, digest].append(found)
        for (stage, digest), found_all in files.items():
            key = self._key(stage, digest)
            if all(found.key != f"{key}/{MANIFEST}" for found in found_all):
                size, newest = sum(each.size for each in found_all), max(each.modified for each in found_all)
                yield Leftover(key, digest, size, newest, partial(self._remove_unfinished, key))

    def _remove_unfinished(self, key: str) -> None:
        if not self.bucket.has(f"{key}/{MANIFEST}"):  # it may have come since
            self.bucket.delete_below(f"{key}/")


class FetchedFiles:
    """The files of one artifact, brought into the cache when they are asked for; they stay there while this object lives."""

    def __init__(
        self, bucket: Bucket, cache: Cache, entry: Path, key: str, files: Mapping[str, FileEntry], remake: str
    ) -> None:
        self._bucket, self._cache, self._entry, self._key = bucket, cache, entry, key
        self._files, self._remake = files, remake
        self._held: Held | None = None
        self._here: set[str] = set()

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_held": None, "_here": set()}  # another process holds the entry by itself

    def bring(self, names: Iterable[str]) -> None:
        """Raises StoreError: the bucket does not answer, what it holds is not what the manifest says, the disk is full;
        OSError."""
        missing = [name for name in names if name not in self._here]
        if not missing:
            return
        try:
            held = self._held = self._held or Held(self._entry)
            fetched = [name for name in missing if not self._is_here(name)]
            if fetched:
                with held.alone():
                    self._fetch(held, [name for name in fetched if not self._is_here(name)])
        except OSError as error:
            what = f"{self._bucket.address(self._key)} could not be fetched"
            if (told := machine_fault(what, error, self._cache.root, _CACHE_MEND)) is None:
                raise
            raise StoreError(told) from error
        self._here.update(missing)

    def _is_here(self, name: str) -> bool:
        try:
            return (self._entry / "files" / name).stat().st_size == self._files[name].size
        except FileNotFoundError:
            return False

    def _fetch(self, held: Held, names: list[str]) -> None:
        if not names:
            return  # another process was quicker
        started, size = time.monotonic(), sum(self._files[name].size for name in names)
        self._cache.make_room(size)
        beside = {name: held.beside() for name in names}
        self._bucket.download(
            {_file(self._key, name, self._files[name]): (path, self._files[name].size) for name, path in beside.items()}
        )
        for name, path in beside.items():
            sha256, _ = sha256_of(path)
            if sha256 != self._files[name].sha256:
                address = self._bucket.address(self._key)
                raise StoreError(f"{address}: {_changed(name, sha256, self._files[name])}. {self._remake}")
            flush(path)
            final = self._entry / "files" / name
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)
        log.info(
            "fetched %d files, %.1f MB, in %.1f s from %s",
            len(names),
            size / 1e6,
            time.monotonic() - started,
            self._bucket.address(self._key),
        )

    def adopt(self, building: Path) -> None:
        """Let a folder that was just published be the files of the entry."""
        self._cache.make_room(sum(entry.size for entry in self._files.values()))
        held = self._held = self._held or Held(self._entry)
        with held.alone():
            discard(self._entry / "files", self._cache.root / "building" / ".trash")
            try:
                building.rename(self._entry / "files")
            except FileNotFoundError:
                return  # another attempt has cleared it away just now; the artifact is up, and can be fetched
        self._here.update(self._files)


def _file(key: str, name: str, entry: FileEntry) -> str:
    return f"{key}/{entry.sha256}/{name}"


def _changed(name: str, sha256: str, entry: FileEntry) -> str:
    return f"{name}: its bytes were changed (sha256 {sha256[:12]}, not {entry.sha256[:12]})"
