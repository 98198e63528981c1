"""From the text of an ad to what a model says about it: `evaluate` and `extract` ask through this one door.

A prompt is as long as the longest of the adapter's training texts at most, whatever `tokens.overlong` made of longer ones
there; of an untuned base, and of an adapter whose lengths are not known, as long as the context allows beside the answer. An ad
that is longer, or more than twice as long as the median training text, is asked in parts of whole sentences no longer than that
median, and the skills of all parts are the ad's: of texts much longer than what it has mostly seen an adapter names few skills,
and the longest training text may be the only one of its kind. A sentence that is longer than that is a part by itself; one that
is longer than the longest prompt loses its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from skillsengine.modeling.answers import parse_answer, render_answer
from skillsengine.modeling.backend import Backend
from skillsengine.modeling.decoding import Take
from skillsengine.modeling.encoding import closing_tokens, cut_prompt, encode_prompt
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.generate import Batch
from skillsengine.scoring.few_shot import fill
from skillsengine.scoring.matching import normalize_skill
from skillsengine.scoring.predictions import Answer
from skillsengine.stages.sentences import sentence_ends, stretches

_STILL_TYPICAL = 2
"""Times the median of the training texts."""


@dataclass(frozen=True)
class Asked:
    """The answers in the ads' order, and what had to be done to ask."""

    answers: list[Answer]
    ads_split: int
    """Ads that were asked in several parts."""
    parts: int
    """The parts that they became."""
    ads_cut: int
    """Ads with a sentence that is too long by itself, so that its end was not read."""


@dataclass(frozen=True)
class Asker:
    """A model and how it is asked. Raises ModelError where the context has no room for an ad and its answer."""

    backend: Backend
    template: str
    max_new_tokens: int
    batch_size: int
    max_length: int | None = None
    """Longest text, answer included, that the adapter was trained on; tokens."""
    typical_length: int | None = None
    """Median of those texts, answer included; tokens."""
    before: str = ""
    """Worked examples."""
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        around = len(encode_prompt(self.prompt(""), self.backend.tokenizer))
        if around >= self._room:
            raise ModelError(
                f"evaluate.max_new_tokens: {self.max_new_tokens} leaves no room for an ad in the base's context of "
                f"{self.backend.context_length} tokens, of which the prompt around it takes {around}. Lower it."
            )

    @property
    def _room(self) -> int:
        """Tokens that the context has beside the answer."""
        return self.backend.context_length - self.max_new_tokens

    @property
    def longest_prompt(self) -> int:
        """In tokens: no training text held a longer one, since each has an answer, if only an empty one."""
        return self._room if self.max_length is None else min(self._room, self._prompt_of(self.max_length))

    @property
    def longest_whole(self) -> int:
        """Longest prompt of an ad that is asked in one piece; tokens."""
        if self.typical_length is None:
            return self.longest_prompt
        return min(self.longest_prompt, self._prompt_of(_STILL_TYPICAL * self.typical_length))

    @property
    def longest_part(self) -> int:
        """Longest prompt of several sentences out of an ad that is asked in parts; tokens."""
        if self.typical_length is None:
            return self.longest_prompt
        return min(self.longest_prompt, self._prompt_of(self.typical_length))

    def _prompt_of(self, length: int) -> int:
        """Tokens of the longest prompt that a training text of this length can have held."""
        shortest = self.backend.tokenizer(render_answer(()), add_special_tokens=False).input_ids
        return length - len(shortest) - 1

    def prompt(self, text: str) -> str:
        return self.before + fill(self.template, text)

    def ask(self, texts: Sequence[str], on_batch: Callable[[Batch], None] | None = None) -> Asked:
        """What the model says about each text; of one without a letter or digit nothing, and it is not asked."""
        parted = [self.parts(text) for text in texts]
        raw = self.backend.generate(
            [prompt for parts in parted for prompt, _ in parts],
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
            on_batch=on_batch,
            stop=self.stop,
        )
        left = iter(raw)
        return Asked(
            [joined([next(left) for _ in parts]) for parts in parted],
            ads_split=sum(len(parts) > 1 for parts in parted),
            parts=sum(len(parts) for parts in parted if len(parts) > 1),
            ads_cut=sum(any(cut for _, cut in parts) for parts in parted),
        )

    def stream(self, take: Take) -> Iterator[tuple[int, str]]:
        """(number, what was said) of prompts that come while others are at work, as soon as it was; see `Backend.stream`."""
        return self.backend.stream(take, max_new_tokens=self.max_new_tokens, batch_size=self.batch_size, stop=self.stop)

    def parts(self, text: str) -> list[tuple[list[int], bool]]:
        """(prompt, whether it lost a part of the ad) of each part, each prompt of shape (tokens,); none of a text without a
        letter or digit."""
        tokenizer, longest = self.backend.tokenizer, self.longest_prompt

        def encoded(part: str) -> list[int]:
            return encode_prompt(self.prompt(part), tokenizer)

        whole = encoded(text)
        if len(whole) <= self.longest_whole:
            return [(whole, False)] if _says_something(text) else []
        most = self.longest_part
        places = stretches(sentence_ends(text), lambda begin, end: len(encoded(text[begin:end].strip())) <= most)
        prompts = [encoded(part) for begin, end in places if _says_something(part := text[begin:end].strip())]
        keep_end = closing_tokens(self.template, tokenizer)
        kept = [cut_prompt(prompt, longest, tokenizer, keep_end=keep_end) for prompt in prompts]
        return [(after, len(after) < len(before)) for before, after in zip(prompts, kept, strict=True)]


def joined(raw: Sequence[str]) -> Answer:
    """The answer of an ad from what was said about its parts; without parts, that of an ad which asks for nothing."""
    read = [parse_answer(text) for text in raw]
    if len(raw) == 1:
        return Answer(read[0][0], raw[0], read[0][1])
    told = [f"--- part {number} of {len(raw)} ---\n{text}" for number, text in enumerate(raw, 1)]
    return Answer(
        _each_once(skill for skills, _ in read for skill in skills),
        "\n".join(told),
        all(parsed for _, parsed in read),
    )


def _each_once(skills: Iterable[str]) -> list[str]:
    """Of skills that count as one, the spelling that came first."""
    found: dict[str, str] = {}
    for skill in skills:
        found.setdefault(normalize_skill(skill), skill)
    return list(found.values())


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, text))
