"""Which ads of a partition are worth a person's time: those that `evaluate` scores first."""

from __future__ import annotations

import numpy as np

from skillsengine.spec.schema import Split
from skillsengine.stages.rows import Row, read_rows
from skillsengine.stages.splits import row_index, scored_rows
from skillsengine.stages.unseen import sample
from skillsengine.storage.artifact import Artifact


def choose_rows(
    formatted: Artifact, split: Split, *, dated: bool, seed: int, size: int, labelled: bool
) -> tuple[list[Row], int]:
    """(at most `size` rows of a `format` artifact in its order, out of how many), with labels or without.

    Rows that `evaluate` may score, each text once, drawn as it draws its own sample with `evaluate.seed`: however few it
    scores, they are the first that are drawn here.
    """
    index = row_index(formatted)
    keys = np.ascontiguousarray(index["key"])
    once = np.zeros(len(keys), np.bool_)
    once[np.unique(keys, return_index=True)[1]] = True
    there = np.flatnonzero(once & scored_rows(formatted, split, dated=dated) & (index["labelled"] == labelled))
    wanted = np.zeros(len(keys), np.uint8)
    wanted[there[sample(keys[there], size, seed)]] = 1
    return list(read_rows(formatted, wanted.tobytes())), len(there)
