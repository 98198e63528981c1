"""Greedy answers to many prompts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.encoding import cut_prompt, encode_prompt
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.prefix import SharedPrefix, remember

_TAIL = 12
"""Newest tokens in which a stop text is looked for: it may begin in an earlier token than it ends in."""


@dataclass(frozen=True)
class Batch:
    """What `generate` tells after each batch."""

    done: int
    """Prompts answered so far."""
    total: int
    tokens: int
    """Tokens written so far, the end-of-text tokens included."""


def generate(
    loaded: LoadedBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    batch_size: int,
    on_batch: Callable[[Batch], None] | None = None,
    stop: Sequence[str] = (),
) -> list[str]:
    """The likeliest continuation of each prompt, in the prompts' order: only what was written, without special tokens.

    Prompts are answered in batches of similar length, the longest first (a lack of memory shows at once); what all of
    them begin with, such as worked examples, is read once. An answer
    ends at the end-of-text token, after `max_new_tokens`, or before the first of the texts in `stop` that it comes to
    after its first letter. A prompt that leaves no room for the answer in the context loses tokens before its end.

    Raises ModelError if `max_new_tokens` alone fills the context.
    """
    tokenizer = loaded.tokenizer
    ids = [encode_prompt(prompt, tokenizer) for prompt in prompts]
    return generate_from_ids(
        loaded, ids, max_new_tokens=max_new_tokens, batch_size=batch_size, on_batch=on_batch, stop=stop
    )


def generate_from_ids(
    loaded: LoadedBase,
    prompts: Sequence[list[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    on_batch: Callable[[Batch], None] | None = None,
    stop: Sequence[str] = (),
) -> list[str]:
    """`generate` for prompts that are tokens already, each of shape (tokens,)."""
    room = loaded.context_length - max_new_tokens
    if room < 1:
        raise ModelError(
            f"evaluate.max_new_tokens: {max_new_tokens} leaves no room for a prompt in the base's context of "
            f"{loaded.context_length} tokens. Lower it."
        )
    tokenizer = loaded.tokenizer
    ids = [cut_prompt(prompt, room, tokenizer) for prompt in prompts]
    prefix = remember(loaded.model, ids)
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]), reverse=True)
    answers: list[str] = [""] * len(ids)
    written = 0
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        new_ids = _batch(loaded, [ids[row] for row in rows], prefix, max_new_tokens, stop)
        for row, new in zip(rows, new_ids, strict=True):
            answers[row] = _cut_at_stop(tokenizer.decode(new, skip_special_tokens=True), stop)
            written += len(new)
        if on_batch:
            on_batch(Batch(start + len(rows), len(ids), written))
    return answers


def _batch(
    loaded: LoadedBase, prompts: list[list[int]], prefix: SharedPrefix, max_new_tokens: int, stop: Sequence[str]
) -> list[list[int]]:
    """The new tokens of each prompt, up to and with its end-of-text token."""
    tokenizer, device = loaded.tokenizer, loaded.device
    longest = max(len(prompt) for prompt in prompts)
    input_ids = torch.full((len(prompts), longest), tokenizer.pad_token_id, dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    for place, prompt in enumerate(prompts):
        # Padding stands on the left of what is each prompt's own, behind what all share.
        for part in (slice(0, prefix.length), slice(prefix.length - len(prompt), None)):
            input_ids[place, part] = torch.tensor(prompt[part], dtype=torch.int64)
            attention_mask[place, part] = 1
    ends = _end_tokens(loaded)
    criteria = StoppingCriteriaList([_StopTexts(tokenizer, longest, stop)] if stop else [])
    with torch.inference_mode():
        out = loaded.model.generate(
            input_ids=input_ids.to(device),
            attention_mask=attention_mask.to(device),
            do_sample=False,
            # A base may ship sampling values in its generation_config; they mean nothing here.
            temperature=None,
            top_p=None,
            top_k=None,
            num_beams=1,
            use_cache=True,
            past_key_values=prefix.for_rows(len(prompts)),
            max_new_tokens=max_new_tokens,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
            stopping_criteria=criteria,
        )
    return [_without_padding(row, ends, tokenizer.pad_token_id) for row in out[:, longest:].tolist()]


def _end_tokens(loaded: LoadedBase) -> list[int]:
    """The tokenizer's end of text, and those that the model's own generation settings add."""
    declared = getattr(loaded.model.generation_config, "eos_token_id", None)
    more = [declared] if isinstance(declared, int) else list(declared or ())
    return sorted({loaded.tokenizer.eos_token_id, *more})


def _without_padding(ids: list[int], ends: Sequence[int], pad: int) -> list[int]:
    for place, token in enumerate(ids):
        if token in ends:
            return ids[: place + 1]
    last = len(ids)
    while last and ids[last - 1] == pad:  # a row that a stop text ended is filled up while the others go on
        last -= 1
    return ids[:last]


def _cut_at_stop(text: str, stop: Sequence[str]) -> str:
    begin = len(text) - len(text.lstrip())
    found = [at for mark in stop if (at := text.find(mark, begin)) >= 0]
    return text[: min(found)] if found else text


class _StopTexts(StoppingCriteria):  # type: ignore[misc]  # transformers ships no types
    """Ends each row of a batch for itself once a stop text stands in what it wrote last."""

    def __init__(self, tokenizer: Any, prompt_length: int, stop: Sequence[str]) -> None:
        self._tokenizer, self._prompt_length, self._stop = tokenizer, prompt_length, stop

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        newest = input_ids[:, max(self._prompt_length, input_ids.shape[1] - _TAIL) :].tolist()
        whole_answer = input_ids.shape[1] - self._prompt_length <= _TAIL
        ended = []
        for ids in newest:
            text = self._tokenizer.decode(ids, skip_special_tokens=True)
            text = text.lstrip() if whole_answer else text
            ended.append(any(mark in text for mark in self._stop))
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)
