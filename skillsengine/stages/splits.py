"""Which rows train, which validate and which are the test: decided by the readers, from the rows' index alone.

The source's own word comes first: its files `train`, `validation`, `test`. A side that none of them is, is cut out of `train`;
of a source without such files, out of everything. Then the hash of the row's cluster of near copies decides (`near_copies`), so
that copies of one ad never stand on two sides. What is held here are numbers, at most 200 bytes a row, and no text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skillsengine.spec.schema import Split
from skillsengine.stages.near_copies import Clusters, SignedTexts, find_clusters
from skillsengine.stages.row_writer import INDEX, SIGNATURES, SPLITS
from skillsengine.stages.rows import Row, read_rows
from skillsengine.storage.artifact import Artifact

UNNAMED, TRAIN, VALIDATION, TEST = range(len(SPLITS))

Places = NDArray[np.uint8]


def formatted_inputs(inputs: Mapping[str, Artifact]) -> list[Artifact]:
    """The `format` artifacts among a stage's inputs, by their partition keys: `profile` and `finetune` read the same rows."""
    return [artifact for name, artifact in sorted(inputs.items()) if name.startswith("format")]


def row_index(formatted: Artifact) -> NDArray[Any]:
    """The `ROW_INDEX` of an artifact, shape (rows,), mapped from its file."""
    return np.asarray(np.load(formatted.file(INDEX), mmap_mode="r"))


def signed_texts(formatted: Artifact) -> SignedTexts:
    """The distinct texts of an artifact, in the order of their signatures: that of their first occurrence."""
    keys = np.ascontiguousarray(row_index(formatted)["key"])
    _, first = np.unique(keys, return_index=True)
    first.sort()
    return SignedTexts(keys[first], formatted.file(SIGNATURES))


@dataclass(frozen=True)
class TrainingRows:
    """The labelled rows of some partitions that a training uses. Iterating reads them anew, one at a time."""

    formatted: tuple[Artifact, ...]
    parts: tuple[Places, ...]
    """For each artifact the part of each of its rows: `TRAIN`, `VALIDATION`, or 0 where it is not used."""
    labelled: int
    """Rows with labels in all partitions, of all splits."""
    copies_left_out: int
    """Labelled rows of training or validation whose very text was taken already, or is held out."""
    near_copies_left_out: int
    """Labelled rows left out because a near copy of them is held out: for the test, or (of training rows) for validation."""
    near_copies: int
    """Distinct texts that have a near copy, in all partitions, of all splits."""

    @property
    def rows(self) -> int:
        """Rows in all partitions, used or not."""
        return sum(len(part) for part in self.parts)

    def count(self, part: int) -> int:
        return sum(int(np.count_nonzero(of == part)) for of in self.parts)

    def __len__(self) -> int:
        return self.count(TRAIN) + self.count(VALIDATION)

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        """(part, row), partition after partition, in the rows' order."""
        return self.only(None)

    def only(self, wanted: NDArray[np.bool_] | None) -> Iterator[tuple[int, Row]]:
        """As by iterating, without the rows whose place in `wanted` (one a used row) is False: they are not parsed."""
        start = 0
        for artifact, part in zip(self.formatted, self.parts, strict=True):
            used = np.flatnonzero(part)
            chosen = part
            if wanted is not None:
                chosen = np.zeros_like(part)
                kept = used[wanted[start : start + len(used)]]
                chosen[kept] = part[kept]
                start += len(used)
            yield from zip(chosen[chosen != 0].tobytes(), read_rows(artifact, chosen.tobytes()), strict=True)

    def summary(self) -> dict[str, int]:
        """What was left out and why, for a stage's summary."""
        return {
            "copies_left_out": self.copies_left_out,
            "near_copies_left_out": self.near_copies_left_out,
            "near_copies": self.near_copies,
        }


