"""What a training is measured by on the way: the loss of the validation rows, and answers to a few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from skillsengine.modeling.answers import parse_answer
from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.encoding import IGNORED, Encoded
from skillsengine.modeling.generate import generate_from_ids
from skillsengine.modeling.memory import out_of_memory, release
from skillsengine.scoring.metrics import set_scores
from skillsengine.stages.micro_batches import MicroBatches
from skillsengine.stages.team import Team

Sample = dict[str, Any]
"""{"ad": the beginning of the ad, "gold": [..], "predicted": [..]}."""
_EXCERPT = 200
"""Characters of an ad in a sample."""
_ROOM = 2
"""An answer may be so many times as long as the longest right one; beyond that it has lost its way."""

Forward = Callable[[Any, Sequence[Encoded]], tuple[torch.Tensor, torch.Tensor]]
"""(model, rows) -> (logits, gold), as `answer_logits` gives them."""


@dataclass(frozen=True)
class Asked:
    """What is generated at an evaluation."""

    scored: int = 0
    """At most so many rows are answered for F1; 0 for none."""
    shown: int = 0
    """... and so many of them are shown to people."""
    template: str = "{text}"
    """The prompt's, to tell the ad from what stands around it."""
    batch_size: int = 8


class Validation:
    """The validation rows of one training."""

    def __init__(self, rows: Sequence[Encoded], batches: MicroBatches, asked: Asked, seed: int) -> None:
        self._rows, self._batches, self._asked = rows, batches, asked
        self._by_length = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(len(rows), generator=generator)[: max(asked.scored, asked.shown)].tolist()
        self._answered = [rows[place] for place in drawn]

    def __len__(self) -> int:
        return len(self._rows)

    def loss(self, model: Any, forward: Forward, told: Callable[[str], None], team: Team) -> float:
        """Mean over all supervised tokens, whatever the batches and the processes; nats. `told` hears how far it is."""
        total, tokens, done = 0.0, 0, 0
        rows = team.share([self._rows[place] for place in self._by_length])
        for part in self._batches.divide(rows):
            told(f"validating {done}/{len(rows)} rows")
            for summed, count in _measured(model, part, forward):
                total, tokens = total + summed, tokens + count
            done += len(part)
        sums = team.sum(torch.tensor([total, tokens], dtype=torch.float64, device=model.device))
        return float(sums[0] / sums[1])

    def answers(self, loaded: LoadedBase, told: Callable[[str], None]) -> dict[str, Any]:
        """{"eval_f1" where rows are scored, "samples" where some are shown}: what the model answers to a fixed few.

        Micro-averaged F1 over sets of normalized skills, as `evaluate` has it; the prompts are as cut as in training.
        """
        if not self._answered:
            return {}
        tokenizer = loaded.tokenizer
        prompts = [_prompt(row) for row in self._answered]
        right = [row.input_ids[len(ids) :] for row, ids in zip(self._answered, prompts, strict=True)]
        raw = generate_from_ids(
            loaded,
            prompts,
            max_new_tokens=min(_ROOM * max(len(ids) for ids in right), loaded.context_length // 2),
            batch_size=self._asked.batch_size,
            on_batch=lambda batch: told(f"answering {batch.done}/{batch.total} validation rows"),
        )
        gold = [parse_answer(tokenizer.decode(ids, skip_special_tokens=True))[0] for ids in right]
        predicted = [parse_answer(text)[0] for text in raw]
        measured: dict[str, Any] = {}
        if self._asked.scored:
            measured["eval_f1"] = set_scores(zip(gold, predicted, strict=True)).f1
        if self._asked.shown:
            ads = [self._excerpt(tokenizer.decode(ids, skip_special_tokens=True)) for ids in prompts]
            samples = [{"ad": a, "gold": g, "predicted": p} for a, g, p in zip(ads, gold, predicted, strict=True)]
            measured["samples"] = samples[: self._asked.shown]
        return measured

    def _excerpt(self, prompt: str) -> str:
        before, _, after = self._asked.template.partition("{text}")
        ad = prompt.removeprefix(before).removesuffix(after).strip()
        return ad if len(ad) <= _EXCERPT else f"{ad[:_EXCERPT]}…"


def _measured(model: Any, rows: list[Encoded], forward: Forward) -> Iterator[tuple[float, int]]:
    """(summed loss, supervised tokens) of the rows, in as many parts as memory needs."""
    try:
        with torch.no_grad():
            logits, gold = forward(model, rows)
            summed = float(cross_entropy(logits.float(), gold, reduction="sum"))
    except (RuntimeError, MemoryError) as error:
        if len(rows) < 2 or not out_of_memory(error):
            raise
    else:
        yield summed, len(gold)
        return
    release(model)
    for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        yield from _measured(model, half, forward)


def _prompt(row: Encoded) -> list[int]:
    return row.input_ids[: sum(label == IGNORED for label in row.labels)]
