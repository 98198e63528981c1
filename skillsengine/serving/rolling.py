"""Texts that come one after the other, answered in a batch that rolls on.

Each text is the parts that `Asker.parts` makes of it. Parts of several texts take turns, so that a long ad holds up no short
one; a text is done when all of its parts are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from skillsengine.scoring.predictions import Answer
from skillsengine.stages.asking import Asker, joined

Key = TypeVar("Key")

Take = Callable[[int, bool], Sequence[tuple[Key, str]] | None]
"""`take(most, wait)` gives the next texts, each with a key: at most `most`, and none where none is there yet. With `wait`
nothing else is at work, so it may wait for one. None: no more will come."""


@dataclass
class _Text(Generic[Key]):
    """A text that is not done."""

    key: Key
    prompts: list[list[int]]
    """Of its parts, each of shape (tokens,)."""
    given: int = 0
    """Parts that were given to the model."""
    raw: dict[int, str] = field(default_factory=dict)
    """Part -> what was said about it."""


class Rolling(Generic[Key]):
    """(key, answer) of each text as soon as it is done. Of texts not done it holds at most two batches."""

    def __init__(self, asker: Asker, take: Take[Key]) -> None:
        self._asker, self._source = asker, take
        self._waiting: deque[_Text[Key]] = deque()
        """Texts with parts that the model was not given yet."""
        self._at_work: dict[int, tuple[_Text[Key], int]] = {}
        """Number of a prompt -> its text and part."""
        self._done: deque[tuple[Key, Answer]] = deque()
        self._count = 0
        self._over = False

    def __iter__(self) -> Iterator[tuple[Key, Answer]]:
        """Raises what the model and `take` raise."""
        while not self._over:
            for number, raw in self._asker.stream(self._prompts):
                text, part = self._at_work.pop(number)
                text.raw[part] = raw
                if len(text.raw) == len(text.prompts):
                    yield text.key, joined([text.raw[part] for part in range(len(text.prompts))])
                yield from self._drained()
            yield from self._drained()

    def _drained(self) -> Iterator[tuple[Key, Answer]]:
        """The texts that the model was not asked about."""
        while self._done:
            yield self._done.popleft()

    def _prompts(self, most: int, wait: bool) -> list[tuple[int, list[int]]]:
        """What the model is given next: (number, tokens) of at most `most` parts."""
        if len(self._waiting) < self._asker.batch_size and not self._over:
            self._read(most, wait and not self._waiting)
        chosen: list[tuple[int, list[int]]] = []
        while self._waiting and len(chosen) < most:
            text = self._waiting.popleft()
            self._at_work[self._count] = (text, text.given)
            chosen.append((self._count, text.prompts[text.given]))
            self._count += 1
            text.given += 1
            if text.given < len(text.prompts):
                self._waiting.append(text)
        return chosen

    def _read(self, most: int, wait: bool) -> None:
        texts = self._source(most, wait)
        if texts is None:
            self._over = True
            return
        for key, text in texts:
            if prompts := [prompt for prompt, _ in self._asker.parts(text)]:
                self._waiting.append(_Text(key, prompts))
            else:
                self._done.append((key, joined([])))
