"""What a draft says about the base: its section, and learning settings that suit its size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from skillsengine.draft.errors import DraftError
from skillsengine.spec.schema import BUILTIN_BASE

LLAMA2 = "_base/llama2.yaml"
_LLAMA2_13B = "meta-llama/Llama-2-13b-hf"
_BILLIONS = re.compile(r"(?<![a-z0-9.])(?:(\d{1,2})x)?(\d{1,3}(?:\.\d{1,2})?)\s?([bm])(?![a-z])", re.IGNORECASE)
_BYTES_A_WEIGHT = 2
_LARGE = 1.5
"""Billions of parameters from which on a GPU is asked for."""


@dataclass(frozen=True)
class BaseDraft:
    """How a base is written into the spec."""

    model: str
    extends: str | None
    """The shared spec that holds the settings of this family."""
    large: bool
    """Needs a GPU: 4-bit weights, a lower learning rate."""
    why: str
    doubt: str = ""


def draft_base(model: str | None, experiments: Path, folder: Path | None = None) -> BaseDraft:
    """`model` is what --base says: None, a Hub id or a folder, relative to `folder`, where it was typed, or to the one that
    holds `experiments/`. Raises DraftError where it names nothing."""
    if model is not None and not model.strip():
        raise DraftError("--base: empty. Leave it out for the built-in base, or name a folder or a Hub id (org/name).")
    if model is not None and folder is not None:
        model = _as_written(model, experiments.parent, folder)
    if model is None or model == BUILTIN_BASE:
        return BaseDraft(BUILTIN_BASE, None, large=False, why="built in: 135 million parameters, no download, no GPU")
    billions = _size_of(experiments.parent / model)
    if billions is None:
        billions = _size_in(model)
    if re.match(r"meta-llama/Llama-2-\d+b(-chat)?-hf$", model) and (experiments / LLAMA2).is_file():
        return BaseDraft(model, LLAMA2, large=True, why="behind Meta's licence on the Hub")
    if billions is None:
        doubt = (
            f"how large the base {model} is, its name does not say: it is taken for a small one that learns on a CPU. If it is "
            f"not, write quantization: nf4, device: cuda, queue: gpu and a learning_rate of 2e-4"
        )
        return BaseDraft(model, None, large=False, why="of unknown size: taken for a small one", doubt=doubt)
    return BaseDraft(model, None, large=billions >= _LARGE, why=_told(billions))


def _size_in(name: str) -> float | None:
    """Billions of parameters that a name tells: `Llama-2-13b-hf` 13, `SmolLM2-135M` 0.135, `Mixtral-8x7B` 56."""
    match = _BILLIONS.search(name.replace("_", "-").rpartition("/")[2])
    if match is None:
        return None
    return int(match[1] or 1) * float(match[2]) / (1 if match[3].lower() == "b" else 1000)


def _as_written(model: str, project: Path, folder: Path) -> str:
    """A folder that was named from where the command was typed, as a spec names it: relative to the project if it is in it."""
    typed = (folder / Path(model).expanduser()).resolve()
    as_specs_say_it = not Path(model).is_absolute() and (project / model).is_dir()
    if not typed.is_dir() or (as_specs_say_it and folder.resolve() != project):
        return model
    return f"./{typed.relative_to(project)}" if typed.is_relative_to(project) else str(typed)


def _size_of(folder: Path) -> float | None:
    """Billions of parameters of a local folder, by the size of its weights in 16 bits."""
    weights = list(folder.glob("*.safetensors")) if folder.is_dir() else []
    return sum(file.stat().st_size for file in weights) / _BYTES_A_WEIGHT / 1e9 if weights else None


def _told(billions: float) -> str:
    if billions >= 1:
        return f"about {billions:.3g} billion parameters"
    return f"about {billions * 1000:.3g} million parameters" if billions >= 0.001 else "fewer than a million parameters"
