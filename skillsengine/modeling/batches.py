"""Batches for training and teacher forcing: short padding, and logits for the answers' tokens alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from skillsengine.modeling.encoding import IGNORED, Encoded

GROUPED_BATCHES = 8
"""Batches that are cut from one sorted stretch of rows: more pads less, fewer shuffles better."""


def collate(rows: Sequence[Encoded], pad_id: int) -> dict[str, torch.Tensor]:
    """Rows padded on the right to the longest of them.

    `input_ids` and `labels`: shape (rows, longest), int64; `tokens`: shape (), the number of real tokens. There is no
    attention mask: under a causal mask no real token sees the padding after it, and the padding has no labels. Without
    a mask the fast causal attention is taken.
    """
    longest = max(len(row) for row in rows)
    input_ids = torch.full((len(rows), longest), pad_id, dtype=torch.int64)
    labels = torch.full((len(rows), longest), IGNORED, dtype=torch.int64)
    for place, row in enumerate(rows):
        input_ids[place, : len(row)] = torch.tensor(row.input_ids)
        labels[place, : len(row)] = torch.tensor(row.labels)
    return {"input_ids": input_ids, "labels": labels, "tokens": torch.tensor(sum(len(row) for row in rows))}


def answer_logits(
    model: Any, input_ids: torch.Tensor, labels: torch.Tensor, cache: Any = None, **places: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits, gold): what the model says where the next token is supervised.

    `input_ids` and `labels`: shape (rows, longest); `cache`: what the model keeps of earlier tokens that all rows share,
    if there are any (they are not in `input_ids`); `places`: what the model is told of positions, see `flattened`. Logits:
    shape (supervised tokens, vocabulary); gold: shape (supervised tokens,), row after row. The output layer, and an adapter
    on it, works on these positions alone: it is a fifth of a small model, and most tokens are the prompt's.
    """
    speaks = torch.zeros_like(labels, dtype=torch.bool)
    speaks[:, :-1] = labels[:, 1:] != IGNORED
    logits = model(
        input_ids=input_ids, logits_to_keep=speaks, past_key_values=cache, use_cache=cache is not None, **places
    ).logits
    return logits, labels[:, 1:][speaks[:, :-1]]


class LengthGroups(Sampler[int]):
    """Row numbers in an order that puts texts of similar length into one batch, other ones in each epoch.

    Rows are shuffled, stretches of `GROUPED_BATCHES` batches sorted by length and cut into batches, the batches
    shuffled. The order depends on lengths, batch size, seed and epoch alone, so that a training that goes on in the
    middle of an epoch sees the same rows as one that was never killed.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed, self._epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + self._epoch) % 2**63)
        rows = torch.randperm(len(self._lengths), generator=generator).tolist()
        stretch = self._batch_size * GROUPED_BATCHES
        batches: list[list[int]] = []
        for start in range(0, len(rows), stretch):
            part = sorted(rows[start : start + stretch], key=lambda row: self._lengths[row])
            batches += [part[i : i + self._batch_size] for i in range(0, len(part), self._batch_size)]
        # An incomplete batch stays last: anywhere else it would shift all later rows across batches.
        last = [batches.pop()] if batches and len(batches[-1]) < self._batch_size else []
        order = torch.randperm(len(batches), generator=generator).tolist()
        yield from (row for batch in [*(batches[i] for i in order), *last] for row in batch)
