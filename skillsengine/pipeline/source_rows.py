"""The rows of a source as `format` would take them, counted, and compared with those of an artifact that it made before.

Only small sources on this machine are read: a plan downloads nothing, and is there in seconds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from skillsengine.pipeline.graph import FORMAT
from skillsengine.pipeline.plan import Step
from skillsengine.sources.connection import environment_connect
from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.rows import EXCERPT
from skillsengine.stages.annotations import Joined
from skillsengine.stages.contract import StageError
from skillsengine.stages.reading import Columns, SourceReader
from skillsengine.stages.records import clean_record, rejection
from skillsengine.stages.rows import REJECTED, ROWS, read_rows
from skillsengine.storage.artifact import Artifact

MAX_BYTES = 32 << 20
"""What all sources and artifacts of one command may have together: about two seconds of reading."""
_UNPACKED = 8
"""A packed file may hold so many times its size in characters; more is not read to its end."""

_READ_WITH = FORMAT.reads
_Known = tuple[str, int]
"""(id, hash of all else that the artifact keeps of a row)"""


@dataclass(frozen=True)
class RowCount:
    """What `format` would count."""

    rows: int
    labelled: int


@dataclass(frozen=True)
class RowChanges:
    """How many rows of a partition differ; a row is known again by its id, and one that only moved is the same."""

    edited: int
    added: int
    gone: int

    def __str__(self) -> str:
        """`2 rows`, `1 row added`, `2 rows edited, 1 added`; `no row` where only ids, order or unused columns changed."""
        if not (self.edited or self.added or self.gone):
            return "no row that is used"
        if not (self.added or self.gone):
            return _rows(self.edited)
        counts = [(self.edited, "edited"), (self.added, "added"), (self.gone, "gone")]
        (first, verb), *rest = [(count, verb) for count, verb in counts if count]
        return ", ".join([f"{_rows(first)} {verb}", *(f"{count:,} {verb}" for count, verb in rest)])


@dataclass(frozen=True)
class _Read:
    known: tuple[_Known, ...]
    count: RowCount


class SourceRows:
    """Reads what a plan wants to know of its sources, each once, until `budget` bytes are spent."""

    def __init__(self, budget: int = MAX_BYTES) -> None:
        self._left = budget
        self._read: dict[str, _Read | None] = {}

    def count(self, step: Step) -> RowCount | None:
        """The rows that a `format` step would make; None where reading them would take long, or fails."""
        read = self._source(step, step.config)
        return read.count if read else None

    def changes(self, step: Step, old: Artifact) -> RowChanges | None:
        """How the rows of a `format` step's files differ from those of `old`, both read with the settings of `old`.

        None where `old` was made by another version of the stage (which may have read the same rows otherwise) or of a part of
        the rows (`--limit`), where its files cannot be read, and where it would take long.
        """
        manifest = old.manifest
        if manifest.version != step.definition.version or manifest.config.get("limit"):
            return None
        if not self._spend(sum(manifest.files[name].size for name in (ROWS, REJECTED) if name in manifest.files)):
            return None
        read = self._source(step, manifest.config)
        if read is None:
            return None
        try:
            return _compare(_stored(old), read.known)
        except (OSError, ValueError):
            return None  # its files are gone or damaged, which says nothing about the data

    def _source(self, step: Step, config: Mapping[str, Any]) -> _Read | None:
        """The files of `step`, read with the columns and the cleaning that `config` names."""
        named = {path: config[path] for path in _READ_WITH}
        asked = json.dumps([step.key, [[str(file.uri), file.sha256] for file in step.files], named], sort_keys=True)
        if asked not in self._read:
            self._read[asked] = self._read_now(step, named)
        return self._read[asked]

    def _read_now(self, step: Step, named: Mapping[str, Any]) -> _Read | None:
        sizes = [_size_here(file) for file in step.files]
        here = [size for size in sizes if size is not None]
        if len(here) < len(sizes) or not self._spend(sum(here)):
            return None
        data = step.spec.data
        columns = Columns(
            text=named["data.text"],
            labels=named["data.labels"],
            id=named["data.id"],
            label_format=named["data.label_format"],
            date=data.date_column,
            period=data.period,
            spans=tuple(named["data.spans"]),
            fields=tuple(named["data.fields"]),
        )
        try:
            ads = tuple(file for file in step.files if not file.labels)
            reader = SourceReader(ads, columns, environment_connect)
            return _records(reader, Joined.of(step.files), named["data.cleaning"], sum(here))
        except (StageError, SourceError):
            return None  # the run that reads it says what is wrong with it

    def _spend(self, size: int) -> bool:
        if size > self._left:
            return False
        self._left -= size
        return True


def _records(reader: SourceReader, joined: Joined, cleaning: Iterable[Any], size: int) -> _Read | None:
    steps, known, labelled, usable, characters = tuple(cleaning), [], 0, 0, 0
    for raw in reader.records():
        cleaned = clean_record(raw, steps)
        if cleaned.record.reason is None:
            cleaned = joined.of_row(cleaned.record.id, cleaned, steps)
        record = cleaned.record
        characters += len(raw.text)
        if characters > _UNPACKED * size + EXCERPT:
            return None
        if record.reason is None:
            usable += 1
            labelled += record.labels is not None
            skills = None if record.labels is None else tuple(record.labels)
            known.append((record.id, _content(record.text, skills, record.split, cleaned.spans, record.fields)))
        else:
            known.append((record.id, hash((rejection(record), record.text[:EXCERPT]))))
    return _Read(tuple(known), RowCount(usable, labelled))


def _stored(artifact: Artifact) -> list[_Known]:
    known = [(row.id, _content(row.text, row.skills, row.split, row.spans, row.fields)) for row in read_rows(artifact)]
    with artifact.file(REJECTED).open(encoding="utf-8") as file:
        for entry in map(json.loads, file):
            known.append((entry["id"], hash((entry["reason"], entry["text"]))))
    return known


def _content(
    text: str,
    skills: tuple[str, ...] | None,
    split: str | None,
    spans: tuple[tuple[int, int], ...] | None,
    fields: Mapping[str, str],
) -> int:
    """A hash of what the artifact keeps of a row beside its id."""
    return hash((text, skills, split, spans, frozenset(fields.items())))


def _compare(before: Iterable[_Known], after: Iterable[_Known]) -> RowChanges:
    was, now = Counter(before), Counter(after)
    was, now = was - now, now - was
    # The same row under another id: without an id of its own a row is called by its line, and moves when one above it goes.
    moved = Counter(content for _, content in was.elements()) & Counter(content for _, content in now.elements())
    gone, added = _ids(was, moved), _ids(now, moved)
    edited = (gone & added).total()
    return RowChanges(edited, added.total() - edited, gone.total() - edited)


def _ids(rows: Counter[_Known], without: Counter[int]) -> Counter[str]:
    """The ids of `rows`, but for those of the contents `without`."""
    left, ids = without.copy(), Counter[str]()
    for name, content in rows.elements():
        if left[content] > 0:
            left[content] -= 1
        else:
            ids[name] += 1
    return ids


def _size_here(file: SourceFile) -> int | None:
    """Bytes of a file on this machine; None for one elsewhere, or one that is gone."""
    if file.remote or not file.path.is_file():
        return None
    return file.path.stat().st_size


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"
