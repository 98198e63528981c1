"""The adapter: attach a new one to a base, load a trained one, and look at its matrices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open

from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.errors import ModelError
from skillsengine.spec.schema import Lora

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def attach(model: Any, lora: Lora, seed: int) -> PeftModel:
    """Put a new LoRA adapter on `model`, in place: A at random from `seed`, B zero, only they train.

    Raises ModelError for a target that is no linear module of the model; the text lists those there are.
    """
    _require_targets(model, lora.target_modules)
    if _names_output(model, lora.target_modules):
        untie(model)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        bias="none",
        fan_in_fan_out=_transposed(model, lora.target_modules),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def load_adapter(loaded: LoadedBase, folder: Path) -> LoadedBase:
    """The base with the trained adapter of `folder` on it, for inference.

    `loaded.model` is changed in place; the untuned base comes back inside `model.disable_adapter()`. The adapter is not
    merged: on a quantized base that would change the answers, and on a CPU it gains a tenth of the time at most.

    Raises ModelError if `folder` holds no adapter, or one for another base.
    """
    missing = [name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder} is no adapter: {' and '.join(missing)} missing. An adapter is what `finetune` or peft's "
            "`save_pretrained` wrote (only safetensors are read)."
        )
    try:
        config = LoraConfig.from_pretrained(folder)
        targets = tuple(config.target_modules or ())
        if _names_output(loaded.model, targets):
            untie(loaded.model)
        model = PeftModel.from_pretrained(loaded.model, folder, is_trainable=False)
        with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
            saved = set(file.keys())
    except (RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        reason = str(error).strip().split("\n")
        raise ModelError(
            f"the adapter {folder} does not fit this base: {' '.join(reason[:2])}. Load it on the base that it was "
            f"trained on (`base_model_name_or_path` in {ADAPTER_CONFIG})."
        ) from error
    expected = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    if saved != expected:
        raise ModelError(
            f"the adapter {folder} does not fit this base: {len(expected - saved)} of {len(expected)} matrices are not "
            f"in it, {len(saved - expected)} have no place. Load it on the base that it was trained on."
        )
    model.eval()
    return replace(loaded, model=model)


def untie(model: Any) -> bool:
    """Give the output layer its own copy of the embedding it shares; True if it shared one.

    An adapter on a shared output layer computes rightly, but merging it would change the embedding too.
    """
    output, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if output is None or output.weight is not embedding.weight:
        return False
    output.weight = torch.nn.Parameter(output.weight.detach().clone(), requires_grad=False)
    for config in {id(c): c for c in (model.config, model.config.get_text_config())}.values():
        config.tie_word_embeddings = False
    return True


def linear_names(model: Any) -> list[str]:
    """The last names of all linear modules, sorted: what `lora.target_modules` may hold."""
    return sorted({name.rpartition(".")[2] for name, module in model.named_modules() if _is_linear(module)})


def update_matrices(model: Any) -> dict[str, torch.Tensor]:
    """Name -> matrix B of every adapted module, shape (out features, r); they start at zero."""
    return {name: weight for name, weight in model.named_parameters() if ".lora_B." in name}


def untrained(model: Any) -> list[str]:
    """Names of the adapted modules whose update is still nothing: B is zero everywhere."""
    return [name.split(".lora_B.")[0] for name, weight in update_matrices(model).items() if not torch.any(weight)]


def _is_linear(module: Any) -> bool:
    # bitsandbytes' quantized layers are subclasses; GPT-2 calls its transposed kind Conv1D.
    return isinstance(module, torch.nn.Linear) or _is_transposed(module)


def _is_transposed(module: Any) -> bool:
    return type(module).__name__ == "Conv1D"


def _transposed(model: Any, targets: tuple[str, ...]) -> bool:
    """Whether the targets hold their weights as (in, out); peft asks to be told."""
    return any(_is_transposed(module) and _matches(name, t) for name, module in model.named_modules() for t in targets)


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith("." + target)


def _require_targets(model: Any, targets: tuple[str, ...]) -> None:
    linear = [name for name, module in model.named_modules() if _is_linear(module)]
    unknown = [target for target in targets if not any(_matches(name, target) for name in linear)]
    if unknown:
        raise ModelError(
            f"lora.target_modules: {', '.join(f'`{name}`' for name in unknown)}: no linear module of "
            f"{type(model).__name__} has such a name. There are: {', '.join(linear_names(model))}."
        )


def _names_output(model: Any, targets: tuple[str, ...]) -> bool:
    output = model.get_output_embeddings()
    return any(module is output and _matches(name, t) for name, module in model.named_modules() for t in targets)
