"""The notebook's token metrics, done right: of the answer's tokens alone, each predicted from what stands before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.metrics import precision_recall_fscore_support


@dataclass(frozen=True)
class TokenScores:
    """Precision, recall and F1 over token ids, each id weighted by how often it stands in the gold answers."""

    precision: float
    recall: float
    f1: float
    tokens: int
    """Number of tokens compared."""

    def as_dict(self) -> dict[str, float]:
        return {"token_precision": self.precision, "token_recall": self.recall, "token_f1": self.f1}


def token_scores(gold: Sequence[int], predicted: Sequence[int]) -> TokenScores:
    """Weighted scores of two aligned sequences of token ids, shape (tokens,).

    `gold[i]` is a supervised token of an answer and `predicted[i]` the likeliest token at the position before it,
    with the gold answer up to there as context (teacher forcing): prompt and padding are not in the sequences. These
    scores say how well the model writes on once the right answer has begun; they are no measure of extraction. No
    tokens give 0.0.

    Raises ValueError where the lengths differ.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold tokens and {len(predicted)} predicted ones cannot be aligned")
    if not gold:
        return TokenScores(0.0, 0.0, 0.0, 0)
    precision, recall, f1, _ = precision_recall_fscore_support(gold, predicted, average="weighted", zero_division=0)
    return TokenScores(float(precision), float(recall), float(f1), len(gold))
