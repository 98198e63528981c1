"""Ids of rows that are to be unique, remembered in at most 60 bytes a row."""

from __future__ import annotations

import hashlib
from array import array
from enum import Enum

_LOAD = 0.7
_GROWTH = 1.5
_FIRST = 1024


class Claim(Enum):
    """What became of an id that a row claims."""

    NEW = "new"
    COPY = "copy"
    """The same id was claimed by the same text."""
    TAKEN = "taken"
    """The same id was claimed by another text first."""


class Ids:
    """Which text claimed which id first: a hash table of 64-bit hashes (a Python dict takes three times as much).

    Two ids in 2^64 that share a hash count as one, and the second row then gets a longer id: no harm done.
    """

    def __init__(self) -> None:
        self._ids, self._texts = _zeros(_FIRST), _zeros(_FIRST)
        self._count = 0

    def claim(self, name: str, text: int) -> Claim:
        """`text`: a hash of the row's text, below 2^64."""
        wanted = int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "little") or 1
        at = self._place(wanted)
        if self._ids[at]:
            return Claim.COPY if self._texts[at] == text else Claim.TAKEN
        self._ids[at], self._texts[at] = wanted, text
        self._count += 1
        if self._count > _LOAD * len(self._ids):
            self._grow()
        return Claim.NEW

    def _place(self, wanted: int) -> int:
        """Where `wanted` stands, or the empty place where it belongs."""
        ids, size = self._ids, len(self._ids)
        at = wanted % size
        while ids[at] and ids[at] != wanted:
            at = at + 1 if at + 1 < size else 0
        return at

    def _grow(self) -> None:
        ids, texts = self._ids, self._texts
        self._ids, self._texts = (_zeros(int(_GROWTH * len(ids))) for _ in range(2))
        for name, text in zip(ids, texts, strict=True):
            if name:
                at = self._place(name)
                self._ids[at], self._texts[at] = name, text


def _zeros(size: int) -> array[int]:
    return array("Q", bytes(8 * size))
