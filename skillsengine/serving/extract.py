"""From a registered version to the skills of a text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from skillsengine.modeling.answers import parse_answer
from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.generate import Batch, generate
from skillsengine.modeling.recorded import load_recorded
from skillsengine.scoring.few_shot import fill
from skillsengine.spec.schema import CleaningStep
from skillsengine.stages.cleaning import clean
from skillsengine.stages.contract import StageError

VERSION_FILE = "version.json"


@dataclass(frozen=True)
class Extraction:
    """The skills of one text."""

    skills: list[str]
    """In the order in which the adapter wrote them; each once."""
    raw: str
    """What the adapter wrote."""
    parsed: bool
    """Whether that was one whole list; otherwise `skills` holds what could be read of it."""


@dataclass(frozen=True)
class Extractor:
    """A version in memory, ready to read texts exactly as its training and its evaluation did."""

    loaded: LoadedBase
    template: str
    cleaning: tuple[CleaningStep, ...]
    max_new_tokens: int
    batch_size: int = 8

    @classmethod
    def load(
        cls, version_folder: Path, *, bases: Path, allowed_roots: Sequence[Path], device: str | None = None
    ) -> Self:
        """Load a folder that `register` wrote, with its base.

        `bases`: where converted built-in bases are kept. `allowed_roots`: where a local base may stand. `device`: `cpu` or
        `cuda`; None takes what the adapter was trained on.

        Raises StageError where the folder is no version, or its base is missing, has changed or cannot be loaded.
        """
        version = _read(version_folder)
        device = device or str(version["base"].get("device") or "cpu")
        try:
            loaded = load_recorded(version["base"], version_folder, device, bases=bases, allowed_roots=allowed_roots)
        except ModelError as error:
            # The control plane knows this error; of the model's room it may not even import the errors.
            raise StageError(str(error)) from error
        return cls(
            loaded,
            version["prompt"]["template"],
            tuple(version["cleaning"]),
            version["max_new_tokens"],
        )

    def extract(self, texts: Sequence[str], on_batch: Callable[[Batch], None] | None = None) -> list[Extraction]:
        """The skills of each text, in the texts' order.

        A text without a letter or digit has none. Of one that is too long for the base, the end is not read.
        """
        cleaned = [clean(text, self.cleaning) for text in texts]
        told = [place for place, text in enumerate(cleaned) if any(character.isalnum() for character in text)]
        raw = generate(
            self.loaded,
            [fill(self.template, cleaned[place]) for place in told],
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
            on_batch=on_batch,
        )
        found = [Extraction([], "", True)] * len(texts)
        for place, answer in zip(told, raw, strict=True):
            skills, parsed = parse_answer(answer)
            found[place] = Extraction(skills, answer, parsed)
        return found


def _read(folder: Path) -> dict[str, Any]:
    path = folder / VERSION_FILE
    try:
        version: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StageError(
            f"{folder} is no registered version: it holds no {VERSION_FILE}. `skillsengine versions` lists the folders of "
            "those there are."
        ) from error
    except (OSError, ValueError) as error:
        raise StageError(f"{path} cannot be read ({error}). Register the adapter again.") from error
    lacking = [key for key in ("base", "prompt", "cleaning", "max_new_tokens") if key not in version]
    if lacking:
        raise StageError(
            f"{path} lacks {', '.join(lacking)}: it was not written by `register`. Register the adapter again."
        )
    return version
