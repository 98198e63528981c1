"""Texts to tokens: which of them are supervised, and what is cut where a text is too long."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from transformers import TokenizersBackend

IGNORED = -100
"""Label of a token on which no loss is computed."""
KEEP_END = 16
"""Tokens at a prompt's end that are never cut: they hold `### Skills:`, which tells the model to answer."""
_BATCH = 250
"""Texts that a thread measures at once."""
_THREADS = 16
"""At most: one that reads the texts feeds no more."""


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
    prompts = _encode_batch([prompt for prompt, _ in texts], tokenizer, special=True)
    answers = _encode_batch([answer for _, answer in texts], tokenizer, special=False)
    return [
        len(without_end(prompt, tokenizer)) + len(answer) + 1 for prompt, answer in zip(prompts, answers, strict=True)
    ]


def stream_lengths(texts: Iterable[tuple[str, str]], tokenizer: Any) -> Iterator[list[int]]:
    """`encode_lengths` of many texts, batch after batch in their order, on all cores.

    The tokenizers library lets go of Python while it works, so one thread a core keeps them busy, while the next texts are
    read; a few batches are held. (Its own threads are off here: they would have to be switched on for the whole process,
    and they wait for Python between two batches.)
    """
    # A tokenizer written in Python gains nothing by threads.
    threads = min(os.cpu_count() or 1, _THREADS) if tokenizer.is_fast else 1
    tokenizer("")  # settings that it changes at its first call cannot be changed while another thread is at work
    left = iter(texts)
    with ThreadPoolExecutor(threads, thread_name_prefix="tokenize") as pool:
        waiting: deque[Future[list[int]]] = deque()
        while batch := list(islice(left, _BATCH)):
            waiting.append(pool.submit(encode_lengths, batch, tokenizer))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _encode_batch(texts: list[str], tokenizer: Any, *, special: bool) -> list[Sequence[int]]:
    """Token ids of each text, with the tokens that open and close a text where `special`."""
    if not (tokenizer.is_fast and type(tokenizer)._encode_plus is TokenizersBackend._encode_plus):
        return list(tokenizer(texts, add_special_tokens=special, return_attention_mask=False).input_ids)
    # transformers makes a dictionary of lists of each encoding, with offsets that nobody asked for: a third of the time. The
    # call on one empty text sets what it would set: no truncation, no padding, how special tokens in a text are read.
    tokenizer("")
    encodings = tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=special)
    return [encoding.ids for encoding in encodings]
