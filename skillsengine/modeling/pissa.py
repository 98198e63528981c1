"""PiSSA (Meng et al., 2024, arXiv:2404.02948): the adapter starts as the main directions of the base, which the base loses.

With W = U S V' and the scale s of the adapter, B0 = U sqrt(S/s) and A0 = sqrt(S/s) V' of the r largest singular values, and
training goes on from W - s B0 A0 + s B A. What is trained fits only this rest of the base, so it is saved as an adapter of
the base as it was, of twice the rank: W + s [B, -B0] [A; A0].

The start is kept in a file. A decomposition may come out otherwise on another machine, and trained matrices would then stand
on another rest; and of 13 billion parameters it takes long.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from skillsengine.modeling.errors import ModelError

START = "start.safetensors"
INIT = "pissa"
"""peft's word."""


def is_pissa(model: PeftModel) -> bool:
    """Whether the adapter is trained on a base that has lost its main directions."""
    return bool(model.peft_config["default"].init_lora_weights == INIT)


def require_rank(model: Any, names: list[str], r: int) -> None:
    """Raise ModelError where a module of these names has fewer than `r` directions."""
    for name, module in model.named_modules():
        if any(name == target or name.endswith("." + target) for target in names):
            least = min(module.weight.shape)
            if r > least:
                raise ModelError(
                    f"lora.init_weights: PiSSA starts from the {r} main directions (lora.r) of each module, and {name} has "
                    f"{least}. Lower lora.r, take it out of lora.target_modules, or set lora.init_weights: default."
                )


def keep_start(model: PeftModel, file: Path) -> None:
    """Write the fresh adapter of `model` into `file`, whole or not at all."""
    state = {name: weight.detach().cpu().contiguous() for name, weight in _state(model).items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    building = file.with_name(f"{file.name}.{os.getpid()}")
    save_file(state, building)
    with building.open("rb") as written:
        os.fsync(written.fileno())
    building.replace(file)


def start_from(model: PeftModel, file: Path) -> None:
    """Give a fresh adapter of `model` the start that `file` holds, and take it out of the base, as peft's init does."""
    set_peft_model_state_dict(model, load_file(file))
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            base, scale = layer.get_base_layer().weight, layer.scaling["default"]
            a, b = (matrix["default"].weight.data for matrix in (layer.lora_A, layer.lora_B))
            whole = base.data.float()
            if layer.fan_in_fan_out:
                base.data = (whole.T - scale * b @ a).to(base.dtype).T
            else:
                base.data = (whole - scale * b @ a).to(base.dtype)
    model.peft_config["default"].init_lora_weights = INIT


def fit_original_base(weights: Path, config: Path, start: Path) -> None:
    """Rewrite a saved adapter, in place, as one for the base as it was."""
    trained, begun = load_file(weights), load_file(start)
    for name in trained:
        if ".lora_A." in name:
            trained[name] = torch.cat([trained[name], begun[name]])
        elif ".lora_B." in name:
            trained[name] = torch.cat([trained[name], -begun[name]], dim=1)
    save_file(trained, weights, metadata={"format": "pt"})
    told = json.loads(config.read_text(encoding="utf-8"))
    # The scale stays: alpha / r, or alpha / sqrt(r).
    factor = math.sqrt(2) if told["use_rslora"] else 2
    told |= {"r": 2 * told["r"], "lora_alpha": factor * told["lora_alpha"], "init_lora_weights": True}
    config.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _state(model: PeftModel) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
    return state
