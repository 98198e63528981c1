"""Data sets of the Hugging Face Hub: listed at a commit, downloaded through the Hub's own cache."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar

from skillsengine.sources.address import Address
from skillsengine.sources.connection import Connect, hub_token
from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import Found, SourceFile
from skillsengine.sources.hub_errors import hub_library, told
from skillsengine.sources.local import nothing_for
from skillsengine.sources.names import is_read, is_split, listed, refusal, unread
from skillsengine.sources.patterns import Pattern
from skillsengine.sources.reading.formats import SUFFIXES, format_of

_CONVERTED = "refs/convert/parquet"
"""The branch in which the Hub keeps its own conversion of a data set."""
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_PAUSES = (1.0, 4.0)
"""Seconds before a busy Hub is asked again."""
T = TypeVar("T")


@dataclass(frozen=True)
class _Entry:
    """One file of a repository at a commit."""

    path: str
    size: int
    blob: str
    sha256: str | None = None


class HubPlace:
    """A data set, or a folder, file or glob in it, at one commit: the revision is resolved once."""

    def __init__(self, address: Address, pattern: Pattern, connection: str | None, connect: Connect) -> None:
        self._address, self._pattern = address, pattern
        self._connection, self._connect = connection, connect
        self.left_out: list[str] = []

    def keys(self) -> set[str]:
        """The partitions that have a file. Raises SourceError and SourceUnavailable."""
        return {found.key for found in self._all if found.key is not None}

    def find(self, key: str | None) -> list[Found]:
        """The files of one partition, or of a static source, in the order of their names.

        Raises SourceError: gated, no such data set, revision or folder, nothing that is read; SourceUnavailable: no answer.
        """
        found = sorted((found for found in self._all if found.key == key), key=lambda found: found.name)
        if not found:
            raise SourceError(self._nothing(key))
        return found

    @cached_property
    def _listing(self) -> tuple[str, list[_Entry]]:
        """(commit, every file below the fixed part of the path)."""
        token = token_for(self._connection, self._connect)
        if hub_library(self._address).constants.HF_HUB_OFFLINE:
            return _cached(self._address)
        return _listed(self._address, token)

    @cached_property
    def _all(self) -> list[Found]:
        commit, entries = self._listing
        pattern = self._pattern
        if pattern.literal and not any(entry.path == "/".join(pattern.parts) for entry in entries):
            return [self._found(entry, name, None, commit) for entry, name in self._in_folder(entries)]
        found = []
        for entry in entries:
            match = pattern.match(entry.path)
            if match is None:
                continue
            named = not match.in_folder and not pattern.wild
            if self._reads(entry.path, chosen=named):
                below = "" if named else "/".join(entry.path.split("/")[pattern.fixed + match.in_folder :])
                found.append(self._found(entry, below, match.key, commit))
            elif named and pattern.literal:
                raise SourceError(refusal(self._address.source))
        return found

    def _found(self, entry: _Entry, name: str, key: str | None, commit: str) -> Found:
        uri = f"hf://datasets/{self._address.root}@{commit}/{entry.path}"
        return Found(uri, name, key, entry.size, entry.blob, entry.sha256)

    def _reads(self, path: str, *, chosen: bool) -> bool:
        name = path.rpartition("/")[2]
        if format_of(name) if chosen else is_read(name):
            return True
        if mend := unread(name):
            self.left_out.append(mend)
        return False

    def _in_folder(self, entries: Sequence[_Entry]) -> Iterator[tuple[_Entry, str]]:
        """(file, path below the folder) of what a folder, or the whole data set, holds.

        Files that lie in it, else those of the one folder in it that holds any, or of its folders called train,
        validation and test. Raises SourceError where several others hold some.
        """
        start = "".join(f"{part}/" for part in self._pattern.parts)
        folders: dict[str, list[_Entry]] = defaultdict(list)
        for entry in entries:
            hidden = any(part.startswith(".") for part in entry.path.split("/"))
            if entry.path.startswith(start) and not hidden and self._reads(entry.path, chosen=False):
                folders[str(PurePosixPath(entry.path).parent)].append(entry)
        own = start.rstrip("/") or "."
        taken = [own] if own in folders else list(folders)
        parents = {str(PurePosixPath(folder).parent) for folder in taken}
        if len(taken) > 1 and not (len(parents) == 1 and all(is_split(PurePosixPath(f).name) for f in taken)):
            choices = ", ".join(f"hf://{self._address.root}{self._at}/{folder}" for folder in sorted(taken)[:8])
            raise SourceError(
                f"data.source {self._address.source}: several folders of the data set hold data. Say which is meant: {choices}"
                f"{', ...' if len(taken) > 8 else ''}."
            )
        for entry in (entry for folder in taken for entry in folders[folder]):
            yield entry, entry.path.removeprefix(start)

    @property
    def _at(self) -> str:
        return f"@{self._address.revision or 'main'}"

    def _nothing(self, key: str | None) -> str:
        address, (commit, entries) = self._address, self._listing
        if self._pattern.dated:
            place = f"hf://{address.root}{self._at}/{self._pattern.at(str(key))}"
            return nothing_for(key, place, sorted(self.keys()), self._pattern.period)
        names = [entry.path for entry in entries if not entry.path.startswith(".")]
        holds = f"it holds {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}" if names else "it is empty"
        mend = "Mend the path behind the revision."
        if not any(is_read(PurePosixPath(name).name) for name in names):
            mend = (
                f"The Hub converts most data sets by itself: try hf://{address.root}@{_CONVERTED}, or save it in one of these "
                "formats."
            )
            if any(name.endswith(".py") for name in names):
                mend = f"A loading script is code, and never run here. {mend}"
        return f"no data at {address.source} (commit {commit[:12]}; {holds}): {listed()}. {mend}"


def _listed(address: Address, token: str | None) -> tuple[str, list[_Entry]]:
    library = hub_library(address)
    api = library.HfApi(token=token)
    limit = library.constants.HF_HUB_ETAG_TIMEOUT
    with told(address):
        commit = str(
            _ask(library, lambda: api.dataset_info(address.root, revision=address.revision, timeout=limit).sha)
        )
        tree = api.list_repo_tree(address.root, recursive=True, revision=commit, repo_type="dataset")
        entries = [
            _Entry(file.path, file.size, file.blob_id, file.lfs.sha256 if file.lfs else None)
            for file in tree
            if isinstance(file, library.hf_api.RepoFile)
        ]
    _name_in_cache(library, address, commit)
    return commit, entries


def _ask(library: Any, call: Callable[[], T]) -> T:
    """What `call` asks the Hub for; asked again after a moment if the Hub is busy."""
    for pause in _PAUSES:
        try:
            return call()
        except library.errors.HfHubHTTPError as error:
            if error.response.status_code not in _BUSY:
                raise
        time.sleep(pause)
    return call()


def _name_in_cache(library: Any, address: Address, commit: str) -> None:
    """Let the Hub's cache know which commit a branch or tag stands for, so that a plan finds it there without a network.

    Files are downloaded by their commit, which leaves no such name. It stays with the older commit as long as that alone has
    files there.
    """
    if address.revision == commit:
        return
    folder = Path(library.constants.HF_HUB_CACHE) / f"datasets--{address.root.replace('/', '--')}"
    named = folder / "refs" / (address.revision or "main")
    if not named.exists() or (folder / "snapshots" / commit).is_dir():
        with suppress(OSError):  # a cache that cannot be written: the download will say so
            named.parent.mkdir(parents=True, exist_ok=True)
            named.write_text(commit)


def _cached(address: Address) -> tuple[str, list[_Entry]]:
    """What the Hub's cache holds of a data set; with HF_HUB_OFFLINE that is all there is."""
    library = hub_library(address)
    with told(address):
        folder = Path(
            library.snapshot_download(
                address.root,
                repo_type="dataset",
                revision=address.revision,
                local_files_only=True,
                allow_patterns=[f"*{suffix}" for suffix in SUFFIXES],
            )
        )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = []
    for path in files:
        # The cache keeps a file under a name that tells its content (of large ones their sha256), and links to it.
        blob = path.resolve().name
        sha256 = blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None
        entries.append(_Entry(path.relative_to(folder).as_posix(), path.stat().st_size, blob, sha256))
    return folder.name, entries


