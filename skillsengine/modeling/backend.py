"""Who answers prompts. `evaluate` and `extract` know no more of it than `Backend`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.decoding import Take
from skillsengine.modeling.generate import Batch, generate_as_they_come, generate_from_ids


class Backend(Protocol):
    """A model that continues prompts, greedily and each as if it were alone."""

    @property
    def tokenizer(self) -> Any:
        """transformers' tokenizer of the model."""

    @property
    def context_length(self) -> int:
        """Longest text in tokens, prompt and answer together."""

    def generate(
        self,
        prompts: Sequence[list[int]],
        *,
        max_new_tokens: int,
        batch_size: int,
        on_batch: Callable[[Batch], None] | None = None,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """The answer to each prompt, each of shape (tokens,), in the prompts' order, as `modeling.generate` defines it."""

    def stream(
        self, take: Take, *, max_new_tokens: int, batch_size: int, stop: Sequence[str] = ()
    ) -> Iterator[tuple[int, str]]:
        """(number of the prompt, its answer) as answers end, of prompts that come while others are at work: the answers that
        `generate` gives. See `modeling.generate.generate_as_they_come`."""


@dataclass(frozen=True)
class TransformersBackend:
    """The base and its adapter in this process' memory, run by transformers."""

    loaded: LoadedBase

    @property
    def tokenizer(self) -> Any:
        return self.loaded.tokenizer

    @property
    def context_length(self) -> int:
        return self.loaded.context_length

    def generate(
        self,
        prompts: Sequence[list[int]],
        *,
        max_new_tokens: int,
        batch_size: int,
        on_batch: Callable[[Batch], None] | None = None,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """Raises ModelError if `max_new_tokens` alone fills the context."""
        return generate_from_ids(
            self.loaded, prompts, max_new_tokens=max_new_tokens, batch_size=batch_size, on_batch=on_batch, stop=stop
        )

    def stream(
        self, take: Take, *, max_new_tokens: int, batch_size: int, stop: Sequence[str] = ()
    ) -> Iterator[tuple[int, str]]:
        """Raises ModelError if `max_new_tokens` alone fills the context."""
        return generate_as_they_come(self.loaded, take, max_new_tokens=max_new_tokens, batch_size=batch_size, stop=stop)
