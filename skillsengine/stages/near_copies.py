"""Near copies: clusters of texts whose MinHash signatures agree, over one or several files of signatures.

Two texts are near copies where their signatures agree in at least `threshold` of their 64 values, the estimate of the
Jaccard similarity of their five-word sequences; a cluster is what chains of such pairs join. Exact copies (equal keys)
are one text from the start; a threshold of 1 stands for these alone, and nothing is estimated.

**What an estimate says.** Of pairs with a true similarity of 0.9, 99.0% are estimated at 0.8 or more; of 0.8, 48%; of 0.7,
3%; of 0.5, 1 in 4 million (binomial, 64 draws).

**How they are found.** Locality-sensitive hashing: the signature is cut into bands, and only texts that agree in a whole
band are compared. A pair that reaches the threshold differs in at most 64 - ceil(64 threshold) values, and there are more
bands than that, so each such pair shares at least one band (16 bands of 4 values at 0.8): the bands by themselves miss none.

**What is missed.** In a band, texts are compared with their eight predecessors in the sorted order (the next band decides
ties) and with the first of their bucket, so that ten thousand ads of one agency cost ten thousand comparisons and not
fifty million. A pair is missed only if, in each band that it shares, more than eight other texts stand between its two in a
bucket of which neither is the first, and no chain of found pairs joins them. Buckets of up to nine texts are compared whole.

**Memory.** Per distinct text at most 100 bytes at any time; signatures stay on disk and are read in slices. Resident
memory would grow with a memory map, page by page, so files are read instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skillsengine.stages.contract import StageError
from skillsengine.stages.signatures import PERMUTATIONS, Signatures

Keys = NDArray[np.uint64]

_BEFORE = 8
"""Predecessors that a text is compared with."""
_SLICE = 8192
"""Signatures read at a time: 2 MB."""
_STRETCH = 16_384
"""Texts compared at a time; their signatures and copies of them take 12 MB."""


@dataclass(frozen=True)
class SignedTexts:
    """Distinct texts and where their signatures are: `file` holds uint32, shape (n, 64), in the order of `keys`."""

    keys: Keys
    file: Path


@dataclass(frozen=True)
class Clusters:
    """Which texts are copies of one ad."""

    keys: Keys
    """Each text's key once, ascending; shape (n,)."""
    first: NDArray[np.int32]
    """Place in `keys` of the first text of each text's cluster: a cluster's id is its smallest key. Shape (n,)."""

    def places(self, keys: Keys) -> NDArray[np.int32]:
        """Where each of `keys` stands in `self.keys`; all of them must be there."""
        return np.searchsorted(self.keys, keys).astype(np.int32)

    @property
    def near_copies(self) -> int:
        """Texts that have at least one near copy."""
        return int(np.count_nonzero(np.bincount(self.first, minlength=1)[self.first] > 1))


@dataclass(frozen=True)
class Bands:
    """How signatures are cut."""

    number: int
    width: int
    """Values in a band."""
    needed: int
    """Values that must agree: ceil(64 threshold)."""


