"""What becomes of a training row that is longer than `max_length` (`tokens.overlong`): cut, split or dropped, and counted.

`profile` and `finetune` go through this one door, so what was counted is what is trained on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from skillsengine.modeling.answers import render_answer
from skillsengine.modeling.encoding import Encoded, closing_tokens, encode
from skillsengine.scoring.few_shot import fill
from skillsengine.stages.rows import Row
from skillsengine.stages.sentences import sentence_ends, stretches


@dataclass(frozen=True)
class Part:
    """A stretch of an ad with the skills that stand in it; the stretches joined are the ad's text."""

    text: str
    skills: tuple[str, ...]


@dataclass
class Fitter:
    """Turns labelled rows into training texts of at most `max_length` tokens, and counts what it had to do."""

    template: str
    tokenizer: Any
    max_length: int
    overlong: Literal["cut", "split", "drop"]
    rows_cut: int = 0
    """Texts (rows, or parts of split ones) whose ad lost tokens."""
    rows_split: int = 0
    """Rows that became several texts."""
    parts: int = 0
    """The texts that they became."""
    rows_dropped: int = 0
    """Rows left out because they are longer."""
    rows_left_out: int = 0
    """Texts left out because their answer alone does not fit: an answer is never cut."""
    _keep_end: int = field(init=False)

    def __post_init__(self) -> None:
        self._keep_end = closing_tokens(self.template, self.tokenizer)

    def counts(self) -> dict[str, int]:
        """The counts by name, for a stage's summary."""
        return {
            "rows_cut": self.rows_cut,
            "rows_split": self.rows_split,
            "parts": self.parts,
            "rows_dropped": self.rows_dropped,
            "rows_left_out": self.rows_left_out,
        }

    def fit(self, row: Row) -> list[Encoded]:
        """The training texts of a labelled row, in the ad's order; none where it is left out."""
        whole = self._encode(row.text, row.skills or (), None)
        if len(whole) <= self.max_length:
            return [whole]
        if self.overlong == "drop":
            self.rows_dropped += 1
            return []
        if self.overlong == "cut":
            return self._cut(row.text, row.skills or ())
        parts = self.split(row)
        if len(parts) > 1:
            self.rows_split += 1
            self.parts += len(parts)
        return [text for part in parts for text in self._cut(part.text.strip(), part.skills)]

    def split(self, row: Row) -> list[Part]:
        """The row in parts of whole sentences, each as long as `max_length` allows, its answer included.

        No border falls into a skill, so each skill stands whole in at least one part; one that occurs in several stands in
        each of their answers, and a part without skills has the answer `[]`. A sentence that is too long by itself is a part.
        """
        spans = [(skill, place) for skill in row.skills or () for place in _occurrences(skill, row.text)]
        ends = [
            end for end in sentence_ends(row.text) if not any(start < end < stop for _, (start, stop) in spans)
        ] or [len(row.text)]

        def part(begin: int, end: int) -> Part:
            inside = [(start, stop, skill) for skill, (start, stop) in spans if begin <= start and stop <= end]
            return Part(row.text[begin:end], tuple(dict.fromkeys(skill for _, _, skill in sorted(inside))))

        def fits(begin: int, end: int) -> bool:
            made = part(begin, end)
            return len(self._encode(made.text.strip(), made.skills, None)) <= self.max_length

        return [part(begin, end) for begin, end in stretches(ends, fits)]

    def _cut(self, text: str, skills: Sequence[str]) -> list[Encoded]:
        encoded = self._encode(text, skills, self.max_length)
        if len(encoded) > self.max_length:
            self.rows_left_out += 1
            return []
        self.rows_cut += encoded.cut
        return [encoded]

    def _encode(self, text: str, skills: Sequence[str], max_length: int | None) -> Encoded:
        prompt, answer = fill(self.template, text), render_answer(skills)
        return encode(prompt, answer, self.tokenizer, max_length, keep_end=self._keep_end)


def _occurrences(skill: str, text: str) -> list[tuple[int, int]]:
    """Where the skill stands as whole words; where it never does, where its letters do (`Java` in `JavaScript`)."""
    whole = re.finditer(rf"(?<!\w){re.escape(skill)}(?!\w)", text)
    return [match.span() for match in whole] or [match.span() for match in re.finditer(re.escape(skill), text)]
