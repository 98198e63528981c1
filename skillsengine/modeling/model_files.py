"""What a model folder of foreign make may say, looked over before transformers reads it.

transformers follows what config.json and the index of the shards name: a file of another folder, a pickle, an adapter of its
own, a billion layers. Nothing here imports torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from skillsengine.modeling.errors import ModelError

_INDEX = "*.safetensors.index.json"
_COUNTED = re.compile(r"^(?!max_).*(layers?|blocks?|experts)$")
"""Fields of config.json that tell how many modules Python is to make, each with a tensor of its own or more. Qwen's
`max_window_layers` is no such count: the layer from which on a window is used."""


def require_safe(name: str, folder: Path, *, roots: Sequence[Path] | None, tokenizer_only: bool = False) -> None:
    """Refuse a folder that would have more read than its own safetensors files, or more built than these hold.

    `roots`: where the files of a local folder must lie, links resolved; None for a snapshot of the Hub's cache, which is made
    of links. Raises ModelError.
    """
    if roots is not None:
        _require_inside(name, folder, roots)
    config = _read(name, folder / "config.json")
    if (folder / "adapter_config.json").exists():
        raise ModelError(
            f"base.model: `{name}`: {folder} holds an adapter beside the model (adapter_config.json), which would be loaded "
            "with it unseen. Merge it into the base and save that (`merge_and_unload`), or take the adapter's files away."
        )
    for index in sorted(folder.glob(_INDEX)):
        _require_shards(name, folder, index)
    if not tokenizer_only:
        _require_counts(name, folder, config)


def _require_inside(name: str, folder: Path, roots: Sequence[Path]) -> None:
    allowed = [root.resolve() for root in roots]
    for path in sorted(folder.iterdir()):
        real = path.resolve()
        if path.is_symlink() and not any(real.is_relative_to(root) for root in allowed):
            raise ModelError(
                f"base.model: `{name}`: {path} is a link to {real}, which lies outside the folders a spec may read "
                f"({', '.join(map(str, roots))}). Copy the file itself there, or add its folder to SKILLSENGINE_DATA_ROOTS."
            )


def _read(name: str, path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"base.model: {path.name} of `{name}` in {path.parent} cannot be read: {type(error).__name__}: {error}. "
            "Get it again."
        ) from error
    if not isinstance(told, dict):
        raise ModelError(f"base.model: {path.name} of `{name}` in {path.parent} is no JSON object. Get it again.")
    return told


def _require_shards(name: str, folder: Path, index: Path) -> None:
    """Each shard is a safetensors file of the folder itself."""
    shards = _read(name, index).get("weight_map")
    named = sorted({str(each) for each in shards.values()}) if isinstance(shards, dict) else []
    if not named:
        raise ModelError(f"base.model: {index.name} of `{name}` in {folder} names no file of weights. Get it again.")
    for shard in named:
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise ModelError(
                f"base.model: {index.name} of `{name}` in {folder} names `{shard}` as a file of weights. Only *.safetensors "
                "files beside it are read: no other folder's, and no pickles, which can run code. Write the folder with "
                "`model.save_pretrained(folder)`."
            )


def _require_counts(name: str, folder: Path, config: dict[str, Any]) -> None:
    held = 0
    from safetensors import SafetensorError, safe_open  # `doctor` runs in the control plane, which lacks it

    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, framework="numpy") as file:
                held += len(file.keys())
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"base.model: `{name}` cannot be loaded as a causal language model: {path} is no whole safetensors file: "
                f"{error}. Get it again."
            ) from error
    for field, count in _counts(config):
        if not 0 <= count <= held:
            raise ModelError(
                f"base.model: config.json of `{name}` in {folder} tells `{field}: {count}`, but its *.safetensors files hold "
                f"{held} matrices in all. Get config.json again, from where the weights come from."
            )


def _counts(config: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for field, value in config.items():
        if isinstance(value, dict):
            yield from ((f"{field}.{inner}", count) for inner, count in _counts(value))
        elif _COUNTED.search(field) and isinstance(value, int):
            yield field, value
