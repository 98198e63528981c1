"""A bucket of S3, or of a server that speaks like it: whole objects in and out, and every fault told with the mend.

boto3 and not s3fs: its client may be used by several threads, needs no event loop that a fork would lose, sends large files in
parts, and knows conditional writes. Endpoint, region and credentials come from the environment, as AWS's own tools have them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from skillsengine.storage.object_answers import Answer, answer_of, code_of
from skillsengine.storage.object_refusals import refusal
from skillsengine.storage.store import StoreError

ATTEMPTS = 8
"""Of each request, by botocore's mode `standard`: it waits up to 1, 2, 4 ... 20 seconds between them, at random.
AWS_MAX_ATTEMPTS and AWS_RETRY_MODE say otherwise."""
_CONNECT_SECONDS, _READ_SECONDS = 10, 60
ABSENT = ""
"""Stands for the etag of an object that is not there."""
_PAUSE_SECONDS = 0.2
_PART = 16 << 20
_IN_PARTS = 64 << 20
"""Bytes. What is smaller goes through memory, in one request."""
_FILES_AT_ONCE, _PARTS_AT_ONCE = 4, 4
_LISTED = 1000
_ENVIRONMENT = (
    *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
)
_LIBRARIES = ("botocore", "boto3", "s3transfer", "urllib3")


@dataclass(frozen=True)
class Listed:
    """An object as a listing tells it."""

    key: str
    """Below the prefix of the bucket."""
    size: int
    """Bytes."""
    modified: float
    """Epoch seconds, by the server's clock."""


