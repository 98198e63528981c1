"""From a registered version to the skills of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar, overload

from skillsengine.modeling.backend import TransformersBackend
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.generate import Batch
from skillsengine.modeling.recorded import load_recorded
from skillsengine.scoring.predictions import Answer
from skillsengine.serving.named import read_version
from skillsengine.serving.rolling import Rolling, Take
from skillsengine.sources.reading.rows import legal
from skillsengine.spec.schema import CleaningStep
from skillsengine.stages.asking import Asker
from skillsengine.stages.cleaning import clean
from skillsengine.stages.contract import StageError

Key = TypeVar("Key")


@dataclass(frozen=True)
class Extraction:
    """The skills of one text."""

    skills: list[str]
    """In the order in which the adapter wrote them; each once."""
    raw: str
    """What the adapter wrote; of a text that was read in parts, the answers one below the other."""
    parsed: bool
    """Whether each answer was one whole list; otherwise `skills` holds what could be read of it."""


@dataclass(frozen=True)
class Extractor:
    """A version in memory, ready to read texts exactly as its training and its evaluation did."""

    asker: Asker
    cleaning: tuple[CleaningStep, ...]

    @classmethod
    def load(
        cls,
        version_folder: Path,
        *,
        bases: Path,
        allowed_roots: Sequence[Path],
        device: str | None = None,
        batch_size: int = 8,
    ) -> Self:
        """Load a folder that `register` wrote, with its base.

        `bases`: where converted built-in bases are kept. `allowed_roots`: where a local base may stand. `device`: `cpu` or
        `cuda`; None takes what the adapter was trained on. `batch_size`: texts read at once.

        Raises StageError where the folder is no version, or its base is missing, has changed or cannot be loaded.
        """
        version = read_version(version_folder)
        device = device or str(version["base"].get("device") or "cpu")
        try:
            loaded = load_recorded(version["base"], version_folder, device, bases=bases, allowed_roots=allowed_roots)
            asker = Asker(
                TransformersBackend(loaded),
                version["prompt"]["template"],
                version["max_new_tokens"],
                batch_size,
                max_length=version.get("max_length"),
                typical_length=version.get("typical_length"),
            )
        except ModelError as error:
            # The control plane knows this error; of the model's room it may not even import the errors.
            raise StageError(str(error)) from error
        return cls(asker, tuple(version["cleaning"]))

    @overload
    def extract(  # type: ignore[overload-overlap]  # a str is a sequence of str, too; here it is one text
        self, texts: str, on_batch: Callable[[Batch], None] | None = None
    ) -> Extraction: ...

    @overload
    def extract(self, texts: Sequence[str], on_batch: Callable[[Batch], None] | None = None) -> list[Extraction]: ...

    def extract(
        self, texts: str | Sequence[str], on_batch: Callable[[Batch], None] | None = None
    ) -> Extraction | list[Extraction]:
        """The skills of one text, or of each text of a list in its order, as `evaluate` would find them.

        A text without a letter or digit has none. One that is longer than the training texts is read in parts.
        """
        if isinstance(texts, str):
            return self.extract([texts], on_batch)[0]
        return [_found(answer) for answer in self.asker.ask(list(map(self._cleaned, texts)), on_batch).answers]

    def stream(self, take: Take[Key]) -> Iterator[tuple[Key, Extraction]]:
        """(key, skills) of texts that come while others are at work, as soon as each is done: what `extract` finds.

        `take(most, wait)` gives the next (key, text), at most `most`, and None when no more will come; see `serving.rolling`.
        """

        def cleaned(most: int, wait: bool) -> list[tuple[Key, str]] | None:
            texts = take(most, wait)
            return None if texts is None else [(key, self._cleaned(text)) for key, text in texts]

        return ((key, _found(answer)) for key, answer in Rolling(self.asker, cleaned))

    def _cleaned(self, text: str) -> str:
        return clean(legal(text), self.cleaning)


def _found(answer: Answer) -> Extraction:
    return Extraction(answer.skills, answer.raw, answer.parsed)
