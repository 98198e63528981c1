"""Texts to tokens: which of them are supervised, and what is cut where a text is too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

IGNORED = -100
"""Label of a token on which no loss is computed."""
KEEP_END = 16
"""Tokens at a prompt's end that are never cut: they hold `### Skills:`, which tells the model to answer."""


@dataclass(frozen=True)
class Encoded:
    """One training text. `input_ids` and `labels` are aligned, shape (tokens,)."""

    input_ids: list[int]
    labels: list[int]
    """-100 on the prompt; the token itself on the answer and on the end-of-text token after it."""
    cut: bool
    """Whether a part of the ad was left out to fit."""

    def __len__(self) -> int:
        return len(self.input_ids)


def encode(prompt: str, answer: str, tokenizer: Any, max_length: int | None, *, keep_end: int = KEEP_END) -> Encoded:
    """Prompt, answer and end-of-text token, at most `max_length` tokens (None: uncut).

    The parts are tokenized apart and joined, so that the prompt's tokens are those of generation and the answer is
    found by position: the same characters give other tokens in another context. A text that is too long loses tokens of
    the ad, from its end backwards; the last `keep_end` tokens of the prompt stay. The answer is never cut, so a text
    whose answer alone fills `max_length` stays longer than that: look at `len`.
    """
    answer_ids = [*tokenizer(answer, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    prompt_ids = encode_prompt(prompt, tokenizer)
    kept = prompt_ids
    if max_length is not None:
        kept = cut_prompt(prompt_ids, max_length - len(answer_ids), tokenizer, keep_end=keep_end)
    return Encoded(kept + answer_ids, [IGNORED] * len(kept) + answer_ids, len(kept) < len(prompt_ids))


def encode_prompt(prompt: str, tokenizer: Any) -> list[int]:
    """Token ids of a prompt, shape (tokens,), with the begin-of-text token if the tokenizer adds one."""
    return without_end(tokenizer(prompt).input_ids, tokenizer)


def without_end(ids: Sequence[int], tokenizer: Any) -> list[int]:
    """`ids` without end-of-text tokens at the end: some tokenizers close every text, and nothing could follow then."""
    end = len(ids)
    while end and ids[end - 1] == tokenizer.eos_token_id:
        end -= 1
    return list(ids[:end])


def cut_prompt(ids: list[int], budget: int, tokenizer: Any, *, keep_end: int = KEEP_END) -> list[int]:
    """At most `budget` tokens of a prompt, shape (tokens,): its beginning and its last `keep_end` tokens.

    The begin-of-text token and the end stay even where they exceed `budget`.
    """
    if len(ids) <= budget:
        return ids
    begin = 1 if ids[:1] == [tokenizer.bos_token_id] else 0
    head = max(budget - keep_end, begin)
    return ids if head + keep_end >= len(ids) else ids[:head] + ids[len(ids) - keep_end :]


def closing_tokens(template: str, tokenizer: Any) -> int:
    """How many tokens a prompt's part after `{text}` has, and one more: it may join with the ad's last letter."""
    closing = template.partition("{text}")[2]
    return len(tokenizer(closing, add_special_tokens=False).input_ids) + 1


def encode_lengths(texts: Sequence[tuple[str, str]], tokenizer: Any) -> list[int]:
    """`len(encode(prompt, answer, tokenizer, None))` of each (prompt, answer), shape (texts,), in two calls."""
    if not texts:
        return []
    prompts = tokenizer([prompt for prompt, _ in texts], return_attention_mask=False).input_ids
    answers = tokenizer(
        [answer for _, answer in texts], add_special_tokens=False, return_attention_mask=False
    ).input_ids
    return [
        len(without_end(prompt, tokenizer)) + len(answer) + 1 for prompt, answer in zip(prompts, answers, strict=True)
    ]