@dataclass(frozen=True)
class Bucket:
    """The objects below `prefix` of a bucket; keys are given without it. Making one asks nobody.

    Every method raises StoreError: no bucket, no access, no answer after all attempts.
    """

    name: str
    prefix: str = ""

    @classmethod
    def of(cls, address: str) -> Bucket:
        """Of `s3://bucket/prefix`."""
        name, _, prefix = address.removeprefix("s3://").partition("/")
        return cls(name, prefix.strip("/"))

    def address(self, key: str = "") -> str:
        """`s3://bucket/prefix/key`."""
        return "s3://" + "/".join(part for part in (self.name, self.prefix, key) if part)

    def read(self, key: str, at_most: int | None = None) -> tuple[bytes, str] | None:
        """(bytes, or the first `at_most` of them, etag) of an object that fits into memory; None where there is none."""
        for left in reversed(range(ATTEMPTS)):
            try:
                with self._asked(key):
                    answer = self._client.get_object(Bucket=self.name, Key=self._key(key))
            except StoreError as error:
                if _is(error, Answer.GONE):
                    return None
                raise
            try:
                with self._asked(key):
                    return answer["Body"].read(at_most), str(answer["ETag"])
            except StoreError as error:
                # botocore tries a request again, but not a body that breaks off.
                if not _is(error, Answer.AWAY) or not left:
                    raise
                time.sleep(_PAUSE_SECONDS)
            finally:
                answer["Body"].close()
        raise AssertionError("the last attempt returns or raises")

    def has(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            with self._asked(key):
                self._client.head_object(Bucket=self.name, Key=self._key(key))
        except StoreError as error:
            if _is(error, Answer.GONE):
                return False
            raise
        return True

    def write(self, key: str, data: bytes, *, instead_of: str | None = None) -> bool:
        """Write an object whole. With `instead_of` only where the object has that etag, or is ABSENT; False where not.

        A server that knows no conditional writes is asked for what is there just before: then two may write at once.
        """
        condition = {} if instead_of is None else {"IfMatch": instead_of} if instead_of else {"IfNoneMatch": "*"}
        for left in reversed(range(ATTEMPTS)):
            try:
                with self._asked(key):
                    self._client.put_object(Bucket=self.name, Key=self._key(key), Body=data, **condition)
                return True
            except StoreError as error:
                code = code_of(error.__cause__)
                if condition and code in ("PreconditionFailed", "412", "NoSuchKey", "404"):
                    return False
                if condition and code in ("NotImplemented", "501"):
                    found = self.read(key)
                    if (found[1] if found else ABSENT) != instead_of:
                        return False
                    condition = {}
                elif code not in ("ConditionalRequestConflict", "409") or not left:
                    raise
                else:
                    time.sleep(_PAUSE_SECONDS)  # another one is writing it right now
        raise AssertionError("the last attempt returns or raises")

    def upload(self, files: Mapping[str, Path]) -> None:
        """Write files as objects: key -> file. Several at a time, large ones in parts. Raises OSError for the files."""

        def one(key: str, path: Path) -> None:
            if path.stat().st_size < _IN_PARTS:
                self.write(key, path.read_bytes())
                return
            with self._asked(key):
                self._client.upload_file(str(path), self.name, self._key(key), Config=_parts())

        _at_once([partial(one, key, path) for key, path in files.items()])

    def download(self, files: Mapping[str, tuple[Path, int]]) -> None:
        """Read objects into new files: key -> (file, size). Several at a time. Raises StoreError for what is gone, OSError."""

        def one(key: str, path: Path, size: int) -> None:
            if size >= _IN_PARTS:
                with self._asked(key):
                    self._client.download_file(self.name, self._key(key), str(path), Config=_parts())
                return
            found = self.read(key)
            if found is None:
                raise StoreError(f"the store's object {self.address(key)}: the object is gone.")
            path.write_bytes(found[0])

        _at_once([partial(one, key, path, size) for key, (path, size) in files.items()])

    def list(self, below: str = "") -> Iterator[Listed]:
        """The objects whose keys begin with `below`, by their keys."""
        prefix = self._key(below)
        own = len(self._key(""))
        token: dict[str, str] = {}
        while True:
            with self._asked(below):
                page = self._client.list_objects_v2(Bucket=self.name, Prefix=prefix, **token)
            for found in page.get("Contents", ()):
                yield Listed(found["Key"][own:], int(found["Size"]), found["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, in this order up to thousands; those that are gone already are no error."""
        left = list(keys)
        while left:
            now, left = left[:_LISTED], left[_LISTED:]
            with self._asked(now[0]):
                asked = {"Objects": [{"Key": self._key(key)} for key in now], "Quiet": True}
                answer = self._client.delete_objects(Bucket=self.name, Delete=asked)
            if failed := answer.get("Errors"):
                first = failed[0]
                raise StoreError(
                    f"s3://{self.name}/{first.get('Key')} cannot be removed: {first.get('Code')}: {first.get('Message')}. "
                    "Let these credentials delete objects of the bucket (s3:DeleteObject)."
                )

    def delete_below(self, below: str) -> None:
        """Remove all objects whose keys begin with `below`."""
        self.delete([found.key for found in self.list(below)])

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @property
    def _client(self) -> Any:
        # One for each process: a fork must not share connections.
        return _client(os.getpid(), *map(os.environ.get, _ENVIRONMENT))

    @contextmanager
    def _asked(self, key: str) -> Iterator[None]:
        """What the library raises, as StoreError; faults of this machine's files pass."""
        try:
            yield
        except Exception as error:
            library = type(error).__module__.partition(".")[0]
            if library not in _LIBRARIES and not isinstance(error, (ConnectionError, TimeoutError)):
                raise
            # What boto3 raises has only the text of what botocore did.
            cause = error.__context__ if library == "boto3" and error.__context__ is not None else error
            raise StoreError(refusal(cause, self.name, self._key(key))) from cause


def _is(error: StoreError, answer: Answer) -> bool:
    return error.__cause__ is not None and answer_of(error.__cause__) is answer


def _at_once(work: Sequence[Callable[[], None]]) -> None:
    """Do all of it, several at a time. Raises the first error; what has not begun by then is left."""
    if len(work) < 2:
        for each in work:
            each()
        return
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        begun = [pool.submit(each) for each in work]
        try:
            for future in begun:
                future.result()
        except BaseException:
            for future in begun:
                future.cancel()
            raise


def _parts() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(
        multipart_threshold=_IN_PARTS,
        multipart_chunksize=_PART,
        max_concurrency=_PARTS_AT_ONCE,
        num_download_attempts=ATTEMPTS,
    )


@lru_cache(maxsize=4)
def _client(_process: int, *_environment: str | None) -> Any:
    """Of this process and this environment."""
    try:
        from boto3.session import Session
        from botocore.config import Config
    except ModuleNotFoundError as error:
        raise StoreError(
            "SKILLSENGINE_STORE names a bucket, and the package `boto3` is not installed here: "
            "pip install 'skillsengine[s3]'"
        ) from error
    retries: dict[str, Any] = {}
    if not os.environ.get("AWS_RETRY_MODE"):
        retries["mode"] = "standard"
    if not os.environ.get("AWS_MAX_ATTEMPTS"):
        retries["total_max_attempts"] = ATTEMPTS
    told: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "retries": retries,
        "max_pool_connections": 2 + _FILES_AT_ONCE * _PARTS_AT_ONCE,
    }
    session = Session()
    client = session.client("s3", config=Config(**told))
    if "amazonaws.com" not in client.meta.endpoint_url:
        # Servers beside AWS's have no name of its own for each bucket.
        client = session.client("s3", config=Config(**told, s3={"addressing_style": "path"}))
    return client