def training_rows(formatted: Sequence[Artifact], split: Split, *, dated: bool) -> TrainingRows:
    """Choose the rows to train on and to validate with; of exact copies the first labelled one is taken.

    A text of which a copy or near copy is held out never trains: where that one stands in the test, it does not validate
    either. Raises StageError for a damaged artifact.
    """
    clusters = find_clusters([signed_texts(artifact) for artifact in formatted], split.near_copies)
    hashed = _Hashed(clusters, split, dated=dated)
    tested, validated = _Flags(clusters), _Flags(clusters)
    for artifact in formatted:
        index = row_index(artifact)
        texts = clusters.places(index["key"])
        sides = hashed.sides(artifact, index["split"], texts)
        tested.set(texts[sides == TEST])
        validated.set(texts[sides == VALIDATION])

    taken = np.zeros(len(clusters.keys), np.bool_)
    parts, labelled, copies, near = [], 0, 0, 0
    for artifact in formatted:
        index = row_index(artifact)
        texts = clusters.places(index["key"])
        sides = hashed.sides(artifact, index["split"], texts)
        learning = index["labelled"] & (sides != TEST)
        held_out = tested.of_cluster(texts) | ((sides == TRAIN) & validated.of_cluster(texts))
        # A copy of what is held out, to the letter; the others of its cluster are near copies.
        exact = tested.of_text[texts] | ((sides == TRAIN) & validated.of_text[texts])
        near += int(np.count_nonzero(learning & held_out & ~exact))
        usable = np.flatnonzero(learning & ~held_out)
        _, first = np.unique(texts[usable], return_index=True)
        chosen = np.sort(usable[first])
        chosen = chosen[~taken[texts[chosen]]]
        taken[texts[chosen]] = True
        part = np.zeros(len(index), np.uint8)
        part[chosen] = sides[chosen]
        parts.append(part)
        copies += int(np.count_nonzero(learning & held_out & exact)) + len(usable) - len(chosen)
        labelled += int(np.count_nonzero(index["labelled"]))
    return TrainingRows(tuple(formatted), tuple(parts), labelled, copies, near, clusters.near_copies)


def scored_rows(formatted: Artifact, split: Split, *, dated: bool) -> NDArray[np.bool_]:
    """Which rows of a partition a score is computed on, before any is left out; shape (rows,).

    A dated source has no hashed test: its test is the run's own partition, as a whole.
    """
    index = row_index(formatted)
    if dated:
        return np.ones(len(index), np.bool_)
    if not _to_cut(formatted):
        return np.asarray(index["split"] == TEST)
    clusters = find_clusters([signed_texts(formatted)], split.near_copies)
    sides = _Hashed(clusters, split, dated=False).sides(formatted, index["split"], clusters.places(index["key"]))
    return np.asarray(sides == TEST)


def _to_cut(formatted: Artifact) -> set[int]:
    """The held-out sides that no file of the source is. What its files say counts, not what is left of their rows: a file
    `test` whose rows are all rejected is no reason to take others for it."""
    said = formatted.summary["splits"]
    return {side for side in (VALIDATION, TEST) if SPLITS[side] not in said}


class _Flags:
    """A yes or no for texts, and for their clusters."""

    def __init__(self, clusters: Clusters) -> None:
        self._first = clusters.first
        self.of_text = np.zeros(len(clusters.keys), np.bool_)
        self._of_first = np.zeros(len(clusters.keys), np.bool_)

    def set(self, texts: NDArray[np.int32]) -> None:
        self.of_text[texts] = True
        self._of_first[self._first[texts]] = True

    def of_cluster(self, texts: NDArray[np.int32]) -> NDArray[np.bool_]:
        return np.asarray(self._of_first[self._first[texts]])


class _Hashed:
    """The side of each cluster by the hash of its id: the same ads fall on the same side in every run."""

    def __init__(self, clusters: Clusters, split: Split, *, dated: bool) -> None:
        self._clusters, self._split, self._dated = clusters, split, dated
        self._of_first: Places | None = None

    def sides(self, formatted: Artifact, named: Places, texts: NDArray[np.int32]) -> Places:
        """`TRAIN`, `VALIDATION` or `TEST` of an artifact's rows: the source's own word (`named`), else their cluster's."""
        to_cut = _to_cut(formatted)
        if not to_cut:
            return named
        if self._of_first is None:
            self._of_first = self._hash()
        hashed = self._of_first[self._clusters.first[texts]]
        cut = (named == TRAIN) & np.isin(hashed, list(to_cut))
        return np.where((named == UNNAMED) | cut, hashed, named)

    def _hash(self) -> Places:
        first = self._clusters.first
        sides = np.zeros(len(first), np.uint8)
        for place in np.flatnonzero(first == np.arange(len(first))):
            sides[place] = self._side(int(self._clusters.keys[place]))
        return sides

    def _side(self, cluster: int) -> int:
        if not self._dated and _share(cluster, "test") < self._split.test:
            return TEST
        return VALIDATION if _share(cluster, "validation") < self._split.validation else TRAIN


def _share(cluster: int, salt: str) -> float:
    """A number in [0, 1) that depends on the cluster's id alone."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{cluster:016x}".encode()).digest()[:8], "big") / 2**64
