"""Objects of S3 and Google Cloud Storage, by fsspec's file systems for them."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from skillsengine.sources.address import Address
from skillsengine.sources.connection import Connect, storage_options
from skillsengine.sources.errors import SourceChanged, SourceError
from skillsengine.sources.files import Found, SourceFile
from skillsengine.sources.local import nothing_for
from skillsengine.sources.names import is_read, listed, refusal, unread
from skillsengine.sources.object_errors import at_object, translated
from skillsengine.sources.patterns import Match, Pattern
from skillsengine.sources.reading.formats import format_of
from skillsengine.sources.streams import Translated

# Not gcsfs.GCSFileSystem: that one first asks each bucket by gRPC what it is, at Google whatever the endpoint, and tries for
# minutes where it gets no answer.
_PACKAGES = {"s3": ("s3fs", "S3FileSystem"), "gs": ("gcsfs.core", "GCSFileSystem")}
ANSWER_SECONDS = 20.0
"""How long a store may take to be reached at all."""
_READ_SECONDS = 15
"""How long no byte may come once it was asked."""
_CONNECT_SECONDS = 10
_ATTEMPTS = 2
"""S3: of botocore, which knows the store's answers, and as often again of s3fs, which sees a body that breaks off."""
_BLOCK = 4 << 20
"""Bytes asked for at once when an object is read. While one is exchanged for the next, the libraries hold it four times."""
_EMULATOR, _KEY_FILE = "STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"
_READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"


class ObjectPlace:
    """A key, a prefix or a glob in a bucket, listed once."""

    def __init__(self, address: Address, pattern: Pattern, connection: str | None, connect: Connect) -> None:
        self._address, self._pattern = address, pattern
        self._connection, self._connect = connection, connect
        self.left_out: list[str] = []

    def keys(self) -> set[str]:
        """The partitions that have an object. Raises SourceError and SourceUnavailable."""
        return {found.key for found in self._all if found.key is not None}

    def find(self, key: str | None) -> list[Found]:
        """The objects of one partition, or of a static source, in the order of their names.

        Raises SourceError: no bucket, nothing there, nothing that is read, no access; SourceUnavailable: no answer.
        """
        found = sorted((found for found in self._all if found.key == key), key=lambda found: found.name)
        if not found:
            raise SourceError(self._nothing(key))
        return found

    @cached_property
    def _all(self) -> list[Found]:
        address, pattern = self._address, self._pattern
        with translated(address):
            store = open_store(address, self._connection, self._connect)
            listed = _list(store, address, pattern)
        found: list[Found] = []
        for info in listed:
            path = str(info["name"]).removeprefix(f"{address.root}/")
            match = None if path.endswith("/") else pattern.match(path)
            if match is not None:
                found += self._found(path, info, match)
        if not found and pattern.literal and (told := self._refused(listed)):
            raise SourceError(told)
        return found

    def _found(self, path: str, info: Mapping[str, Any], match: Match) -> list[Found]:
        name = path.rpartition("/")[2]
        if not (is_read(name) if match.in_folder or self._pattern.wild else format_of(name)):
            if told := unread(name):
                self.left_out.append(told)
            return []
        named = not match.in_folder and not self._pattern.wild
        below = "" if named else "/".join(path.split("/")[self._pattern.fixed + match.in_folder :])
        uri = f"{self._address.scheme}://{self._address.root}/{path}"
        return [Found(uri, below, match.key, int(info["size"]), identity_of(info))]

    def _refused(self, listed: list[Mapping[str, Any]]) -> str | None:
        """Why the one object that the source names is not read, if it is there."""
        path = f"{self._address.root}/{'/'.join(self._pattern.parts)}"
        there = any(str(info["name"]) == path for info in listed)
        return refusal(self._address.source) if there else None

    def _nothing(self, key: str | None) -> str:
        source, pattern = self._address.source, self._pattern
        if pattern.dated:
            place = f"{self._address.scheme}://{self._address.root}/{pattern.at(str(key))}"
            return nothing_for(key, place, sorted(self.keys()), pattern.period)
        left_out = f" Not read: {', '.join(self.left_out[:3])}." if self.left_out else ""
        return (
            f"no data at {source}: no object of the bucket fits, or none that is read ({listed()}).{left_out} Put the data "
            "there, or mend data.source."
        )


def open_store(address: Address, connection: str | None, connect: Connect) -> Any:
    """fsspec's file system for the scheme of `address`, with the connection's credentials or the environment's own.

    Raises SourceError: its package is not installed, the connection is unknown or of another kind.
    """
    module_name, name = _PACKAGES[address.scheme]
    options = storage_options(address.scheme, connection, connect(connection)) if connection else {}
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        package = module_name.partition(".")[0]
        raise SourceError(
            f"data.source {address.source}: {address.scheme}:// needs the package `{package}`, which is not installed here: "
            f"pip install 'skillsengine[{address.scheme}]'"
        ) from error
    with_credentials = (_s3 if address.scheme == "s3" else _gs)(options, connection)
    store = getattr(module, name)(use_listings_cache=False, **with_credentials)
    if address.scheme == "s3":
        store.retries = _ATTEMPTS
    return store


# Both bound the times within which a store has to answer: the libraries' own defaults hang for minutes.


