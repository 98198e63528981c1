"""Greedy answers to many prompts at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from skillsengine.modeling.answers import is_whole_answer
from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.cache import is_plain
from skillsengine.modeling.circling import circles
from skillsengine.modeling.decoding import Ended, Take, decode
from skillsengine.modeling.encoding import cut_prompt, encode_prompt
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.prefix import SharedPrefix, remember

_TAIL = 12
"""Newest tokens in which a stop text is looked for: it may begin in an earlier token than it ends in."""


@dataclass(frozen=True)
class Batch:
    """What `generate` tells as answers end."""

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

    `batch_size` prompts of similar length are answered at once, the longest first (a lack of memory shows at once); what all
    of them begin with, such as worked examples, is read once. An answer ends with the JSON list that it begins with, at the
    end-of-text token, after `max_new_tokens`, before the first of the texts in `stop` that it comes to after its first
    letter, or when it goes round in circles (`circling`). Whatever the base's own generation settings say, nothing is sampled
    and nothing penalized. A prompt that leaves no room for the answer in the context loses tokens before its end.

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
    room = _room(loaded, max_new_tokens)
    tokenizer = loaded.tokenizer
    ids = [cut_prompt(prompt, room, tokenizer) for prompt in prompts]
    prefix = remember(loaded.model, ids)
    longest_first = deque(sorted(enumerate(ids), key=lambda pair: len(pair[1]), reverse=True))

    def take(most: int, wait: bool) -> list[tuple[int, list[int]]]:
        return [longest_first.popleft() for _ in range(min(most, len(longest_first)))]

    ending = _Ending(tokenizer, _end_tokens(loaded), max_new_tokens, stop)
    answers: list[str] = [""] * len(ids)
    told = written = 0
    for done, (place, new) in enumerate(_ended(loaded, take, batch_size, prefix, ending), 1):
        answers[place] = ending.text(new)
        written += len(new)
        if on_batch and (done - told >= batch_size or done == len(ids)):
            told = done
            on_batch(Batch(done, len(ids), written))
    return answers


def generate_as_they_come(
    loaded: LoadedBase, take: Take, *, max_new_tokens: int, batch_size: int, stop: Sequence[str] = ()
) -> Iterator[tuple[int, str]]:
    """(number of the prompt, its answer) as soon as it has ended: `generate` for prompts that come while others are at work.

    They are taken from `take` as rows become free; it ends when that gives none while nothing is at work. What all begin with
    is read for each. A prompt has the answer that `generate` gives it. Raises ModelError as that does.
    """
    room = _room(loaded, max_new_tokens)

    def fitting(most: int, wait: bool) -> list[tuple[int, list[int]]]:
        return [(number, cut_prompt(prompt, room, loaded.tokenizer)) for number, prompt in take(most, wait)]

    ending = _Ending(loaded.tokenizer, _end_tokens(loaded), max_new_tokens, stop)
    for number, new in _ended(loaded, fitting, batch_size, SharedPrefix(0), ending):
        yield number, ending.text(new)


def _room(loaded: LoadedBase, max_new_tokens: int) -> int:
    """Tokens of the longest prompt. Raises ModelError where none is left."""
    room = loaded.context_length - max_new_tokens
    if room < 1:
        raise ModelError(
            f"evaluate.max_new_tokens: {max_new_tokens} leaves no room for a prompt in the base's context of "
            f"{loaded.context_length} tokens. Lower it."
        )
    return room


def _ended(
    loaded: LoadedBase, take: Take, batch_size: int, prefix: SharedPrefix, ending: _Ending
) -> Iterator[tuple[int, list[int]]]:
    """(number of the prompt, its new tokens) as answers end."""
    if is_plain(loaded.model):
        return decode(loaded.model, take, batch_size=batch_size, prefix=prefix, ended=ending)
    return _in_batches(loaded, take, batch_size, prefix, ending)


def _in_batches(
    loaded: LoadedBase, take: Take, batch_size: int, prefix: SharedPrefix, ending: _Ending
) -> Iterator[tuple[int, list[int]]]:
    """What `decode` gives, by transformers' own `generate`, for models whose rows cannot be taken out of a batch."""
    while prompts := take(batch_size, True):
        numbers = [number for number, _ in prompts]
        yield from zip(numbers, _batch(loaded, [ids for _, ids in prompts], prefix, ending), strict=True)


