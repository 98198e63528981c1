"""What an adapter's folder of foreign make may say, looked over before peft builds anything from it. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError, safe_open

from skillsengine.modeling.errors import ModelError

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

_READ = {
    "peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora", "use_dora", "fan_in_fan_out",
    "init_lora_weights", "inference_mode",
}  # fmt: skip
"""Fields that tell of an adapter as this package makes them."""
_IDLE = {"peft_version", "base_model_name_or_path", "revision", "megatron_core", "qalora_group_size"}
"""Fields that peft always writes and that nothing follows here: the base is the caller's, whatever its name in the file."""
_EMPTY: tuple[Any, ...] = (None, False, "none", {}, [])


def require_adapter(folder: Path) -> None:
    """Refuse what is no plain LoRA adapter in safetensors: other code, other modules, other ranks than its matrices have.

    Everything else that peft knows (`modules_to_save`, `auto_mapping`, `layer_replication`, ...) would replace parts of the
    base, name code or let the model grow. Raises ModelError.
    """
    missing = [name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder} is no adapter: {' and '.join(missing)} missing. An adapter is what `finetune` or peft's "
            "`save_pretrained` wrote (only safetensors are read)."
        )
    config = _config(folder)
    told = {key: value for key, value in config.items() if key not in _READ | _IDLE}
    more = sorted(f"{key}: {_short(value)}" for key, value in told.items() if value not in _EMPTY)
    if more:
        _refuse(folder, f"{ADAPTER_CONFIG} asks for more than an adapter is here: {', '.join(more)}")
    if config.get("peft_type") != "LORA" or config.get("task_type") not in ("CAUSAL_LM", None):
        _refuse(
            folder,
            f"{ADAPTER_CONFIG} tells peft_type {_short(config.get('peft_type'))} and task_type "
            f"{_short(config.get('task_type'))}; read are LORA and CAUSAL_LM",
        )
    targets = config.get("target_modules")
    if not (isinstance(targets, list) and targets and all(isinstance(each, str) for each in targets)):
        _refuse(folder, f"target_modules in {ADAPTER_CONFIG} is no list of names: {_short(targets)}")
    _require_rank(folder, config.get("r"))


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        _refuse(folder, f"{ADAPTER_CONFIG} cannot be read: {type(error).__name__}: {error}")
    if not isinstance(config, dict):
        _refuse(folder, f"{ADAPTER_CONFIG} is no JSON object")
    return config


def _require_rank(folder: Path, rank: Any) -> None:
    """The file's own matrices have the rank that the config tells: peft makes room for the latter, however large."""
    try:
        with safe_open(folder / ADAPTER_WEIGHTS, framework="numpy") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"the adapter {folder} does not fit this base: {ADAPTER_WEIGHTS} is no whole safetensors file: {error}. "
            "Copy it again."
        ) from error
    ranks = {shape[0] for name, shape in shapes.items() if ".lora_A." in name and len(shape) == 2}
    ranks |= {shape[1] for name, shape in shapes.items() if ".lora_B." in name and len(shape) == 2}
    if type(rank) is not int or ranks != {rank}:
        told = ", ".join(map(str, sorted(ranks))) or "none"
        _refuse(
            folder, f"{ADAPTER_CONFIG} tells r: {_short(rank)}, its matrices in {ADAPTER_WEIGHTS} have the rank {told}"
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _refuse(folder: Path, why: str) -> NoReturn:
    raise ModelError(f"the adapter {folder} is refused: {why}. Take the folder as `finetune` or `register` wrote it.")
