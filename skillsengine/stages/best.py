"""Which evaluation of a training is the best, and when no better one is to be expected. It follows from the log alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Evaluation = Mapping[str, Any]
"""{"step", "epoch", "eval_loss", "eval_f1" where it was measured}."""
_KEYS = {"validation_loss": ("eval_loss", -1.0), "validation_f1": ("eval_f1", 1.0)}
"""What `train.best_by` names -> the entry's key, and whether more (1) or less (-1) is better."""


@dataclass(frozen=True)
class Choice:
    """`train.best_by` and `train.early_stopping_patience`."""

    best_by: str | None = None
    """`validation_loss`, `validation_f1`, or None for the last."""
    patience: int | None = None

    def of(self, evaluations: Sequence[Evaluation]) -> Evaluation | None:
        """The evaluation whose adapter is kept; of equal ones the earlier. None without any."""
        if not evaluations:
            return None
        if self.best_by is None:
            return evaluations[-1]
        key, sign = _KEYS[self.best_by]
        return max(evaluations, key=lambda entry: sign * float(entry[key]))  # the first of equal ones

    def ends(self, evaluations: Sequence[Evaluation]) -> bool:
        """Whether the last `patience` evaluations were all no better than one before them."""
        best = self.of(evaluations)
        if self.patience is None or best is None:
            return False
        later = [entry for entry in evaluations if entry["step"] > best["step"]]
        return len(later) >= self.patience
