"""Writes the rows of a `format` artifact with flat memory, and beside them what readers decide by without their texts.

Files: rows.jsonl (one row a line), rows.npy (`ROW_INDEX`, one entry a row), signatures.npy (uint32, shape (n, 64): one
signature for each distinct text, in the order in which the texts first occur; `signatures`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skillsengine.stages.rows import ROWS, Row, row_line
from skillsengine.stages.signatures import PERMUTATIONS, NpyWriter, signatures_of

INDEX = "rows.npy"
SIGNATURES = "signatures.npy"

SPLITS = (None, "train", "validation", "test")
"""`ROW_INDEX.split` is the place of `Row.split` in here."""
ROW_INDEX = np.dtype([("key", "<u8"), ("split", "u1"), ("labelled", "?")])
"""Of each row: its key as a number, what the source's file says of its split, whether it has labels."""

_BATCH = 500


class KeySet:
    """Keys of 64 bits that were seen, in 8 bytes each and 24 while they are sorted in; a Python set takes over 100."""

    def __init__(self) -> None:
        self._sorted: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._recent: set[int] = set()

    def add(self, keys: NDArray[np.uint64]) -> list[int]:
        """Add `keys`, shape (n,); the places of those that are new, each key once."""
        new = []
        for place in np.flatnonzero(~self._holds(keys)).tolist():
            key = int(keys[place])
            if key not in self._recent:
                self._recent.add(key)
                new.append(place)
        if len(self._recent) > max(1_000, len(self._sorted) // 8):
            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._recent.clear()
            self._sorted = np.concatenate((self._sorted, recent))
            self._sorted.sort(kind="stable")
        return new

    def _holds(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        if not len(self._sorted):
            return np.zeros(len(keys), np.bool_)
        at = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.asarray(self._sorted[at] == keys)


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Write `rows` into `folder`; a batch of them is held at a time, and 8 to 24 bytes for each distinct text."""
    left, seen = iter(rows), KeySet()
    with (
        (folder / ROWS).open("w", encoding="utf-8") as lines,
        NpyWriter(folder / INDEX, ROW_INDEX) as index,
        NpyWriter(folder / SIGNATURES, np.dtype("<u4"), PERMUTATIONS) as signatures,
    ):
        while batch := list(islice(left, _BATCH)):
            lines.writelines(map(row_line, batch))
            entries = np.fromiter(map(_entry, batch), ROW_INDEX, len(batch))
            index.add(entries)
            signatures.add(signatures_of([batch[place].text for place in seen.add(entries["key"])]))


def _entry(row: Row) -> tuple[int, int, bool]:
    return int(row.key, 16), SPLITS.index(row.split), row.skills is not None
