"""`label_files` in a bucket: the same two keys, `current` written last and only where nobody else has written it meanwhile."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from skillsengine.storage.bucket import ABSENT, Bucket
from skillsengine.storage.label_files import NAME, LabelFile, LabelFiles, lost
from skillsengine.storage.store import StoreError


class ObjectLabelFiles(LabelFiles):
    """The label files of one experiment, by partition. Making the object asks nobody; methods raise StoreError."""

    def __init__(self, bucket: Bucket, experiment: str) -> None:
        self._bucket, self._below = bucket, f"labels/{experiment}"
        self._etags: dict[str, str] = {}
        """Partition -> what `current` was when `changing` began."""

    def current(self, partition: str) -> LabelFile | None:
        return self._look(partition)[0]

    def _look(self, partition: str) -> tuple[LabelFile | None, str]:
        """(what counts, the state of its pointer)."""
        key = f"{self._below}/{partition}/current"
        found = self._bucket.read(key)
        if found is None:
            return None, ABSENT
        sha256 = found[0].decode("utf-8", "replace").strip()
        labels = f"{self._below}/{partition}/{sha256}/{NAME}"
        if not re.fullmatch(r"[0-9a-f]{64}", sha256) or not self._bucket.has(labels):
            raise lost(self._bucket.address(key), sha256)
        return LabelFile(self._bucket.address(labels), sha256), found[1]

    @contextmanager
    def changing(self, partition: str) -> Iterator[LabelFile | None]:
        """Gives what counts now; `put` within it raises StoreError if somebody else has changed it by then."""
        found, self._etags[partition] = self._look(partition)
        try:
            yield found
        finally:
            del self._etags[partition]

    def put(self, partition: str, text: str) -> LabelFile:
        data = text.encode()
        sha256 = hashlib.sha256(data).hexdigest()
        key, pointer = f"{self._below}/{partition}/{sha256}/{NAME}", f"{self._below}/{partition}/current"
        self._bucket.write(key, data)
        if not self._bucket.write(pointer, f"{sha256}\n".encode(), instead_of=self._etags[partition]):
            raise StoreError(
                f"{self._bucket.address(pointer)}: somebody else has changed the labels of {partition} just now, and nothing "
                "of this import counts. Import the file again: it then joins theirs."
            )
        return LabelFile(self._bucket.address(key), sha256)

    def read(self, found: LabelFile) -> str:
        return read_labels(str(found.place)).decode("utf-8")


def read_labels(address: str) -> bytes:
    """The bytes of a label file by its address in a bucket. Raises StoreError."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    found = Bucket(bucket).read(key)
    if found is None:
        raise StoreError(
            f"{address}: the labels are gone; a run has pinned them. Put them back from a backup, or run anew."
        )
    return found[0]
