"""Labels that people have made of the ads of a partition (`skillsengine annotate import`), kept in the store.

    labels/<experiment>/<partition>/<sha256>/labels.jsonl    labels that count, or did once; never changed
    labels/<experiment>/<partition>/current                  the sha256 of those that count now

A file is written beside its place and renamed into it, and then `current` is: a reader finds the old labels or the new ones,
and a run that was opened with the old ones still finds them. The same in an object store: `object_labels`.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skillsengine.storage.files import flush, write_durably
from skillsengine.storage.store import StoreError

NAME = "labels.jsonl"


@dataclass(frozen=True)
class LabelFile:
    """The labels of one partition that count."""

    place: Path | str
    """A local file, or its address in a bucket."""
    sha256: str


class LabelFiles:
    """The label files of one experiment, by partition. Making the object touches nothing on the disk."""

    def __init__(self, store_root: Path, experiment: str) -> None:
        self._folder = store_root / "labels" / experiment

    def current(self, partition: str) -> LabelFile | None:
        """What counts of a partition; None where nobody has labelled it. Raises StoreError for one that is damaged."""
        pointer = self._folder / partition / "current"
        try:
            sha256 = pointer.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{pointer} cannot be read: {error}. Mend its permissions or its disk.") from error
        path = pointer.parent / sha256 / NAME
        if not re.fullmatch(r"[0-9a-f]{64}", sha256) or not path.is_file():
            raise lost(str(pointer), sha256)
        return LabelFile(path, sha256)

    @contextmanager
    def changing(self, partition: str) -> Iterator[LabelFile | None]:
        """Within it nobody else changes the labels of a partition; gives those that count now."""
        folder = self._folder / partition
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.current(partition)

    def put(self, partition: str, text: str) -> LabelFile:
        """Let the labels `text` count from now on; within `changing`. What counted before stays beside them."""
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        folder = self._folder / partition / sha256
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / NAME, text)
        _write(folder.parent / "current", f"{sha256}\n")
        return LabelFile(folder / NAME, sha256)

    def read(self, found: LabelFile) -> str:
        """The labels themselves. Raises OSError, or StoreError where they are gone from a bucket."""
        return Path(found.place).read_text(encoding="utf-8")


def lost(pointer: str, sha256: str) -> StoreError:
    """For a pointer that leads nowhere."""
    return StoreError(
        f"{pointer} names labels that are not there: `{sha256[:64]}`. Write the name of one of the folders beside it "
        "into it, or delete it: the partition then has the labels of its source alone."
    )


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    write_durably(beside, text)
    beside.replace(path)
    flush(path.parent)
