"""Which rows of a partition `evaluate` scores: test rows that the adapter was not trained on, nor on near copies of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skillsengine.stages.contract import Limit, NothingToScore, StageConfig
from skillsengine.stages.near_copies import Keys
from skillsengine.stages.rows import Row, read_rows
from skillsengine.stages.splits import row_index, scored_rows
from skillsengine.stages.trained_on import near_copies_of_trained, read_keys
from skillsengine.storage.artifact import Artifact


@dataclass(frozen=True)
class Unseen:
    """The rows to score, and how many test rows were left out because the adapter was trained on them."""

    rows: list[Row]
    trained_on: int
    """Exact copies of trained texts."""
    near_copies: int


def unseen_rows(config: StageConfig, inputs: Mapping[str, Artifact]) -> Unseen:
    """At most `evaluate.max_rows` of the partition `inputs["format"]`, in its order. Only these are read.

    Raises NothingToScore where none is left.
    """
    spec, formatted = config.spec, inputs["format"]
    keys = np.ascontiguousarray(row_index(formatted)["key"])
    tested = scored_rows(formatted, spec.data.split, dated=spec.data.dated)
    trained = near = np.zeros(len(keys), np.bool_)
    if config.key != "base":
        trained = tested & np.isin(keys, read_keys(inputs["finetune"]))
        copies = near_copies_of_trained(inputs["finetune"], formatted, spec.data.split.near_copies)
        near = tested & ~trained & np.isin(keys, copies)
    fresh = np.flatnonzero(tested & ~trained & ~near)
    if not len(fresh):
        raise NothingToScore(_nothing_to_score(config, formatted, int(tested.sum())))
    wanted = np.zeros(len(keys), np.uint8)
    wanted[fresh[sample(keys[fresh], _size(spec.evaluate.max_rows, config.limit), spec.evaluate.seed)]] = 1
    return Unseen(list(read_rows(formatted, wanted.tobytes())), int(trained.sum()), int(near.sum()))


def sample(keys: Keys, size: int | None, seed: int) -> NDArray[np.int64]:
    """Places of at most `size` of the texts `keys`, ascending: those with the lowest hash of (seed, text), the earlier of
    equal ones. More texts or other subjects change the choice as little as possible."""
    if size is None or len(keys) <= size:
        return np.arange(len(keys))
    ranks = [hashlib.sha256(f"{seed}:{key:016x}".encode()).digest()[:8] for key in keys.tolist()]
    order = np.argsort(np.frombuffer(b"".join(ranks), ">u8"), kind="stable")
    return np.sort(order[:size])


def _size(max_rows: int | None, limit: Limit | None) -> int | None:
    sizes = [size for size in (max_rows, limit.generated if limit else None) if size is not None]
    return min(sizes, default=None)


def _nothing_to_score(config: StageConfig, formatted: Artifact, candidates: int) -> str:
    where = f"evaluate[{config.key}]: no row to score in partition {formatted.key}"
    if candidates:
        return (
            f"{where}: all of its {candidates} test rows stand in the adapter's training data, or are near copies of ads "
            "there, and nothing is scored on what it was trained on. Score it on a partition outside of its training window, "
            "or on a source with other ads."
        )
    split = config.spec.data.split
    rows = formatted.summary.get("rows", "unknown number of")
    return (
        f"{where}: none of its {rows} rows is a test row. Give the source a file `test.jsonl`, or raise data.split.test "
        f"(it is {split.test:g})."
    )
