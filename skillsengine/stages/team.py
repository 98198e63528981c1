"""The processes that train together, one on each GPU: who takes which rows, and how sums are made over all.

The gradients of a step are summed here, once for each optimizer step, rather than by torch's DistributedDataParallel during the
last backward pass: a step's rows are divided anew where memory runs out, and a process may have none of the last few rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as group

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """One process of several; alone, everything is what it is."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes, tells and decides."""
        return self.rank == 0

    def share(self, rows: Sequence[T], rank: int | None = None) -> list[T]:
        """The rows of one process (this one's by default): every `count`-th, since neighbours are of similar length."""
        return list(rows[self.rank if rank is None else rank :: self.count])

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """`tensor`, summed over the processes, in place; shape and type stay."""
        if self.count > 1:
            group.all_reduce(tensor)
        return tensor

    def sum_gradients(self, weights: Iterable[torch.Tensor]) -> None:
        """Give every process the sum of all gradients; one that computed none has zeros."""
        if self.count == 1:
            return
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            self.sum(weight.grad)

    def all(self, here: bool, device: torch.device) -> bool:
        """Whether it is so in every process."""
        return bool(self.sum(torch.tensor(int(here), device=device)) == self.count)

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """The first process does the block alone, then the others: it may leave a file for them."""
        if self.count > 1 and not self.first:
            group.barrier()
        yield
        if self.count > 1 and self.first:
            group.barrier()

    def told(self, value: Any) -> Any:
        """What the first process has; the others' own is passed over. It must be picklable."""
        if self.count == 1:
            return value
        held = [value]
        group.broadcast_object_list(held, src=0)
        return held[0]
