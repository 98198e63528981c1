"""A stream whose errors are told as those of a source."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

_BUFFER = 1 << 20


class Translated(io.RawIOBase):
    """Hands on what a store's own stream gives; whatever goes wrong on the way goes through `errors`.

    It is read once, from the beginning. It does not seek, though the store's stream could: a reader that jumps about, as that
    of Parquet does from column to column, would fetch a block of many megabytes at each jump.
    """

    def __init__(self, stream: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self._stream, self._errors = stream, errors

    @classmethod
    def of(cls, stream: Any, errors: Callable[[], AbstractContextManager[None]]) -> BinaryIO:
        """`stream`, buffered."""
        return io.BufferedReader(cls(stream, errors), _BUFFER)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with self._errors():
            chunk: bytes = self._stream.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._stream.close()
        super().close()
