"""What a model would say at each token of the right answer, given the right answer up to there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.batches import answer_logits, collate
from skillsengine.modeling.encoding import IGNORED, Encoded
from skillsengine.modeling.prefix import remember


def forward_token_predictions(
    loaded: LoadedBase, encoded: Sequence[Encoded], batch_size: int
) -> Iterator[tuple[list[int], list[int]]]:
    """(gold ids, predicted ids) of every text, in the order given.

    Both have one entry for each supervised token (the answer and the end of text): the token itself, and the likeliest
    one at the position before it. Prompt and padding are not in them. Batches are made of texts of similar length.
    """
    # The token before the first supervised one speaks; it cannot be read beforehand.
    prompts = [text.input_ids[: _first_supervised(text) - 1] for text in encoded]
    prefix = remember(loaded.model, prompts)
    order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]))
    pairs: dict[int, tuple[list[int], list[int]]] = {}
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = collate([_after(encoded[row], prefix.length) for row in rows], loaded.tokenizer.pad_token_id)
        device = loaded.device
        with torch.inference_mode():
            logits, _ = answer_logits(
                loaded.model,
                batch["input_ids"].to(device),
                batch["labels"].to(device),
                prefix.for_rows(len(rows)),
            )
            predicted: list[int] = logits.argmax(dim=-1).tolist()
        for row in rows:
            gold = [label for label in encoded[row].labels[1:] if label != IGNORED]
            pairs[row], predicted = (gold, predicted[: len(gold)]), predicted[len(gold) :]
    yield from (pairs[row] for row in range(len(encoded)))


def _first_supervised(text: Encoded) -> int:
    return next(place for place, label in enumerate(text.labels) if label != IGNORED)


def _after(text: Encoded, start: int) -> Encoded:
    return Encoded(text.input_ids[start:], text.labels[start:], text.cut)
