"""Keys and values of a batch whose rows come and go while it is decoded."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_SPARE = 64
"""Places kept free for tokens to come."""

Pair = tuple[torch.Tensor, torch.Tensor]
"""A layer's keys and values, each of shape (rows, heads, tokens, size)."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers ships no types
    """A layer's keys and values at the beginning of buffers that have room for more.

    transformers' own layer copies all of them for each new token.
    """

    def __init__(self, keys: torch.Tensor | None = None, values: torch.Tensor | None = None) -> None:
        super().__init__()
        self._buffers: Pair | None = None
        if keys is not None and values is not None:
            self.lazy_initialization(keys, values)
            self.keys, self.values = keys, values

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Pair:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            self._buffers = _buffer(self.keys, key_states, length), _buffer(self.values, value_states, length)
        keys, values = self._buffers
        keys[:, :, length:end] = key_states
        values[:, :, length:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values


def _buffer(old: torch.Tensor, new: torch.Tensor, length: int) -> torch.Tensor:
    rows, heads, more, size = new.shape
    buffer = new.new_empty(rows, heads, length + more + _SPARE, size)
    if length:
        buffer[:, :, :length] = old
    return buffer


def is_plain(model: Any) -> bool:
    """Whether the model keeps keys and values of all tokens and nothing else (no sliding window, no recurrent state), and is
    told where each token stands: then rows of its batches can be taken out, put together and padded."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = DynamicCache(config=base.config).layers
    return (
        not getattr(base, "_is_stateful", False)
        and all(type(layer) is DynamicLayer for layer in layers)
        and "position_ids" in inspect.signature(base.forward).parameters
    )


def roomy(pairs: Iterable[Pair] = ()) -> DynamicCache:
    """A cache that holds `pairs`, layer by layer; without any, one for the first tokens."""
    cache = DynamicCache()
    cache.layer_class_to_replicate = RoomyLayer
    cache.layers = [RoomyLayer(keys, values) for keys, values in pairs]
    return cache


def repeated(cache: Any, rows: int) -> DynamicCache:
    """The cache of one row for `rows` rows; nothing is copied before the first new token."""
    return roomy((layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1)) for layer in cache.layers)


def selected(cache: Any, rows: torch.Tensor, start: int) -> DynamicCache:
    """The rows with the numbers `rows`, shape (kept,), without their first `start` tokens."""
    return roomy((layer.keys[rows, :, start:], layer.values[rows, :, start:]) for layer in cache.layers)


def together(one: Any, other: Any) -> DynamicCache:
    """The rows of `one` and those of `other`; the shorter ones begin with zeros."""
    length = max(one.get_seq_length(), other.get_seq_length())
    return roomy(
        (_stacked(a.keys, b.keys, length), _stacked(a.values, b.values, length))
        for a, b in zip(one.layers, other.layers, strict=True)
    )


def _stacked(one: torch.Tensor, other: torch.Tensor, length: int) -> torch.Tensor:
    # Zeros and not what happens to lie there: a masked NaN is still a NaN.
    return torch.cat([pad(each, (0, 0, length - each.shape[-2], 0)) for each in (one, other)])
