"""Greedy decoding of many prompts in a batch that rolls on: rows whose answer has ended leave it, and waiting ones join.

A batch that is decoded as a whole waits for its longest answer, and each of its steps costs nearly as much with one row as with
all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

from skillsengine.modeling.cache import repeated, roomy, selected, together
from skillsengine.modeling.prefix import SharedPrefix

_JOINING = 4
"""Waiting prompts join as soon as a quarter of the batch is free: each joining copies the keys and values of all rows."""

_READ_AT_ONCE = 1024
"""Tokens of joining prompts that are read in one pass: enough to keep a processor busy. What a pass of many times as many needs
for its activations is too large for the heap to keep, and on a CPU it is then fetched from the system anew in every layer."""

Ended = Callable[[list[int]], bool]
"""Whether an answer of these tokens has ended."""

Take = Callable[[int, bool], Sequence[tuple[int, list[int]]]]
"""`take(most, wait)` gives the next prompts, at most `most`, as (number, tokens); none where none is there. With `wait` nothing
is at work, so it may wait for one."""


@dataclass
class _Batch:
    """The rows at work."""

    places: list[int]
    """Of their prompts."""
    cache: Any
    mask: torch.Tensor
    """1 where a token stands and 0 for padding; shape (rows, tokens that the cache holds)."""
    newest: torch.Tensor
    """What each row has said last; the cache does not hold it yet. Shape (rows,)."""

    def __len__(self) -> int:
        return len(self.places)

    def step(self, model: Any) -> None:
        """Read each row's newest token, and let it say the next."""
        positions = self.mask.sum(dim=-1, keepdim=True)
        self.mask = pad(self.mask, (0, 1), value=1)
        self.newest = _said(model, self.newest[:, None], self.mask, positions, self.cache)

    def only(self, rows: list[int]) -> _Batch:
        """These of its rows, without the padding that all of them begin with."""
        if len(rows) == len(self):
            return self
        kept = torch.tensor(rows, dtype=torch.int64, device=self.mask.device)
        mask = self.mask[kept]
        start = int(mask.any(dim=0).int().argmax()) if rows else 0
        cache = selected(self.cache, kept, start)
        return _Batch([self.places[row] for row in rows], cache, mask[:, start:], self.newest[kept])

    def joined(self, other: _Batch) -> _Batch:
        """The rows of both; padding stands before the shorter ones."""
        length = max(self.mask.shape[1], other.mask.shape[1])
        mask = torch.cat([pad(each.mask, (length - each.mask.shape[1], 0)) for each in (self, other)])
        newest = torch.cat([self.newest, other.newest])
        return _Batch(self.places + other.places, together(self.cache, other.cache), mask, newest)


def decode(
    model: Any, take: Take, *, batch_size: int, prefix: SharedPrefix, ended: Ended
) -> Iterator[tuple[int, list[int]]]:
    """(number of the prompt, its new tokens) as soon as an answer has ended; at most `batch_size` rows are at work.

    The prompts, each of shape (tokens,), come from `take` as rows become free, and all begin with `prefix`; the decoding ends
    when it gives none while nothing is at work. `ended` is asked after each new token. The model must be plain
    (`cache.is_plain`).
    """
    waiting: deque[tuple[int, list[int]]] = deque()
    answers: dict[int, list[int]] = {}
    batch: _Batch | None = None
    while True:
        free = batch_size - (len(batch) if batch else 0)
        joining = free * _JOINING >= batch_size
        if joining and len(waiting) < free:
            waiting.extend(take(free - len(waiting), not (batch or waiting)))
        if joining and waiting:
            said, others = _read(model, _next(waiting, free, prefix.length), prefix), batch
        elif batch:
            batch.step(model)
            said, others = batch, None
        else:
            return
        going = []
        for row, (place, token) in enumerate(zip(said.places, said.newest.tolist(), strict=True)):
            answers.setdefault(place, []).append(token)
            if ended(answers[place]):
                yield place, answers.pop(place)
            else:
                going.append(row)
        said = said.only(going)
        batch = others.joined(said) if others and said else others or said


def _next(waiting: deque[tuple[int, list[int]]], free: int, shared: int) -> list[tuple[int, list[int]]]:
    """The prompts that join now: at most `free`, and as many as are read at once, without their first `shared` tokens."""
    taken = [waiting.popleft()]
    while waiting and len(taken) < free:
        longest = max(len(prompt) for _, prompt in (*taken, waiting[0])) - shared
        if longest * (len(taken) + 1) > _READ_AT_ONCE:
            break
        taken.append(waiting.popleft())
    return taken


def _read(model: Any, joining: Sequence[tuple[int, list[int]]], prefix: SharedPrefix) -> _Batch:
    """A batch of prompts (place, tokens) and the first thing that each row says."""
    own = [prompt[prefix.length :] for _, prompt in joining]
    longest = max(map(len, own))
    # Padding stands on the left of what is each prompt's own, behind what all share.
    ids = torch.tensor([[0] * (longest - len(part)) + part for part in own], device=model.device)
    mask = torch.tensor([[0] * (longest - len(part)) + [1] * len(part) for part in own], device=model.device)
    mask = pad(mask, (prefix.length, 0), value=1)
    positions = (mask.cumsum(dim=-1) - 1)[:, prefix.length :].clamp(min=0)
    cache = roomy() if prefix.cache is None else repeated(prefix.cache, len(joining))
    newest = _said(model, ids, mask, positions, cache)
    return _Batch([place for place, _ in joining], cache, mask, newest)


def _said(model: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any) -> torch.Tensor:
    """The likeliest token after each row, shape (rows,); what was read is added to the cache."""
    with torch.inference_mode():
        logits: torch.Tensor = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
    return logits[:, -1].argmax(dim=-1)
