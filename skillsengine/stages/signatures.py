"""MinHash signatures of texts: what near copies are found by (`near_copies`), and the .npy files they are kept in.

A signature holds, for each of 64 seeded hash functions, the smallest hash over the text's set of five-word sequences
(Broder 1997): two signatures agree in each place with a probability equal to the Jaccard similarity of the two sets.
The hashes are rensa's; they depend on text and seed alone, not on the process (a test pins one).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from skillsengine.stages.rows import normalized_words

PERMUTATIONS = 64
"""Values of a signature: the standard deviation of an estimated Jaccard similarity J is sqrt(J (1 - J) / 64), at most 1/16."""
SHINGLE = 5
"""Words of a sequence."""
_SEED = 20_260_101
"""Part of the format: signatures of another seed cannot be compared."""

Signatures = NDArray[np.uint32]
"""Shape (texts, 64)."""


def shingles(text: str) -> list[bytes]:
    """The sequences of five normalized words, in UTF-8; a shorter text is one sequence as a whole."""
    joined = b" ".join(normalized_words(text))
    spaces = np.flatnonzero(np.frombuffer(joined, np.uint8) == ord(" "))
    starts, ends = [0, *(spaces + 1).tolist()], [*spaces.tolist(), len(joined)]
    # Cut out of one text: twice as fast as joining words anew for each.
    return [joined[start:end] for start, end in zip(starts, ends[SHINGLE - 1 :], strict=False)] or [joined]


def signatures_of(texts: Sequence[str]) -> Signatures:
    """The signature of each text, shape (texts, 64)."""
    if not texts:
        return np.empty((0, PERMUTATIONS), "<u4")
    matrix = RMinHash.digest_matrix_from_token_byte_sets([shingles(text) for text in texts], PERMUTATIONS, _SEED)
    return np.array(matrix.to_rows(), "<u4")


class NpyWriter:
    """A .npy file that grows by batches of rows of one shape: nothing but the batch is held.

    numpy leaves room in the header for the number of rows, which is written at the end.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], columns: int | None = None) -> None:
        self._dtype, self._columns, self._rows = dtype, columns, 0
        self._file = path.open("wb")
        self._header()

    def _header(self) -> None:
        shape = (self._rows,) if self._columns is None else (self._rows, self._columns)
        described = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self._file, described)

    def add(self, batch: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(batch, self._dtype).data)
        self._rows += len(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._file.seek(0)
            self._header()
        self._file.close()