def token_for(connection: str | None, connect: Connect) -> str | None:
    """The connection's token; None takes the environment's own (HF_TOKEN, the login)."""
    return hub_token(connection, connect(connection)) if connection else None


def open_hub_file(file: SourceFile, address: Address, connect: Connect) -> BinaryIO:
    """A file of a data set, from the Hub's cache, into which it is downloaded first if it is not there.

    An interrupted download goes on where it stopped. Raises SourceError: gated, gone, offline without it, disk full;
    SourceUnavailable: no answer.
    """
    library, token = hub_library(address), token_for(file.connection, connect)
    at = {"repo_type": "dataset", "revision": address.revision}
    with told(address):
        if not isinstance(library.try_to_load_from_cache(address.root, address.path, **at), str):
            # The download itself asks six times, a minute each, where nobody answers.
            url, limit = library.hf_hub_url(address.root, address.path, **at), library.constants.HF_HUB_ETAG_TIMEOUT
            _ask(library, lambda: library.get_hf_file_metadata(url, token=token, timeout=limit))
        path = _ask(library, lambda: library.hf_hub_download(address.root, address.path, token=token, **at))
    return Path(path).open("rb")


def in_cache(file: Found, address: Address) -> Path | None:
    """Where the Hub's cache has a file, if it has."""
    path = hub_library(address).try_to_load_from_cache(
        address.root, address.path, repo_type="dataset", revision=address.revision
    )
    return Path(path) if isinstance(path, str) else None
