"""The texts that an adapter was trained on: written by `finetune`, kept with the adapter, and never scored by `evaluate`.

Files: trained_on.txt (the keys, hexadecimal, ascending, one a line), trained_on.npy (their signatures in the same order,
uint32, shape (n, 64)). Artifacts of VERSION 1 have no signatures: only exact copies are known there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skillsengine.stages.near_copies import Keys, SignedTexts, find_clusters
from skillsengine.stages.signatures import PERMUTATIONS
from skillsengine.stages.splits import signed_texts
from skillsengine.storage.artifact import Artifact

KEYS = "trained_on.txt"
SIGNATURES = "trained_on.npy"

_SLICE = 8192


def write_trained_on(out: Path, formatted: Sequence[Artifact], keys: Keys) -> None:
    """Write both files for the texts `keys` (any order, each once or more), which all stand in `formatted`."""
    keys = np.unique(keys)
    with (out / KEYS).open("w", encoding="ascii") as file:
        file.writelines(f"{key:016x}\n" for key in keys.tolist())
    if not len(keys):
        np.save(out / SIGNATURES, np.empty((0, PERMUTATIONS), "<u4"))  # an empty file cannot be mapped
        return
    signatures = np.lib.format.open_memmap(out / SIGNATURES, "w+", "<u4", (len(keys), PERMUTATIONS))
    for artifact in formatted:
        texts = signed_texts(artifact)
        stored = np.load(texts.file, mmap_mode="r")
        for start in range(0, len(texts.keys), _SLICE):
            part = texts.keys[start : start + _SLICE]
            places = np.minimum(np.searchsorted(keys, part), len(keys) - 1)
            known = keys[places] == part
            signatures[places[known]] = stored[start : start + _SLICE][known]
    signatures.flush()


def read_keys(finetuned: Artifact) -> Keys:
    """Keys of the trained texts, ascending."""
    with finetuned.file(KEYS).open(encoding="ascii") as file:
        return np.fromiter((int(line, 16) for line in file), np.uint64)


def near_copies_of_trained(finetuned: Artifact, formatted: Artifact, threshold: float) -> NDArray[np.uint64]:
    """Keys of the partition's texts that are near copies of a trained text, that is in one cluster with it; shape (n,).

    None where the adapter carries no signatures.
    """
    if SIGNATURES not in finetuned.manifest.files:
        return np.empty(0, np.uint64)
    trained, texts = SignedTexts(read_keys(finetuned), finetuned.file(SIGNATURES)), signed_texts(formatted)
    clusters = find_clusters([trained, texts], threshold)
    of_first = np.zeros(len(clusters.keys), np.bool_)
    of_first[clusters.first[clusters.places(trained.keys)]] = True
    return texts.keys[of_first[clusters.first[clusters.places(texts.keys)]]]