def _s3(options: Mapping[str, Any], connection: str | None) -> dict[str, Any]:
    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    config = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS, "retries": retries}
    anonymous = "key" not in options and not _finds_keys(options.get("profile"), os.environ.get("AWS_ACCESS_KEY_ID"))
    return {**options, "config_kwargs": config} | ({"anon": True} if anonymous else {})


@lru_cache
def _finds_keys(profile: str | None, key: str | None) -> bool:
    """Whether the environment has keys for S3; without any a public bucket can still be read.

    Looking for the machine's own role takes a second where there is none, so it is done once. `key` is the one of the
    environment: with another one it is looked again.
    """
    from botocore.session import Session

    return Session(profile=profile).get_credentials() is not None


def _gs(options: Mapping[str, Any], connection: str | None) -> dict[str, Any]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS)
    token = options.get("token")
    if token is None:
        token = _default_token(*(os.environ.get(name) for name in (_EMULATOR, _KEY_FILE)))
    elif token != "anon":
        token = _service_account(token, connection)
    return {**options, "token": token, "access": "read_only", "requests_timeout": timeout}


def _service_account(key: Any, connection: str | None) -> Any:
    """Credentials by a key file: its path, or what is in it."""
    from google.oauth2.service_account import Credentials

    try:
        info = key if isinstance(key, Mapping) else json.loads(Path(key).read_bytes())
        return Credentials.from_service_account_info(info, scopes=[_READ_ONLY])  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError, AttributeError):
        pass  # what was said is not shown: it may quote the key
    raise SourceError(
        f"data.connection: `{connection}` holds no usable key of a service account: wanted is the JSON of its key file, whole, "
        "with client_email, private_key and token_uri. Make a new key in Google Cloud's console and put its file there."
    )


@lru_cache
def _default_token(emulator: str | None, key_file: str | None) -> Any:
    """Google's own default credentials where there are any; else `anon`, which is enough for a public bucket.

    gcsfs would find this out by itself, but on the way it reads pickled tokens from the home folder. Looking for the machine's
    own account takes seconds where there is none, so it is done once.
    """
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    if emulator:
        return "anon"
    try:
        return google.auth.default(scopes=[_READ_ONLY])[0]
    except DefaultCredentialsError:
        if key_file:
            raise
        return "anon"


def _list(store: Any, address: Address, pattern: Pattern) -> list[Mapping[str, Any]]:
    """What fsspec tells about the objects that `pattern` may mean, and some more."""
    if address.scheme == "gs":
        # gcsfs tries for minutes, and tells a missing bucket from an empty one only here.
        store.call("GET", "b/{}/o", address.root, maxResults=1, json_out=True, timeout=ANSWER_SECONDS)
    folder = "/".join((address.root, *pattern.parts[: pattern.fixed]))
    if pattern.literal and (not pattern.parts or not format_of(pattern.parts[-1])):
        return _folder(store, "/".join((address.root, *pattern.parts)))
    try:
        found = store.find(folder, prefix=pattern.stem, detail=True)
    except PermissionError:
        if not pattern.literal:
            raise
        # Who may read an object need not be allowed to list its bucket.
        try:
            return [store.info("/".join((address.root, *pattern.parts)), timeout=ANSWER_SECONDS)]
        except OSError:
            pass
        raise
    return [info for info in found.values() if info["type"] == "file"]


def _folder(store: Any, path: str) -> list[Mapping[str, Any]]:
    try:
        found: Iterable[Mapping[str, Any]] = store.ls(path, detail=True, refresh=True)
    except FileNotFoundError as error:
        if error.__cause__ is not None:  # a bucket that is not there
            raise
        return []
    return [info for info in found if info["type"] == "file"]


def identity_of(info: Mapping[str, Any]) -> str:
    """What tells this state of an object from another one: its generation or etag, and its size."""
    etag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    return f"{info.get('generation') or etag}:{info['size']}"


def open_object(file: SourceFile, address: Address, connect: Connect) -> BinaryIO:
    """The bytes of an object, in blocks of 4 MiB.

    Raises SourceError: gone, no access; SourceChanged: another one than was found; SourceUnavailable: no answer. Reading
    from it raises the same.
    """
    with translated(address, reading=True):
        store = open_store(address, file.connection, connect)
        path = at_object(file)
        check_same(file, store.info(path, timeout=ANSWER_SECONDS))
        opened = store.open(path, "rb", block_size=_BLOCK, cache_type="readahead")
    return Translated.of(opened, lambda: translated(address, reading=True))


def check_same_now(file: SourceFile, address: Address, connect: Connect) -> None:
    """Look again. Raises SourceChanged if the object is not the one any more that `file` was found as."""
    with translated(address, reading=True):
        store = open_store(address, file.connection, connect)
        check_same(file, store.info(at_object(file), timeout=ANSWER_SECONDS))


def check_same(file: SourceFile, info: Mapping[str, Any]) -> None:
    """Raises SourceChanged if the object is not the one that `file` was found as."""
    if file.identity is not None and identity_of(info) != file.identity:
        raise SourceChanged(
            f"{file.uri}: the object has changed since it was found (now {identity_of(info)}, then {file.identity}). Run again "
            "once nothing writes to it: a new plan takes it as it is."
        )