def bands_for(threshold: float) -> Bands:
    """The widest bands of which there are more than the values that two near copies may differ in (pigeonhole)."""
    # Rounded first: 0.07 * 100 is a little over 7 in floating point.
    needed = math.ceil(round(PERMUTATIONS * threshold, 9))
    width = PERMUTATIONS // (PERMUTATIONS - needed + 1)
    return Bands(PERMUTATIONS // width, width, needed)


def find_clusters(texts: Sequence[SignedTexts], threshold: float) -> Clusters:
    """Clusters over all of `texts`. Raises StageError where a file does not hold a signature for each text."""
    files = [_SignatureFile(signed) for signed in texts]
    keys, place = np.unique(np.concatenate([np.empty(0, np.uint64), *(t.keys for t in texts)]), return_index=True)
    joined = _Joined(len(keys))
    if len(keys) > 1 and threshold < 1:
        bands, stored = bands_for(threshold), _Stored(files)
        for band in range(bands.number):
            _join_band(joined, stored, place, bands, band)
    return Clusters(keys, joined.first)


class _SignatureFile:
    """A .npy file of signatures, read in slices and by single rows."""

    def __init__(self, signed: SignedTexts) -> None:
        self.path = signed.file
        mapped = np.load(self.path, mmap_mode="r")  # for its header; no page of it is read
        if mapped.shape != (len(signed.keys), PERMUTATIONS) or mapped.dtype != np.dtype("<u4"):
            raise StageError(
                f"{self.path}: signatures of shape {mapped.shape} and type {mapped.dtype}, for {len(signed.keys)} texts "
                f"({PERMUTATIONS} uint32 each were expected): the artifact is damaged. Delete its folder, and run again."
            )
        self.texts, self._offset = len(signed.keys), int(mapped.offset)

    def slices(self) -> Iterator[Signatures]:
        for start in range(0, self.texts, _SLICE):
            count = min(_SLICE, self.texts - start) * PERMUTATIONS
            offset = self._offset + start * PERMUTATIONS * 4
            yield np.fromfile(self.path, "<u4", count, offset=offset).reshape(-1, PERMUTATIONS)

    def read(self, rows: NDArray[np.int64], into: Signatures, places: NDArray[np.int64]) -> None:
        """`into[places[i]]` becomes the signature number `rows[i]`."""
        with self.path.open("rb", buffering=0) as file:
            for row, place in zip(rows.tolist(), places.tolist(), strict=True):
                file.seek(self._offset + row * PERMUTATIONS * 4)
                file.readinto(into[place].data)


class _Stored:
    """The signatures of several files, numbered through."""

    def __init__(self, files: Sequence[_SignatureFile]) -> None:
        self._files = files
        self._ends = np.cumsum([file.texts for file in files])

    def band_hashes(self, bands: Bands, band: int) -> Keys:
        """One number for each signature, shape (signatures,): equal in the upper half where this band is equal.

        The lower half is the upper half of the next band's number, so that in one bucket similar texts stand together.
        """
        hashes = np.empty(int(self._ends[-1]), np.uint64)
        start, high, half = 0, np.uint64(0xFFFFFFFF00000000), np.uint64(32)
        for file in self._files:
            for part in file.slices():
                this, following = _hash(part, bands, band), _hash(part, bands, (band + 1) % bands.number)
                hashes[start : start + len(part)] = (this & high) | (following >> half)
                start += len(part)
        return hashes

    def take(self, numbers: NDArray[np.int64]) -> Signatures:
        """The signatures of these numbers, shape (len(numbers), 64)."""
        taken = np.empty((len(numbers), PERMUTATIONS), "<u4")
        of_file = np.searchsorted(self._ends, numbers, side="right")
        for number, file in enumerate(self._files):
            places = np.flatnonzero(of_file == number)
            file.read(numbers[places] - (self._ends[number] - file.texts), taken, places)
        return taken


def _hash(signatures: Signatures, bands: Bands, band: int) -> Keys:
    """One number of 64 mixed bits (splitmix64's finalizer) for the band of each signature."""
    mixed = np.zeros(len(signatures), np.uint64)
    for column in range(band * bands.width, (band + 1) * bands.width):
        mixed = (mixed + signatures[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


class _Joined:
    """Union of texts: `first[i]` is the smallest number of those that i is joined with, itself included."""

    def __init__(self, texts: int) -> None:
        self.first: NDArray[np.int32] = np.arange(texts, dtype=np.int32)

    def join(self, a: NDArray[np.int32], b: NDArray[np.int32]) -> None:
        """Join each text a[i] with the text b[i]."""
        if not len(a):
            return
        a, b = self.first[a], self.first[b]
        # Sorted, so a part's first number is its smallest.
        numbers, ends = np.unique(np.concatenate((a, b)), return_inverse=True)
        half = len(a)
        edges = coo_array((np.ones(half, np.bool_), (ends[:half], ends[half:])), shape=(len(numbers),) * 2)
        _, parts = connected_components(edges, directed=False)
        _, smallest = np.unique(parts, return_index=True)
        renamed = np.arange(len(self.first), dtype=np.int32)
        renamed[numbers] = numbers[smallest[parts]]
        self.first = renamed[self.first]


def _join_band(joined: _Joined, stored: _Stored, place: NDArray[np.int64], bands: Bands, band: int) -> None:
    """Join the near copies that share this band. `place`: the number of each text's signature, shape (texts,)."""
    texts, opens = _crowded(stored.band_hashes(bands, band)[place])
    texts, opens = _not_yet_one(joined, texts, opens)
    # Where the bucket of each text begins.
    first = np.maximum.accumulate(np.where(opens, np.arange(len(texts)), 0))
    for begin in range(0, len(texts), _STRETCH):
        here = np.arange(begin, min(begin + _STRETCH, len(texts)))
        low = max(0, begin - _BEFORE)
        # The bucket that reaches into this stretch may begin long before it: its first text is read beside the others.
        read = np.concatenate((first[begin : begin + 1], np.arange(low, here[-1] + 1)))
        signatures = stored.take(place[texts[read]])
        pairs = []
        for other in (first[here], *(here - back for back in range(1, _BEFORE + 1))):
            differ = np.flatnonzero((first[here] <= other) & (other < here))
            mine, others = here[differ], other[differ]
            differ = np.flatnonzero(joined.first[texts[mine]] != joined.first[texts[others]])
            mine, others = mine[differ], others[differ]
            agree = signatures[mine - low + 1] == signatures[np.where(others < low, 0, others - low + 1)]
            near = np.count_nonzero(agree, axis=1) >= bands.needed
            pairs.append((texts[mine[near]], texts[others[near]]))
        joined.join(*(np.concatenate(side) for side in zip(*pairs, strict=True)))


def _crowded(hashes: Keys) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """(texts, opens): the texts that share a bucket with another, bucket after bucket; `opens` where one begins."""
    order = np.argsort(hashes).astype(np.int32)
    buckets = hashes[order] >> np.uint64(32)
    same = np.concatenate(([False], buckets[1:] == buckets[:-1], [False]))
    crowded = same[1:] | same[:-1]
    return order[crowded], ~same[:-1][crowded]


def _not_yet_one(
    joined: _Joined, texts: NDArray[np.int32], opens: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Without the buckets that are one cluster already: most near copies are found by the first band that they share."""
    if not len(texts):
        return texts, opens
    first, opening = joined.first[texts], np.flatnonzero(opens)
    several = np.minimum.reduceat(first, opening) != np.maximum.reduceat(first, opening)
    kept = np.repeat(several, np.diff(np.append(opening, len(texts))))
    return texts[kept], opens[kept]
