"""A source as a plan looks at it, and its rows as a stage reads them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.sources.errors import SourceError, SourceUnavailable
from skillsengine.sources.files import SourceFile
from skillsengine.sources.find import Source
from skillsengine.sources.memory import Memory
from skillsengine.sources.opening import open_source
from skillsengine.sources.reading.formats import read_rows
from skillsengine.spec.schema import Data


def look(
    source: str,
    *,
    memory: Memory | None = None,
    read: bool = True,
    connect: Connect = environment_connect,
    **data: Any,
) -> Source:
    """The source of a spec whose project has no local data."""
    found = Data(source=source, **data)
    return Source(found, Path("/nowhere"), (), memory=memory, read=read, connect=connect)


def files(source: str, partition: str | None = None, **options: Any) -> tuple[SourceFile, ...]:
    return look(source, **options).files(partition)


def names(found: tuple[SourceFile, ...]) -> list[str]:
    return [file.name for file in found]


def error(source: str, partition: str | None = None, **options: Any) -> str:
    """What is said where it is not readable, and a retry does not help."""
    with pytest.raises(SourceError) as caught:
        files(source, partition, **options)
    return str(caught.value)


def unavailable(source: str, partition: str | None = None, **options: Any) -> str:
    """What is said where a retry may help."""
    with pytest.raises(SourceUnavailable) as caught:
        files(source, partition, **options)
    return str(caught.value)


def content(file: SourceFile, connect: Connect = environment_connect) -> bytes:
    with open_source(file, connect) as stream:
        return stream.read()


def rows(file: SourceFile, connect: Connect = environment_connect) -> list[dict[str, Any] | None]:
    with open_source(file, connect) as stream:
        return [row.values for row in read_rows(file, stream)]


def said_anywhere(caught: BaseException, log: pytest.LogCaptureFixture) -> str:
    """An error with all its causes, as text and as `repr`, and the log: where no secret may be."""
    texts, seen = [record.getMessage() for record in log.records], caught
    while True:
        texts += [str(seen), repr(seen)]
        following = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
        if following is None:
            return "\n".join(texts)
        seen = following


def listen(log: pytest.LogCaptureFixture) -> None:
    """Take in what any library logs. Not what botocore tells only those who look for mistakes in it: signed requests."""
    log.set_level(logging.INFO)
