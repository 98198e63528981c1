"""Where the weights of `base.model` are: the built-in base, a local folder, or a snapshot of a Hub model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skillsengine.modeling import builtin
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.hub import download
from skillsengine.modeling.model_files import require_safe
from skillsengine.spec.schema import BUILTIN_BASE, Base

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_FORMS = (
    f"base.model takes three forms: the built-in `{BUILTIN_BASE}`; a local folder (`./models/mine`, relative to the "
    "folder that holds `experiments/`, or an absolute path); a Hub id (`meta-llama/Llama-2-13b-hf`)"
)


def is_hub_id(model: str, project: Path) -> bool:
    """Whether `model` means a repository of the Hub: neither the built-in base nor a folder."""
    if model == BUILTIN_BASE or model.startswith((".", "/")) or (project / model).is_dir():
        return False
    return _HUB_ID.fullmatch(model) is not None


@dataclass(frozen=True)
class Location:
    """A folder with config, safetensors weights and tokenizer."""

    folder: Path
    revision: str | None = None
    """Commit of a Hub model; None for a folder and the built-in base."""
    weights_sha256: str | None = None
    """Of a folder's weights, of the built-in base's source; None for a Hub model, whose commit says it."""


def locate(base: Base, *, bases: Path, allowed_roots: Sequence[Path], tokenizer_only: bool = False) -> Location:
    """Find the base; the built-in one is converted at the first use, a Hub model downloaded to the Hub's own cache.

    `tokenizer_only` leaves a Hub model's weights where they are and a folder's weights unhashed.

    Raises ModelError where there is no such model, or it is not one that can be loaded safely.
    """
    if base.model == BUILTIN_BASE:
        # The source's hash, not the converted file's: another library may lay out the same numbers differently.
        return Location(builtin.ensure(bases), weights_sha256=builtin.GGUF_SHA256)
    folder = Path(base.model) if Path(base.model).is_absolute() else allowed_roots[0] / base.model
    if base.model.startswith((".", "/")) or folder.is_dir():
        return _local(base.model, folder, allowed_roots, tokenizer_only)
    if _HUB_ID.fullmatch(base.model):
        snapshot, commit = download(base.model, base.revision, tokenizer_only=tokenizer_only)
        _require_model(base.model, snapshot, tokenizer_only)
        require_safe(base.model, snapshot, roots=None, tokenizer_only=tokenizer_only)
        return Location(snapshot, revision=commit)
    raise ModelError(f"base.model: `{base.model}` is no base that is known here. {_FORMS}.")


def _local(name: str, folder: Path, allowed_roots: Sequence[Path], tokenizer_only: bool) -> Location:
    real = folder.resolve()
    if not any(real.is_relative_to(root.resolve()) for root in allowed_roots):
        allowed = ", ".join(str(root) for root in allowed_roots)
        raise ModelError(
            f"base.model: `{name}` is {real}, which lies outside the folders a spec may read ({allowed}). "
            "Move it there, or add its folder to SKILLSENGINE_DATA_ROOTS."
        )
    if not real.is_dir():
        what = "is a file, not a folder" if real.exists() else "does not exist"
        raise ModelError(f"base.model: `{name}`: {real} {what}. {_FORMS}.")
    _require_model(name, real, tokenizer_only)
    require_safe(name, real, roots=allowed_roots, tokenizer_only=tokenizer_only)
    return Location(real, weights_sha256=None if tokenizer_only else weights_sha256(real))


def _require_model(name: str, folder: Path, tokenizer_only: bool) -> None:
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not tokenizer_only and not list(folder.glob("*.safetensors")):
        pickled = sorted(path.name for path in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")))
        hint = (
            f" ({pickled[0]} is not read: a pickle can run code; convert it with `save_pretrained`)" if pickled else ""
        )
        missing.append(f"weights in *.safetensors{hint}")
    if not any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        missing.append("a tokenizer (tokenizer.json, tokenizer.model or vocab.json)")
    if missing:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
        raise ModelError(
            f"base.model: `{name}` is not a model folder: {folder} lacks {'; '.join(missing)}. It holds: {there}. "
            "Write one with `model.save_pretrained(folder)` and `tokenizer.save_pretrained(folder)`."
        )


def weights_sha256(folder: Path) -> str:
    """sha256 (hex) over names and sha256 of the *.safetensors files, about a second a GB."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.name} {digest}\n".encode())
    return total.hexdigest()
