"""What all texts of a job begin with, read by the model once: the worked examples before every ad, for instance."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from transformers import DynamicCache

WORTHWHILE = 64
"""Shared tokens from which remembering them is worth a copy for each batch."""


@dataclass(frozen=True)
class SharedPrefix:
    """The first tokens of every text, and the model's keys and values for them."""

    length: int
    """Number of shared tokens; 0 where nothing is remembered."""
    cache: Any = None

    def for_rows(self, rows: int) -> Any:
        """A copy of the cache for a batch of `rows` texts (a forward pass writes into it); None without a prefix."""
        if self.cache is None:
            return None
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(rows)
        return cache


def remember(model: Any, texts: Sequence[Sequence[int]]) -> SharedPrefix:
    """Read what `texts` (token ids) have in common at their beginning; at least one token of each is left over.

    Nothing is remembered for a single text, a short beginning, or a model that keeps more than plain keys and values.
    """
    length = _common(texts) if len(texts) > 1 else 0
    if length < WORTHWHILE:
        return SharedPrefix(0)
    shared = torch.tensor([list(texts[0][:length])], device=model.device)
    with torch.inference_mode():
        cache = model(input_ids=shared, use_cache=True, logits_to_keep=1).past_key_values
    # A sliding window or a recurrent state would not hold all of the prefix.
    plain = type(cache) is DynamicCache and all(type(layer).__name__ == "DynamicLayer" for layer in cache.layers)
    return SharedPrefix(length, cache) if plain else SharedPrefix(0)


def _common(texts: Sequence[Sequence[int]]) -> int:
    """Tokens that all texts begin with, less than the shortest has."""
    shortest = min(len(text) for text in texts)
    # What the first and the last in sorted order share, all between them share too.
    first, last = min(texts, key=tuple), max(texts, key=tuple)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return min(sum(1 for _ in same), shortest - 1)