def _batch(loaded: LoadedBase, prompts: Sequence[list[int]], prefix: SharedPrefix, ending: _Ending) -> list[list[int]]:
    """The new tokens of each prompt."""
    tokenizer, device = loaded.tokenizer, loaded.device
    longest = max(len(prompt) for prompt in prompts)
    input_ids = torch.full((len(prompts), longest), tokenizer.pad_token_id, dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    for place, prompt in enumerate(prompts):
        # Padding stands on the left of what is each prompt's own, behind what all share.
        for part in (slice(0, prefix.length), slice(prefix.length - len(prompt), None)):
            input_ids[place, part] = torch.tensor(prompt[part], dtype=torch.int64)
            attention_mask[place, part] = 1
    with torch.inference_mode():
        out = loaded.model.generate(
            input_ids=input_ids.to(device),
            attention_mask=attention_mask.to(device),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            num_beams=1,
            use_cache=True,
            past_key_values=prefix.for_rows(len(prompts)),
            max_new_tokens=ending.max_new_tokens,
            eos_token_id=ending.tokens,
            pad_token_id=tokenizer.pad_token_id,
            stopping_criteria=StoppingCriteriaList([_EachRow(longest, ending)]),
        )
    return [ending.cut(row) for row in out[:, longest:].tolist()]


def _end_tokens(loaded: LoadedBase) -> list[int]:
    """The tokenizer's end of text, and those that the model's own generation settings add."""
    declared = getattr(loaded.model.generation_config, "eos_token_id", None)
    more = [declared] if isinstance(declared, int) else list(declared or ())
    return sorted({loaded.tokenizer.eos_token_id, *more})


class _Ending:
    """Tells of an answer's tokens, asked after each, whether it has ended."""

    def __init__(self, tokenizer: Any, tokens: Sequence[int], max_new_tokens: int, stop: Sequence[str]) -> None:
        self.tokens, self.max_new_tokens = tokens, max_new_tokens
        self._tokenizer, self._stop = tokenizer, stop
        self._closing: dict[int, bool] = {}
        """Token -> whether it may close a list."""

    def __call__(self, ids: list[int]) -> bool:
        return (
            len(ids) >= self.max_new_tokens
            or ids[-1] in self.tokens
            or (self._closes(ids[-1]) and is_whole_answer(self._text(ids)))
            or (bool(self._stop) and self._stops(ids))
            or circles(ids)
        )

    def text(self, ids: list[int]) -> str:
        """What an answer says, up to the first of the texts to stop at."""
        text = self._text(ids)
        begin = len(text) - len(text.lstrip())
        found = [at for mark in self._stop if (at := text.find(mark, begin)) >= 0]
        return text[: min(found)] if found else text

    def cut(self, ids: list[int]) -> list[int]:
        """`ids` up to the first token that ends them: what transformers fills the row up with stands behind it."""
        return next((ids[:end] for end in range(1, len(ids)) if self(ids[:end])), ids)

    def _closes(self, token: int) -> bool:
        if token not in self._closing:
            self._closing[token] = "]" in self._text([token])
        return self._closing[token]

    def _stops(self, ids: list[int]) -> bool:
        text = self._text(ids[-_TAIL:])
        text = text.lstrip() if len(ids) <= _TAIL else text
        return any(mark in text for mark in self._stop)

    def _text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


class _EachRow(StoppingCriteria):  # type: ignore[misc]  # transformers ships no types
    """Ends each row of a batch for itself."""

    def __init__(self, prompt_length: int, ended: Ended) -> None:
        self._prompt_length, self._ended = prompt_length, ended

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        ended = [self._ended(ids) for ids in input_ids[:, self._prompt_length :].tolist()]
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)
