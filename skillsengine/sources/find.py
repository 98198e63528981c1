"""What a spec's `data.source` means: which partitions there are, which files each one is, and what identifies their bytes."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from skillsengine.sources import dated
from skillsengine.sources.address import Address, parse_address
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.sources.errors import SourceChanged, SourceError, SourceUnavailable, SourceUnread
from skillsengine.sources.files import UNREAD, Found, SourceFile
from skillsengine.sources.hub import HubPlace, in_cache
from skillsengine.sources.keys import STATIC_KEY, parse_key
from skillsengine.sources.local import LocalPlace, nothing_for
from skillsengine.sources.memory import Forgetful, Memory, is_settled, local_state
from skillsengine.sources.names import one_format, splits
from skillsengine.sources.objects import ObjectPlace, check_same_now
from skillsengine.sources.opening import open_source
from skillsengine.sources.patterns import PLACEHOLDER, Pattern
from skillsengine.sources.reading.index import DateIndex, index_by_date
from skillsengine.spec.schema import Data
from skillsengine.storage.label_files import LabelFiles

log = logging.getLogger(__name__)

_CHUNK = 1 << 20


class Place(Protocol):
    """A store of files: the local disk, a bucket, a data set of the Hub."""

    left_out: list[str]
    """What lies beside the data, looks like data and is not read, with the mend."""

    def keys(self) -> set[str]:
        """The partitions of which there is a file."""

    def find(self, key: str | None) -> list[Found]:
        """The files of one partition, or of a static source."""


class Source:
    """The source of one spec, looked at once: ask a new one to look again.

    Paths of specs stay inside `roots`; `trusted` ones were named on the command line and may lie anywhere. `memory` spares
    reading twice what did not change. With `read=False` nothing is downloaded: what was never read is UNREAD. `labels` are
    those that people have made: a partition that has some has their file too.

    Raises SourceError for an address that is not read here. Methods raise it too: not there, not allowed, not readable; and
    SourceUnavailable: no answer.
    """

    def __init__(
        self,
        data: Data,
        project: Path,
        roots: Iterable[Path],
        *,
        trusted: bool = False,
        connect: Connect = environment_connect,
        memory: Memory | None = None,
        read: bool = True,
        labels: LabelFiles | None = None,
    ) -> None:
        self._data, self._connect, self._read, self._labels = data, connect, read, labels
        self._memory: Memory = memory or Forgetful()
        self._address = parse_address(data.source)
        self._place = _place(data, self._address, project, None if trusted else tuple(roots), connect)

    def partitions(self) -> list[str]:
        """The keys of a dated source that have data, complete or not; sorted."""
        if not self._data.dated:
            raise SourceError(
                f"data.source {self._data.source} has no partitions: there is no `{PLACEHOLDER}` in it, and data.date_column "
                "names no column."
            )
        if self._data.date_column is not None:
            return dated.keys_of(self._dated[0])
        return sorted(self._place.keys())

    def files(self, partition: str | None) -> tuple[SourceFile, ...]:
        """The files of one partition (None or `all`: of a static source) in the order of their names, with their sha256.

        In a folder, files called train, validation (dev, valid, val) and test name their split. Last comes the file of the
        labels that people have made, if there is one. Raises StoreError where that one is damaged.
        """
        self._check_fits(partition)
        made = self._labels.current(partition or STATIC_KEY) if self._labels else None
        return self._ads(partition) + ((SourceFile(made.place, made.sha256, labels=True),) if made else ())

    def _ads(self, partition: str | None) -> tuple[SourceFile, ...]:
        if self._data.date_column is not None:
            return self._rows_of(str(partition))
        found = self._place.find(partition if self._data.dated else None)
        split = self._splits(found)
        return tuple(self._file(file, self._sha256(file), split=name) for file, name in zip(found, split, strict=True))

    def notes(self) -> tuple[str, ...]:
        """What a user should know of what was looked at so far: files beside the data, rows without a date."""
        left_out = list(dict.fromkeys(self._place.left_out))
        more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        notes = (f"beside the data lies what is not read: {', '.join(left_out[:3])}{more}",) if left_out else ()
        return notes + (self._dated[1] if self._data.date_column is not None else ())

    def _check_fits(self, partition: str | None) -> None:
        source = self._data.source
        if not self._data.dated:
            if partition not in (None, STATIC_KEY):
                raise SourceError(
                    f"data.source {source} has no partition {partition}: without `{PLACEHOLDER}` in it, it is one set. "
                    f"Run it without a partition, put `{PLACEHOLDER}` in the place of the {self._data.period}, or set "
                    "data.date_column."
                )
        elif partition is None:
            raise SourceError(f"data.source {source} is dated: say which partition, such as 2026-03.")
        else:
            parse_key(partition, self._data.period)

    def _splits(self, found: list[Found]) -> list[str | None]:
        names = [file.name for file in found]
        place = _folder_of(found)
        one_format(place, [file.name or str(file.uri) for file in found])
        return splits(place, names)

    def _file(self, found: Found, sha256: str, *, split: str | None, partition: str | None = None) -> SourceFile:
        connection = None if isinstance(found.uri, Path) else self._data.connection
        return SourceFile(found.uri, sha256, split, partition, found.size, found.identity, connection)

    def _rows_of(self, key: str) -> tuple[SourceFile, ...]:
        indexes, _ = self._dated
        split = self._splits([file for file, _ in indexes])
        files = tuple(
            self._file(file, index.partitions[key][1], split=name, partition=key)
            for (file, index), name in zip(indexes, split, strict=True)
            if key in index.partitions
        )
        if not files:
            raise SourceError(nothing_for(key, place_of(self._data, key), dated.keys_of(indexes), self._data.period))
        return files

    @cached_property
    def _dated(self) -> tuple[list[tuple[Found, DateIndex]], tuple[str, ...]]:
        """(every file with its index, notes)"""
        found = self._place.find(None)
        self._splits(found)
        indexes = [(file, self._index(file)) for file in found]
        undated = dated.Undated.among(index for _, index in indexes)
        data = self._data
        return indexes, dated.check_dates(data.source, str(data.date_column), undated, data.max_rejected)

    def _index(self, found: Found) -> DateIndex:
        column, period = str(self._data.date_column), self._data.period

        def read() -> Any:
            file = self._file(found, UNREAD, split=None)
            with self._open(file) as stream:
                return dated.as_json(index_by_date(file, stream, column, period))

        stored = self._remembered(found, dated.question(column, period), read)
        if stored is None:
            raise SourceUnread(
                f"{found.uri} was never read: which partitions it has stands in its column `{column}`, and a plan downloads "
                "nothing. `skillsengine plan --read` reads it, and so does a run; after that it is known."
            )
        return dated.from_json(stored)

    def _sha256(self, found: Found) -> str:
        def read() -> Any:
            with self._open(self._file(found, UNREAD, split=None)) as stream:
                return _hash(stream)

        return found.sha256 or self._remembered(found, "sha256", read) or UNREAD

    def _open(self, file: SourceFile) -> BinaryIO:
        if not isinstance(file.uri, Path):
            log.info("reading %s (%.1f MB) for the first time", file.uri, (file.size or 0) / 1e6)
        return open_source(file, self._connect)

    def _remembered(self, found: Found, question: str, read: Callable[[], Any]) -> Any | None:
        """The answer from memory, or by reading; None where reading would be a download that is not wanted."""
        if isinstance(found.uri, Path):
            try:
                return self._of_local(found.uri, question, read)
            except OSError as error:
                raise SourceError(
                    f"{found.uri}: cannot be read ({error.strerror or error}). Mend the file or its permissions."
                ) from error
        uri, state = _known_as(found, self._address), str(found.identity)
        answer = self._memory.recall_reading(uri, question, state)
        if answer is None and (self._read or self._in_cache(found)):
            try:
                answer = read()
                self._check_unchanged(found)
            except SourceChanged as error:
                raise SourceUnavailable(str(error)) from error
            self._memory.remember_reading(uri, question, state, answer)
        return answer

    def _of_local(self, path: Path, question: str, read: Callable[[], Any]) -> Any:
        state, settled = local_state(path), is_settled(path, time.time_ns())
        answer = self._memory.recall_reading(str(path), question, state)
        if answer is None:
            answer = read()
            if settled and local_state(path) == state:
                self._memory.remember_reading(str(path), question, state, answer)
        return answer

    def _in_cache(self, found: Found) -> bool:
        if self._address.scheme != "hf":
            return False
        return in_cache(found, parse_address(str(found.uri))) is not None

    def _check_unchanged(self, found: Found) -> None:
        """After reading: what was read must be what was found. Files of the Hub lie at a commit, and never change."""
        if self._address.scheme != "hf":
            check_same_now(self._file(found, UNREAD, split=None), self._address, self._connect)


def _place(data: Data, address: Address, project: Path, roots: tuple[Path, ...] | None, connect: Connect) -> Place:
    pattern = Pattern(address.path, data.period)
    if address.local:
        return LocalPlace(address, pattern, project, roots)
    kind = HubPlace if address.scheme == "hf" else ObjectPlace
    return kind(address, pattern, data.connection, connect)


def place_of(data: Data, key: str) -> str:
    """Where a partition is, for texts."""
    if data.date_column is not None:
        return f"{data.source} (column `{data.date_column}`)"
    return data.source.replace(PLACEHOLDER, key)


def _known_as(found: Found, address: Address) -> str:
    """What a remote file is remembered as. One of the Hub by its content, whatever the commit."""
    if address.scheme != "hf":
        return str(found.uri)
    return f"hf://datasets/{address.root}/{parse_address(str(found.uri)).path}"


def _folder_of(found: list[Found]) -> str:
    """The place that files have in common, for error texts."""
    uri = str(found[0].uri)
    return uri.removesuffix(f"/{found[0].name}") if len(found) > 1 else uri


def _hash(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
