"""From a registered version to the skills of a text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from skillsengine.modeling.backend import TransformersBackend
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.generate import Batch
from skillsengine.modeling.recorded import load_recorded
from skillsengine.spec.schema import CleaningStep
from skillsengine.stages.asking import Asker
from skillsengine.stages.cleaning import clean
from skillsengine.stages.contract import StageError

VERSION_FILE = "version.json"


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
        version = _read(version_folder)
        device = device or str(version["base"].get("device") or "cpu")
        try:
            loaded = load_recorded(version["base"], version_folder, device, bases=bases, allowed_roots=allowed_roots)
            asker = Asker(
                TransformersBackend(loaded),
                version["prompt"]["template"],
                version["max_new_tokens"],
                batch_size,
                max_length=version.get("max_length"),
            )
        except ModelError as error:
            # The control plane knows this error; of the model's room it may not even import the errors.
            raise StageError(str(error)) from error
        return cls(asker, tuple(version["cleaning"]))

    def extract(self, texts: Sequence[str], on_batch: Callable[[Batch], None] | None = None) -> list[Extraction]:
        """The skills of each text, in the texts' order, as `evaluate` would find them.

        A text without a letter or digit has none. One that is longer than the training texts is read in parts.
        """
        asked = self.asker.ask([clean(text, self.cleaning) for text in texts], on_batch)
        return [Extraction(answer.skills, answer.raw, answer.parsed) for answer in asked.answers]


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
