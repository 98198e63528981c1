"""How the rows of an optimizer step are divided into forward passes. It changes memory and speed, and not what is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skillsengine.modeling.encoding import Encoded
from skillsengine.spec.schema import Train

AUTO_TOKENS = {"cpu": 2_048, "cuda": 16_384}
"""Tokens, padding included, that `per_device_batch_size: auto` begins with. More gain no speed; a CPU is no faster with more
than a few texts, and has less memory to lose."""


@dataclass
class MicroBatches:
    """Forward passes of at most so many rows, or of at most so many tokens; a row that is longer stands alone."""

    rows: int | None
    tokens: int | None = None
    flattened: bool = False
    adapts: bool = False
    """Whether a lack of memory makes them smaller."""

    @classmethod
    def of(cls, train: Train, device: str, flattened: bool) -> MicroBatches:
        """As the spec has them."""
        if train.per_device_batch_size == "auto":
            return cls(None, AUTO_TOKENS[device], flattened, adapts=True)
        return cls(train.per_device_batch_size, None, flattened)

    def divide(self, rows: Sequence[Encoded]) -> list[list[Encoded]]:
        """The rows in their order, cut into micro-batches."""
        parts: list[list[Encoded]] = []
        for row in rows:
            if parts and self._fits([*parts[-1], row]):
                parts[-1].append(row)
            else:
                parts.append([row])
        return parts

    def shrink(self, failed: Sequence[Encoded]) -> bool:
        """Halve, after memory ran out with `failed`; False where it cannot help."""
        if not self.adapts or len(failed) < 2:
            return False
        self.tokens = self.positions(failed) // 2
        return True

    def positions(self, rows: Sequence[Encoded]) -> int:
        """What a model computes for these rows together: their tokens, and the padding."""
        lengths = [len(row) for row in rows]
        return sum(lengths) if self.flattened else len(lengths) * max(lengths)

    def _fits(self, rows: Sequence[Encoded]) -> bool:
        if self.rows is not None and len(rows) > self.rows:
            return False
        return self.tokens is None or self.positions(rows) <= self.tokens
